"""Histograms as lines of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: Bins that are aimed at; round limits make it a few more or less.
_BINS = 12
#: Widest bar, in characters.
_WIDTH = 40
_PARTS = " ▏▎▍▌▋▊▉"


def histogram(values: Sequence[float]) -> list[str]:
    """A line for each of about a dozen equal bins: its limits, its count and a bar.

    Bins have round limits. The highest hundredth of the values shares the last bin with whatever
    is above, so that a single outlier does not squeeze the rest into one bar.
    """
    if not values:
        return []
    ordered = sorted(values)
    low, high = ordered[0], ordered[min(len(ordered) - 1, math.ceil(len(ordered) * 0.99))]
    step = _round_step((high - low if high > low else max(abs(high), 1.0)) / _BINS)
    first = math.floor(low / step)
    last = max(first, math.ceil(high / step) - 1)
    counts = [0] * (last - first + 1)
    for value in ordered:
        counts[min(max(math.floor(value / step) - first, 0), len(counts) - 1)] += 1
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    limits = [f"{(first + i) * step:.{digits}f}" for i in range(len(counts) + 1)]
    if ordered[-1] > (last + 1) * step:
        limits[-1] = f"{ordered[-1]:.{digits}f}"
    wide = max(map(len, limits))
    most, figures = max(counts), len(str(max(counts)))
    lines = []
    for low_end, high_end, count in zip(limits, limits[1:], counts, strict=False):
        span = f"{low_end:>{wide}} - {high_end:>{wide}}"
        lines.append(f"{span}  {count:>{figures}}  {_bar(count / most)}".rstrip())
    return lines


def _bar(share: float) -> str:
    eighths = round(share * _WIDTH * 8)
    if share and not eighths:
        eighths = 1
    return "█" * (eighths // 8) + _PARTS[eighths % 8].strip()


def _round_step(step: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * (1 - 1e-9))
