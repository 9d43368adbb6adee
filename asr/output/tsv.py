"""TSV: a table with a row for each segment, for spreadsheets."""

from __future__ import annotations

from asr.output.options import OutputOptions
from asr.output.times import milliseconds_apart, one_line
from asr.types import Transcript

HEADER = "start\tend\ttext\n"


def as_tsv(transcript: Transcript, options: OutputOptions) -> str:
    """A header, and a row for each segment with text; times in seconds."""
    spoken = [segment for segment in transcript.segments if segment.text]
    times = milliseconds_apart([(segment.start, segment.end) for segment in spoken])
    return HEADER + "".join(
        f"{start / 1000:.3f}\t{end / 1000:.3f}\t{one_line(segment.text)}\n"
        for segment, (start, end) in zip(spoken, times, strict=True)
    )
