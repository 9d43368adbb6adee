"""The sound that a page plays: inside of it, or as links to the files."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import quote

from asr.audio import load_audio
from asr.errors import AudioError
from asr.evaluate.error_rate import Scored

Mode: TypeAlias = Literal["embed", "link", "none"]

#: What browsers play; a whole file of it that is no larger than this a second is taken as it is.
_PLAYED = {
    ".opus": "audio/ogg",
    ".ogg": "audio/ogg",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".webm": "audio/webm",
}
_BYTES_A_SECOND = 16_000
_RATE = 16_000


@dataclass(frozen=True)
class Sounds:
    """How the sound of utterances gets to a page that will be the file `page`.

    `limit` is how many bytes of sound are embedded at most; what has most errors goes first, and
    what has no room is linked.
    """

    mode: Mode
    page: Path
    limit: int

    def urls(self, scored: Iterable[Scored]) -> dict[str, str]:
        """The address of the sound of each utterance that has a file, by its id."""
        found: dict[str, str] = {}
        if self.mode == "none":
            return found
        room = self.limit if self.mode == "embed" else 0
        for one in sorted(scored, key=lambda one: -one.words.errors):
            if one.audio is None:
                continue
            inside = _embedded(one, one.audio, room) if room > 0 else None
            room -= len(inside or "")
            found[one.id] = inside or self._link(one, one.audio)
        return found

    def _link(self, one: Scored, audio: str) -> str:
        path = Path(audio).resolve()
        try:
            address = quote(Path(os.path.relpath(path, self.page.resolve().parent)).as_posix())
        except ValueError:  # on another drive
            address = path.as_uri()
        if one.start is None:
            return address
        return f"{address}#t={one.start:.3f},{one.start + one.seconds:.3f}"


def _embedded(one: Scored, audio: str, room: int) -> str | None:
    """The sound as a data URI; None where it cannot be read, or is larger than `room`."""
    path = Path(audio)
    kind = _PLAYED.get(path.suffix.lower())
    try:
        if one.start is None and kind and path.stat().st_size <= _BYTES_A_SECOND * one.seconds:
            data = path.read_bytes()
        else:
            data, kind = _encoded(one, audio), "audio/ogg"
    except (OSError, AudioError):
        return None  # the evaluation has told about it
    address = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    return address if len(address) <= room else None


def _encoded(one: Scored, audio: str) -> bytes:
    """The samples of an utterance as Ogg Opus."""
    import soundfile

    samples = load_audio(audio, _RATE).samples
    if one.start is not None:
        begin = round(one.start * _RATE)
        samples = samples[begin : begin + round(one.seconds * _RATE)]
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, _RATE, format="OGG", subtype="OPUS")
    return buffer.getvalue()
