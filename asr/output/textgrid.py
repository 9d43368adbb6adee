"""TextGrid: Praat's annotation, with a tier of segments and one of words.

Written here rather than by a library: praatio writes only to a path of its own, where a file could
stay half, and the format is these few lines. The tests read it back with praatio.
"""

from __future__ import annotations

from collections.abc import Sequence

from asr.output.options import OutputOptions
from asr.output.times import milliseconds_apart, one_line
from asr.types import Segment, Transcript, Word

#: (start, end) in milliseconds, and the text
Interval = tuple[int, int, str]


def as_textgrid(transcript: Transcript, options: OutputOptions) -> str:
    """The tiers `segments` and `words`; words that nobody timed are in the first alone."""
    segments = [segment for segment in transcript.segments if segment.text]
    words = [word for segment in segments for word in segment.words]
    tiers = {"segments": _intervals(segments), "words": _intervals(words)}
    length = max(1, round(1000 * transcript.duration))  # Praat opens nothing shorter
    length = max(length, *(end for tier in tiers.values() for _, end, _ in [(0, 0, ""), *tier]))
    head = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        *_bounds(0, length, ""),
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for number, (name, intervals) in enumerate(tiers.items(), 1):
        head += _tier(number, name, _without_gaps(intervals, length), length)
    return "\n".join(head) + "\n"


def _intervals(parts: Sequence[Segment | Word]) -> list[Interval]:
    times = milliseconds_apart([(part.start, part.end) for part in parts])
    return [(*time, part.text) for time, part in zip(times, parts, strict=True)]


def _without_gaps(intervals: list[Interval], length: int) -> list[Interval]:
    """The same, with empty intervals between them: those of a tier must meet."""
    filled: list[Interval] = []
    done = 0
    for start, end, text in intervals:
        if start > done:
            filled.append((done, start, ""))
        filled.append((start, end, text))
        done = end
    return filled if done == length else [*filled, (done, length, "")]


def _tier(number: int, name: str, intervals: list[Interval], length: int) -> list[str]:
    lines = [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
    lines += _bounds(0, length, " " * 8)
    lines.append(f"        intervals: size = {len(intervals)}")
    for place, (start, end, text) in enumerate(intervals, 1):
        quoted = one_line(text).replace('"', '""')
        lines.append(f"        intervals [{place}]:")
        lines += [*_bounds(start, end, " " * 12), f'            text = "{quoted}"']
    return lines


def _bounds(start: int, end: int, indent: str) -> list[str]:
    return [f"{indent}xmin = {start / 1000:.3f}", f"{indent}xmax = {end / 1000:.3f}"]
