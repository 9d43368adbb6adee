"""Labels that stand for points in time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timestamps:
    """Labels for times from the start of a segment, one behind the other.

    Attributes:
        first: the label of 0 seconds.
        count: how many there are.
        seconds: from one to the next.
        off: the label whose place in the start sequence says that none are written.
    """

    first: int
    count: int
    seconds: float
    off: int

    def __contains__(self, label: object) -> bool:
        return isinstance(label, int) and self.first <= label < self.first + self.count

    def time_of(self, label: int) -> float:
        """The time in seconds that a label stands for."""
        return (label - self.first) * self.seconds

    def later(self, label: int, seconds: float) -> int:
        """The label of a time so much later, at most the last; other labels stay as they are."""
        if label not in self:
            return label
        return min(label + round(seconds / self.seconds), self.first + self.count - 1)
