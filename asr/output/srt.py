"""SRT: subtitles that every player reads.

Written here rather than by pysubs2, which takes braces in a text for style tags, and times past
100 hours for an overflow. The tests read it back with pysubs2.
"""

from __future__ import annotations

from asr.output.cues import Cue, cues
from asr.output.options import OutputOptions
from asr.output.times import time_stamp
from asr.types import Transcript


def as_srt(transcript: Transcript, options: OutputOptions) -> str:
    """The subtitles of a transcript; the format has no escapes, so text stands as it is."""
    return "".join(
        f"{number}\n{_times(cue)}\n" + "".join(f"{line}\n" for line in cue.texts()) + "\n"
        for number, cue in enumerate(cues(transcript, options.subtitles), 1)
    )


def _times(cue: Cue) -> str:
    return f"{time_stamp(cue.start, ',')} --> {time_stamp(cue.end, ',')}"
