"""The start sequence of each utterance, from the fields of its manifest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from asr.data.utterance import FIELDS, field_of
from asr.errors import ConfigError, ManifestError, ModelError
from asr.text import PromptFields, Tokenizer
from asr.text.languages import LANGUAGE

if TYPE_CHECKING:
    from lhotse.cut import Cut

    from asr.data.batches import Item

#: A target that has no loss.
NO_TARGET = -100


@dataclass(frozen=True)
class PromptStarts:
    """Makes start sequences of the values that utterances have for the fields of a tokenizer.

    `usual` is that of rows without an utterance.
    """

    fields: PromptFields
    usual: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Tokenizer | None) -> PromptStarts | None:
        """None where there are no fields, so that all utterances start alike."""
        if tokenizer is None or tokenizer.prompt_fields is None:
            return None
        return cls(tokenizer.prompt_fields, tokenizer.labels.start)

    def __call__(self, items: Sequence[Item], rows: int) -> tuple[Tensor, Tensor]:
        """Start sequences (B, S) of items and of rows that are padding, and targets (B, S - 1).

        Targets are what the start's labels but the last are to predict: the language where the
        manifest names it, so that it can be detected later; all else is `NO_TARGET`.

        Raises:
            ManifestError: as `values`, or cuts that are joined differ in their values.
        """
        starts = torch.tensor([self.usual] * rows)
        targets = torch.full((rows, len(self.usual) - 1), NO_TARGET)
        place = len(self.fields.before) - 1
        for row, item in enumerate(items):
            if not item.cuts:
                continue
            values, *others = (self.values(cut) for cut in item.cuts)
            if any(other != values for other in others):
                raise ManifestError(
                    f"{item.id}: joined utterances have different values of prompt fields, and one "
                    "start sequence cannot name both; set data.concatenate_seconds to 0"
                )
            starts[row] = torch.tensor(self.fields.start(values))
            if LANGUAGE in values:
                targets[row, place] = self.fields.languages[values[LANGUAGE]]
        return starts, targets

    def values(self, cut: Cut) -> dict[str, str]:
        """The fields that an utterance names; others have defaults.

        Raises:
            ManifestError: a value is not known, or one without a default is missing.
        """
        values = {
            name: value for name in self.fields.labels if (value := field_of(cut, name)) is not None
        }
        try:
            self.fields.start(values)
        except ModelError as error:
            raise ManifestError(
                f"utterance '{cut.id}': {error}; correct or add the field in the manifest"
            ) from None
        return values


def field_values(cuts: Iterable[Any], names: Sequence[str]) -> dict[str, set[str]]:
    """The values that each field has in a corpus.

    Raises:
        ConfigError: a field has a meaning of its own in manifests, as `speaker`.
        ManifestError: as `field_of`.
    """
    if reserved := [name for name in names if name in FIELDS and name != LANGUAGE]:
        raise ConfigError(
            f"prompts.fields: '{reserved[0]}' has a meaning of its own in manifests and cannot be "
            "a prompt field; copy its values to a field of another name"
        )
    values: dict[str, set[str]] = {name: set() for name in names}
    for cut in cuts:
        for name in names:
            if (value := field_of(cut, name)) is not None:
                values[name].add(value)
    return values
