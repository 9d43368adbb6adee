"""Transcripts for the tests of formats, and readers of what they write."""

from __future__ import annotations

import re

from hypothesis import strategies as st

from asr.types import Segment, Transcript, Word

SILENT = Transcript((), 2.0, "silence.wav")

letters = st.text("abcéß日&<>\"'-.,7{}", min_size=1, max_size=12)
texts = st.one_of(letters, letters, letters, st.text("xyz", min_size=20, max_size=120))


@st.composite
def segments(draw: st.DrawFn, start: float) -> Segment:
    """A segment behind `start`, with word times or without; times may coincide."""
    words = draw(st.lists(texts, max_size=25))
    gaps = st.sampled_from((0.0, 0.0, 0.0004, 0.05, 0.3, 1.5, 4.0))
    times = [start]
    for _ in range(2 * len(words)):
        times.append(times[-1] + draw(gaps))
    timed = tuple(
        Word(text, begin, end, draw(st.sampled_from((None, 0.0, 0.51234, 1.0))))
        for text, begin, end in zip(words, times[1::2], times[2::2], strict=True)
    )
    if not draw(st.booleans()):
        timed = ()
    return Segment(" ".join(words), start, times[-1] + draw(gaps), timed)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """A transcript of any number of segments, in order, some of them empty, some meeting."""
    found: list[Segment] = []
    start = draw(st.sampled_from((0.0, 0.5, 359_999.7)))
    for _ in range(draw(st.integers(0, 4))):
        found.append(draw(segments(start)))
        start = found[-1].end + draw(st.sampled_from((0.0, 0.2, 5.0)))
    return Transcript(tuple(found), start, draw(st.sampled_from(("a b.wav", "-", 'q"/c.mp3'))))


def shown_cues(content: str, point: str) -> list[tuple[float, float, list[str]]]:
    """The cues of an srt or vtt file as (start, end, lines), read line by line."""
    time = rf"(\d\d+):(\d\d):(\d\d){re.escape(point)}(\d\d\d)"
    found = []
    for block in content.removeprefix("WEBVTT\n\n").split("\n\n"):
        lines = block.split("\n")
        if lines == [""]:
            continue
        if point == ",":
            assert lines.pop(0) == str(len(found) + 1)
        match = re.fullmatch(f"{time} --> {time}", lines.pop(0))
        assert match is not None
        numbers = [int(group) for group in match.groups()]
        start, end = (
            h * 3600_000 + m * 60_000 + s * 1000 + ms for h, m, s, ms in (numbers[:4], numbers[4:])
        )
        found.append((start / 1000, end / 1000, lines))
    return found
