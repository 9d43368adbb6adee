"""How long an audio file is by its header; nothing is decoded.

Two readers, for two uses. libsndfile counts samples, which a manifest needs. A container (m4a, mkv,
webm) only claims a duration, which is good enough to show progress.
"""

from __future__ import annotations

import os
from pathlib import Path

import soundfile

from asr.audio.byte_source import open_bytes
from asr.audio.child_decoder import container_seconds
from asr.audio.formats import LIBSNDFILE_KINDS
from asr.audio.limits import AudioLimits
from asr.audio.mpeg import mpeg_length_is_stated
from asr.errors import AudioError

#: libsndfile's number of frames for a stream of unknown length is larger than this.
_MOST_FRAMES = 1 << 40


def exact_seconds(path: str | os.PathLike[str]) -> float | None:
    """The length in seconds that libsndfile reads from the header (0.2 ms).

    Returns:
        None where libsndfile does not read the format, or the header leaves the length open, as
        those of MP3 files without a count of their frames, or joined ones, do.
    """
    if not os.path.isfile(path):
        return None
    try:
        with open_bytes(Path(path), AudioLimits()) as source:
            if source.kind.key == "mp3" and not mpeg_length_is_stated(source):
                return None
    except AudioError:
        return None
    try:
        header = soundfile.info(os.fspath(path))
    except (soundfile.LibsndfileError, RuntimeError):
        return None
    if not 0 < header.frames <= _MOST_FRAMES:
        return None
    return float(header.frames) / float(header.samplerate)


def claimed_seconds(
    path: str | os.PathLike[str], limits: AudioLimits | None = None
) -> float | None:
    """The length in seconds that the container claims: for progress, never for decoding.

    Returns:
        None where it claims none, or one past the `limits` (headers lie), or where it is no regular
        file or cannot be read: whoever opens it to decode it reports why.
    """
    if not os.path.isfile(path):  # a named pipe gives its sound only once
        return None
    try:
        with open_bytes(Path(path), limits or AudioLimits()) as source:
            if source.kind.key in LIBSNDFILE_KINDS:
                seconds = exact_seconds(path) or 0.0
            else:
                seconds = container_seconds(source) if source.kind.key else 0.0
    except AudioError:
        return None
    return seconds if 0 < seconds <= (limits or AudioLimits()).max_seconds else None
