"""How sure an error rate is: bootstrap intervals over speakers (Bisani and Ney 2004)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr.evaluate.error_rate import Counts

#: Resamplings. The ends of a 95 % interval then have a standard error of about a fiftieth of its
#: width, so that the last digit shown hardly depends on the draws.
DRAWS = 2000
LEVEL = 0.95
_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Interval:
    """An error rate lies between `low` and `high` (fractions) in 95 of 100 such samples.

    `units` says what was drawn: `speakers`, or `utterances` where speakers are not known.
    """

    low: float
    high: float
    units: str


def rate_interval(
    counts: Sequence[Counts], speakers: Sequence[str | None], seed: int = 0
) -> Interval | None:
    """The 95 % percentile interval of the error rate of all utterances together.

    Whole speakers are drawn, since the errors of one speaker come together; an interval over
    utterances would be too narrow. With a speaker unknown, or fewer than two, utterances are
    drawn. None where there is nothing to draw from: fewer than two utterances, or no words.

    Args:
        counts: the edits of each utterance. speakers: who spoke each.
        seed: the same seed gives the same interval.
    """
    return _resampled([one.errors for one in counts], counts, speakers, seed)


def difference_interval(
    counts: Sequence[Counts],
    base: Sequence[Counts],
    speakers: Sequence[str | None],
    seed: int = 0,
) -> Interval | None:
    """The same of how much the error rate of `counts` is above that of `base`: matched pairs.

    What makes utterances hard for both cancels out, so it tells systems apart whose own intervals
    overlap: they differ where 0 lies outside.

    Args:
        counts, base: the edits of two systems on the same utterances, in the same order.
    """
    more = [one.errors - other.errors for one, other in zip(counts, base, strict=True)]
    return _resampled(more, counts, speakers, seed)


def _resampled(
    errors: Sequence[int], counts: Sequence[Counts], speakers: Sequence[str | None], seed: int
) -> Interval | None:
    """The interval of the sum of `errors` for each word of `counts`."""
    if len(counts) < 2 or not any(one.length for one in counts):
        return None
    known = [one for one in speakers if one is not None]
    by_speaker = len(known) == len(counts) and len(set(known)) > 1
    names = known if by_speaker else [str(place) for place in range(len(counts))]
    _, group = np.unique(names, return_inverse=True)
    wrong = np.bincount(group, errors)
    words = np.bincount(group, [one.length for one in counts])
    sums = np.empty((2, DRAWS))
    random = np.random.default_rng(seed)
    some = max(1, _AT_ONCE // len(wrong))  # all at once take gigabytes where units are many
    for place in range(0, DRAWS, some):
        drawn = random.integers(len(wrong), size=(min(some, DRAWS - place), len(wrong)))
        sums[:, place : place + some] = wrong[drawn].sum(1), words[drawn].sum(1)
    rates = (sums[0] / np.maximum(sums[1], 1))[sums[1] > 0]
    low, high = np.quantile(rates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high), "speakers" if by_speaker else "utterances")
