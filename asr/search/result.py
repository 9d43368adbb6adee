"""The result of a search for one utterance: the best finished hypotheses, and the open ones."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

from asr.types import Hypothesis


class NBest:
    """Keeps the `size` best hypotheses, best first; of equal scores the one that came first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.hypotheses: list[Hypothesis] = []

    @property
    def bar(self) -> float:
        """A score must be above this to enter."""
        return self.hypotheses[-1].score if len(self.hypotheses) == self.size else -math.inf

    def add(self, hypothesis: Hypothesis) -> None:
        """Enters `hypothesis`, and drops the worst where there are more than `size`."""
        insort(self.hypotheses, hypothesis, key=lambda entered: -entered.score)
        del self.hypotheses[self.size :]


@dataclass(frozen=True)
class SearchResult:
    """The result of a search for one utterance.

    `hypotheses` are finished, best first. `beams` are the open ones behind each label that was
    added, from the prefixes on, which have `prefix_length` labels: their labels and their score.
    """

    hypotheses: list[Hypothesis]
    beams: Sequence[list[tuple[tuple[int, ...], float]]]
    prefix_length: int

    def open_after(self, labels: int, margin: float = math.inf) -> tuple[tuple[int, ...], ...]:
        """The hypotheses that were open when they had so many labels.

        A search over more memory may go on from them: it stands where this one stood. Those that
        were `margin` worse than the best are left out.
        """
        beam = self.beams[labels - self.prefix_length]
        least = max(score for _, score in beam) - margin
        return tuple(tokens for tokens, score in beam if score >= least)
