"""Where the parts of the drawings stand; the templates draw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asr.evaluate.breakdown import Group
from asr.evaluate.reliability import Reliability

#: Error rates above this are drawn as if they were it.
HIGHEST = 1.5
ROW, LABEL, PLOT, VALUE = 26, 130, 250, 70
SIDE, MARGIN = 260, 40


@dataclass(frozen=True)
class Bar:
    """A group: its name and figures, and in pixels the ends of its bar and its interval."""

    name: str
    value: str
    about: str
    y: float
    end: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Bars:
    """Horizontal bars; `ticks` are (x, text)."""

    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    width: int
    height: int
    label: int = LABEL
    row: int = ROW


@dataclass(frozen=True)
class Point:
    """A bin of a reliability diagram, in pixels: middle, radius; and the height of its bar."""

    x: float
    y: float
    radius: float
    left: float
    width: float
    height: float
    about: str


@dataclass(frozen=True)
class Diagram:
    """A reliability diagram: a square of `side` pixels, `margin` from the left and the bottom."""

    points: tuple[Point, ...]
    side: int = SIDE
    margin: int = MARGIN


def bars(groups: Sequence[Group]) -> Bars:
    """The error rates of groups, with their intervals."""
    ends = [one.interval.high if one.interval else one.counts.rate or 0.0 for one in groups]
    most = min(HIGHEST, max([0.1, *ends]))
    step = next(size for size in (0.02, 0.05, 0.1, 0.25, 0.5) if most / size <= 5)
    scale = PLOT / most

    def x(rate: float) -> float:
        return round(LABEL + min(rate, most) * scale, 1)

    drawn = []
    for place, one in enumerate(groups):
        rate, spread = one.counts.rate or 0.0, one.interval
        told = f"{100 * spread.low:.1f} to {100 * spread.high:.1f} %, " if spread else ""
        about = f"{told}{one.utterances} utterances, {one.counts.length} words"
        ends_at = (x(spread.low), x(spread.high)) if spread else (None, None)
        value = "-" if one.counts.rate is None else f"{100 * rate:.1f} %"
        drawn.append(Bar(one.name, value, about, place * ROW + ROW / 2, x(rate), *ends_at))
    ticks = tuple(
        (x(n * step), f"{100 * n * step:.0f} %") for n in range(int(most / step + 1e-9) + 1)
    )
    return Bars(tuple(drawn), ticks, LABEL + PLOT + VALUE, len(drawn) * ROW + 24)


def diagram(known: Reliability) -> Diagram:
    """Confidence from left to right, the share of right words upwards."""
    most = max(one.words for one in known.bins)
    points = tuple(
        Point(
            x=round(MARGIN + one.confidence * SIDE, 1),
            y=round((1 - one.right) * SIDE, 1),
            radius=round(2 + 7 * (one.words / most) ** 0.5, 1),
            left=round(MARGIN + one.low * SIDE, 1),
            width=round((one.high - one.low) * SIDE, 1),
            height=round(one.right * SIDE, 1),
            about=f"confidence {one.confidence:.2f}: {100 * one.right:.0f} % of {one.words} right",
        )
        for one in known.bins
    )
    return Diagram(points)
