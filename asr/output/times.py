"""Rounding of times to whole milliseconds, and times for words that have none."""

from __future__ import annotations

import math
from collections.abc import Sequence

from asr.types import Segment, Word


def milliseconds_apart(spans: Sequence[tuple[float, float]]) -> list[tuple[int, int]]:
    """Spans of seconds, in order of their starts, as (start, end) in milliseconds.

    Each is at least 1 ms long and ends before the next begins, or there: players and Praat refuse
    others. Rounded times that do not leave so much room are moved on by what is missing.
    """
    starts, free = [], 0
    for start, _ in spans:
        starts.append(max(round(1000 * start), free))
        free = starts[-1] + 1
    ends = [
        max(round(1000 * end), start + 1) for start, (_, end) in zip(starts, spans, strict=True)
    ]
    following = [*starts, math.inf][1:]
    return [
        (start, int(min(end, limit)))
        for start, end, limit in zip(starts, ends, following, strict=True)
    ]


def time_stamp(milliseconds: int, point: str) -> str:
    """`HH:MM:SS.mmm` with `point` before the milliseconds; past 99 hours with more digits."""
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{rest:03}"


def words_with_times(segment: Segment) -> tuple[Word, ...]:
    """The words of a segment. Those that nobody timed share its time by their letters."""
    if segment.words:
        return segment.words
    texts = segment.text.split()
    total = sum(len(text) + 1 for text in texts)
    words, done = [], 0
    seconds = segment.end - segment.start
    for text in texts:
        start = segment.start + seconds * done / total
        done += len(text) + 1
        words.append(Word(text, start, segment.start + seconds * done / total))
    return tuple(words)


def one_line(text: str) -> str:
    """`text` with every run of white space as one space: tabs and newlines are syntax in files."""
    return " ".join(text.split())
