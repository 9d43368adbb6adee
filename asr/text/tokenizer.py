"""What a tokenizer is, and which of its labels are special."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from asr.errors import ModelError
from asr.text.timestamps import Timestamps

if TYPE_CHECKING:
    from asr.text.prompts import PromptFields


@dataclass(frozen=True)
class Labels:
    """The ids of a tokenizer's special labels.

    Attributes:
        blank: CTC's blank; None for tokenizers of models without CTC.
        unknown: stands for text that cannot be written; None where all text can be (bytes).
        end: ends a text. Language models begin with it too.
        start: what a decoder is fed before the first label of a text, at least one label: a start
            of transcript, perhaps with labels of prompt fields; `PromptFields.start` makes others.
        never: further ids that no hypothesis may hold, such as time stamps; in any order.
        never_first: ids that no hypothesis may begin with. With the end among them, none is empty.
        prompt: what a decoder is fed before a prompt, text that goes before the start; None for
            models that were not trained with prompts. It is one of `never`.
        timestamps: labels for times, where there are such; they are among `never` unless times are
            to be written.

    Raises:
        ModelError: an id is negative, two labels have one id, or there is no start.
    """

    blank: int | None
    unknown: int | None
    end: int
    start: tuple[int, ...]
    never: tuple[int, ...] = ()
    never_first: tuple[int, ...] = ()
    prompt: int | None = None
    timestamps: Timestamps | None = None

    def __post_init__(self) -> None:
        special = [label for label in (self.blank, self.unknown, self.end) if label is not None]
        if len(set(special)) < len(special):
            raise ModelError(f"tokenizer: blank, unknown and end must be different labels: {self}")
        if not self.start:
            raise ModelError("tokenizer: a start of at least one label is needed, got none")
        if min(*special, *self.start, *self.never, *self.never_first) < 0:
            raise ModelError(f"tokenizer: special labels must be ids of 0 or more: {self}")

    @cached_property
    def forbidden(self) -> frozenset[int]:
        """All ids that no hypothesis may hold: blank, unknown, end, start and never."""
        special = (self.blank, self.unknown, self.end, *self.start, *self.never)
        return frozenset(label for label in special if label is not None)

    @property
    def writes_timestamps(self) -> bool:
        """Whether hypotheses are to hold time stamps: the start does not say that they may not."""
        return self.timestamps is not None and self.timestamps.off not in self.start

    def with_timestamps(self) -> Labels:
        """The labels for hypotheses that hold time stamps.

        Raises:
            ModelError: there are no labels for times.
        """
        if self.timestamps is None:
            raise ModelError("this tokenizer has no labels for times")
        start = tuple(label for label in self.start if label != self.timestamps.off)
        never = tuple(label for label in self.never if label not in self.timestamps)
        return replace(self, start=start, never=never)

    @property
    def ctc_blank(self) -> int:
        """`blank`, where CTC is used.

        Raises:
            ModelError: there is none.
        """
        if self.blank is None:
            raise ModelError("this tokenizer has no blank label, so its models cannot use CTC")
        return self.blank


#: How `decode` writes the unknown label: visible, and no character of any language.
UNKNOWN_MARK = "⁇"
#: How `piece` writes a space, as SentencePiece does: a word starts where a piece starts with it.
WORD_MARK = "▁"


class Tokenizer(Protocol):
    """Turns text into label ids and back."""

    @property
    def size(self) -> int:
        """Number of labels, the special ones included."""
        ...

    @property
    def labels(self) -> Labels:
        """Which of its labels are special."""
        ...

    @property
    def prompt_fields(self) -> PromptFields | None:
        """What the start sequence can name, such as the language; None where there is no choice."""
        ...

    def encode(self, text: str, sample: bool | random.Random = False) -> list[int]:
        """The labels of `text`, without start and end; what cannot be written becomes unknown.

        Args:
            text: normalised text; runs of spaces count as one, those at the ends as none.
            sample: draw one of many ways to cut the words into labels (subword regularisation)
                rather than the best one. A generator makes the draw reproducible whatever was
                drawn before; True uses the tokenizer's own. Tokenizers with one way ignore it.
        """
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`: blank, start and end write nothing, unknown writes `UNKNOWN_MARK`.

        Raises:
            ModelError: an id is not one of this tokenizer's.
        """
        ...

    def piece(self, token: int) -> str:
        """The label as written in the vocabulary; `WORD_MARK` stands for a space.

        Raises:
            ModelError: the id is not one of this tokenizer's.
        """
        ...

    def unknown(self, text: str) -> Counter[str]:
        """The characters of `text` that cannot be written, and how often each occurs."""
        ...

    def save(self, folder: str | Path) -> Path:
        """Writes the tokenizer's file into `folder` (made if missing) and returns its path.

        Raises:
            OutputError: the file cannot be written.
        """
        ...


def frames_needed(labels: Sequence[int]) -> int:
    """Frames that CTC needs to write `labels`: one each, and a blank between equal neighbours."""
    return len(labels) + sum(label == following for label, following in pairwise(labels))
