"""CTM: NIST's list of timed words, which scoring tools such as sclite read."""

from __future__ import annotations

import os

from asr.output.options import OutputOptions
from asr.output.times import milliseconds_apart, one_line, words_with_times
from asr.types import Transcript, Word

#: Where a model gives no word times; lines that begin so are comments.
ESTIMATED = ";; words of segments without word times share the segment's time by their letters\n"


def as_ctm(transcript: Transcript, options: OutputOptions) -> str:
    """A line for each word: `name channel start duration word`, and `confidence` where known.

    The name is that of the input, without folders and ending; white space in it becomes `_`, as
    the format knows no quotes. All channels were mixed to one, channel 1.
    """
    timed = [word for segment in transcript.segments for word in words_with_times(segment)]
    times = milliseconds_apart([(word.start, word.end) for word in timed])
    name = name_of(transcript.source)
    lines = [
        f"{name} 1 {start / 1000:.3f} {(end - start) / 1000:.3f} {_tail(word)}\n"
        for word, (start, end) in zip(timed, times, strict=True)
    ]
    estimated = any(segment.text and not segment.words for segment in transcript.segments)
    return (ESTIMATED if estimated else "") + "".join(lines)


def name_of(source: str) -> str:
    """The recording's name as the first field of a line."""
    stem = os.path.splitext(os.path.basename(source))[0] if source != "-" else "stdin"
    name = "_".join(stem.split()) or "unnamed"
    return f"_{name}" if name.startswith(";;") else name


def _tail(word: Word) -> str:
    text = "_".join(one_line(word.text).split())
    return text if word.confidence is None else f"{text} {word.confidence:.4f}"
