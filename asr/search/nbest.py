"""The finished hypotheses of one utterance."""

from __future__ import annotations

import math
from bisect import insort

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
        insort(self.hypotheses, hypothesis, key=lambda one: -one.score)
        del self.hypotheses[self.size :]
