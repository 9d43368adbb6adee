"""The labels that hypotheses may hold."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asr.errors import ModelError
from asr.text.labels import Labels


@dataclass(frozen=True)
class AllowedLabels:
    """A slice of the vocabulary, from the first allowed label on, with gaps.

    A slice of scores is a view and costs nothing; only where forbidden labels lie between allowed
    ones must scores be copied.
    """

    first: int
    count: int
    gaps: Tensor
    """(G,) the forbidden labels within the slice, counted from `first`."""

    @classmethod
    def among(cls, vocabulary: int, labels: Labels, device: torch.device) -> AllowedLabels:
        """All labels below `vocabulary` that are not `labels.forbidden`.

        Raises:
            ModelError: there are none, or the end is not among the vocabulary.
        """
        forbidden = labels.forbidden
        if labels.end >= vocabulary:
            raise ModelError(
                f"the end of a text is label {labels.end}, but the scorers know {vocabulary} "
                "labels only: model and tokenizer do not belong together"
            )
        first, last = 0, vocabulary - 1
        while first in forbidden:
            first += 1
        while last in forbidden:
            last -= 1
        if first > last:
            raise ModelError(f"none of the {vocabulary} labels may stand in a hypothesis")
        gaps = sorted(label - first for label in forbidden if first < label < last)
        return cls(first, last + 1 - first, torch.tensor(gaps, dtype=torch.long, device=device))

    def of(self, scores: Tensor) -> Tensor:
        """The scores (N, `count`) of the slice, -inf in the gaps, of scores (N, V)."""
        scores = scores[:, self.first : self.first + self.count]
        return scores.index_fill(1, self.gaps, -torch.inf) if len(self.gaps) else scores
