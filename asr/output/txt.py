"""Plain text: one line a segment."""

from __future__ import annotations

from asr.output.options import OutputOptions
from asr.types import Transcript


def as_text(transcript: Transcript, options: OutputOptions) -> str:
    """The text of each segment on a line of its own; nothing at all where nothing was said."""
    return "".join(f"{segment.text}\n" for segment in transcript.segments if segment.text)
