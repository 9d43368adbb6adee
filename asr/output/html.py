"""HTML: a page to read and check a transcript with, complete in one file."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from asr.output.options import OutputOptions
from asr.output.times import milliseconds_apart, one_line, time_stamp, words_with_times
from asr.types import Segment, Transcript, Word

#: Words of less confidence are underlined.
DOUBTFUL = 0.5
#: Recordings of up to so many bytes are put inside of the page; longer ones are linked.
EMBEDDED_BYTES = 20_000_000
#: What browsers play, by the ending of the file.
_PLAYABLE = {
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".mp4": "audio/mp4",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".webm": "audio/webm",
}
_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 46em; padding: 1em; font: 17px/1.6 system-ui, sans-serif; }
h1 { font-size: 1.2em; overflow-wrap: anywhere; }
audio { position: sticky; top: 0; width: 100%; }
p { display: flex; gap: 1em; margin: .6em 0; }
time, .note { opacity: .65; font-size: .8em; font-variant-numeric: tabular-nums; }
.doubtful { text-decoration: underline wavy #c60; }
body.sound [data-t] { cursor: pointer; }
"""
_SCRIPT = """
const sound = document.querySelector("audio");
if (sound) document.addEventListener("click", (event) => {
  const place = event.target.closest("[data-t]");
  if (place) { sound.currentTime = Number(place.dataset.t); sound.play(); }
});
"""


def as_html(transcript: Transcript, options: OutputOptions) -> str:
    """A page with the text, a line with its time for each segment; a click on it plays from there.

    Words with a confidence below `DOUBTFUL` are underlined. The recording is inside of the page up
    to `EMBEDDED_BYTES` and linked beyond; where it cannot be had again (a pipe) or browsers do not
    play it, the page has no player.
    """
    title = escape(Path(transcript.source).name or transcript.source)
    player = _player(transcript.source)
    known = any(word.confidence is not None for one in transcript.segments for word in one.words)
    notes = [*transcript.notes]
    if known:
        notes.append(f"Underlined: words with a confidence below {100 * DOUBTFUL:.0f} %.")
    lines = [
        "<!DOCTYPE html>",
        '<html><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><style>{_STYLE}</style></head>",
        f'<body class="{"sound" if player else "silent"}"><h1>{title}</h1>',
        *([player] if player else []),
        *(f'<div class="note">{escape(note)}</div>' for note in notes),
        *(_paragraph(segment) for segment in transcript.segments if segment.text),
        f"<script>{_SCRIPT}</script></body></html>",
    ]
    return "\n".join(lines) + "\n"


def _paragraph(segment: Segment) -> str:
    """A segment: when it begins, and its words."""
    [(start, _)] = milliseconds_apart([(segment.start, segment.end)])
    stamp = time_stamp(start, ".").partition(".")[0]
    words = " ".join(_word(word) for word in words_with_times(segment))
    return f'<p><time data-t="{start / 1000:.3f}">{stamp}</time><span>{words}</span></p>'


def _word(word: Word) -> str:
    text, begin = escape(one_line(word.text)), f'data-t="{max(0.0, word.start):.3f}"'
    if word.confidence is None:
        return f"<span {begin}>{text}</span>"
    shown = f'title="confidence {100 * word.confidence:.0f} %"'
    doubtful = 'class="doubtful" ' if word.confidence < DOUBTFUL else ""
    return f"<span {doubtful}{begin} {shown}>{text}</span>"


def _player(source: str) -> str | None:
    """The recording as an element of the page; None where it cannot be played."""
    path = Path(source)
    kind = _PLAYABLE.get(path.suffix.lower())
    if kind is None:
        return None
    try:
        if not path.is_file():
            return None
        if path.stat().st_size > EMBEDDED_BYTES:
            address = path.resolve().as_uri()
        else:
            data = base64.b64encode(path.read_bytes()).decode("ascii")
            address = f"data:{kind};base64,{data}"
    except OSError:  # it is gone since; the text is there
        return None
    return f'<audio controls preload="metadata" src="{escape(address)}"></audio>'
