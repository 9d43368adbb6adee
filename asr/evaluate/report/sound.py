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
from asr.evaluate.corpus import SoundReader
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
#: Speech takes more than this, so that no more is encoded than may have room.
_LEAST_BYTES_A_SECOND = 1_000
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
        if self.mode == "none":
            return {}
        known = [(one, one.audio) for one in scored if one.audio is not None]
        inside = self._inside(known) if self.mode == "embed" else {}
        return {one.id: inside.get(one.id) or self._link(one, audio) for one, audio in known}

    def _inside(self, known: list[tuple[Scored, str]]) -> dict[str, str]:
        """What has room, most errors first. A file that holds many utterances is read once."""
        wanted, seconds = [], self.limit / _LEAST_BYTES_A_SECOND
        for one, audio in sorted(known, key=lambda pair: -pair[0].words.errors):
            if seconds > 0:
                wanted.append((one, audio))
                seconds -= one.seconds
        reader = SoundReader(_RATE)
        in_files = sorted(wanted, key=lambda pair: pair[1])
        addresses = {one.id: _embedded(one, audio, reader) for one, audio in in_files}
        found, room = dict[str, str](), self.limit
        for one, _ in wanted:
            address = addresses[one.id]
            if address is not None and len(address) <= room:
                found[one.id] = address
                room -= len(address)
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


def _embedded(one: Scored, audio: str, reader: SoundReader) -> str | None:
    """The sound as a data URI; None where it cannot be read."""
    path = Path(audio)
    kind = _PLAYED.get(path.suffix.lower())
    try:
        if one.start is None and kind and path.stat().st_size <= _BYTES_A_SECOND * one.seconds:
            data = path.read_bytes()
        else:
            data, kind = _encoded(one, audio, reader), "audio/ogg"
    except (OSError, AudioError):
        return None  # the evaluation has told about it
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _encoded(one: Scored, audio: str, reader: SoundReader) -> bytes:
    """The samples of an utterance as Ogg Opus."""
    import soundfile

    if one.start is None:
        sound = load_audio(audio, _RATE)
    else:
        sound = reader.part(audio, one.start, one.seconds)
    buffer = io.BytesIO()
    soundfile.write(buffer, sound.samples, _RATE, format="OGG", subtype="OPUS")
    return buffer.getvalue()
