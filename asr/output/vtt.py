"""WebVTT: subtitles for the web, on request with the spoken word underlined.

Written here for the reasons in srt.py, and because pysubs2 escapes nothing.
"""

from __future__ import annotations

import html
from collections.abc import Iterator

from asr.output.cues import Cue, CueWord, cues
from asr.output.options import OutputOptions
from asr.output.times import time_stamp
from asr.types import Transcript


def as_vtt(transcript: Transcript, options: OutputOptions) -> str:
    """The subtitles of a transcript.

    A word is highlighted by a cue of its own, the same text with the word between <u> and </u>:
    browsers and players show that as it is. The format's time tags within a cue need a style sheet
    to be seen, and many players pass over them.
    """
    blocks: list[str] = []
    for cue in cues(transcript, options.subtitles):
        if options.subtitles.highlight_words:
            blocks += _word_by_word(cue)
        else:
            blocks.append(_cue(cue.start, cue.end, cue, None))
    return "WEBVTT\n\n" + "".join(blocks)


def _word_by_word(cue: Cue) -> Iterator[str]:
    """A cue for each piece, from when it is said until the next one is."""
    pieces = [piece for line in cue.lines for piece in line]
    starts = [cue.start, *(piece.start for piece in pieces[1:])]
    for piece, start, end in zip(pieces, starts, [*starts[1:], cue.end], strict=True):
        yield _cue(start, end, cue, piece)


def _cue(start: int, end: int, cue: Cue, current: CueWord | None) -> str:
    lines = (" ".join(_marked(piece, piece is current) for piece in line) for line in cue.lines)
    text = "".join(f"{line}\n" for line in lines)
    return f"{time_stamp(start, '.')} --> {time_stamp(end, '.')}\n{text}\n"


def _marked(piece: CueWord, current: bool) -> str:
    text = html.escape(piece.text, quote=False)
    return f"<u>{text}</u>" if current else text
