"""Which labels of a tokenizer are special: a value that the tokenizer owns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from asr.errors import ModelError


@dataclass(frozen=True)
class Labels:
    """The ids of a tokenizer's special labels.

    Attributes:
        blank: CTC's blank; None for tokenizers of models without CTC.
        unknown: stands for text that cannot be written; None where all text can be (bytes).
        end: ends a text. Language models begin with it too.
        start: what a decoder is fed before the first label of a text, at least one label: a start
            of transcript, perhaps with language and task. For another language, `replace` it.
        never: further ids that no hypothesis may hold, such as time stamps; in any order.

    Raises:
        ModelError: an id is negative, two labels have one id, or there is no start.
    """

    blank: int | None
    unknown: int | None
    end: int
    start: tuple[int, ...]
    never: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        special = [label for label in (self.blank, self.unknown, self.end) if label is not None]
        if len(set(special)) < len(special):
            raise ModelError(f"tokenizer: blank, unknown and end must be different labels: {self}")
        if not self.start:
            raise ModelError("tokenizer: a start of at least one label is needed, got none")
        if min(*special, *self.start, *self.never) < 0:
            raise ModelError(f"tokenizer: special labels must be ids of 0 or more: {self}")

    @cached_property
    def forbidden(self) -> frozenset[int]:
        """All ids that no hypothesis may hold: blank, unknown, end, start and never."""
        special = (self.blank, self.unknown, self.end, *self.start, *self.never)
        return frozenset(label for label in special if label is not None)

    @property
    def ctc_blank(self) -> int:
        """`blank`, where CTC is used.

        Raises:
            ModelError: there is none.
        """
        if self.blank is None:
            raise ModelError("this tokenizer has no blank label, so its models cannot use CTC")
        return self.blank
