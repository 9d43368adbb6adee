"""Decoding with libsndfile: wav of every kind, aiff, au, caf, flac, ogg vorbis and opus."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soundfile

from asr.audio.byte_source import ByteSource
from asr.audio.decoder import BLOCK_FRAMES, Block, CannotDecodeError

#: Headers of unknown length say one of these (or more): not a promise of that many samples.
_UNKNOWN_FRAMES = 1 << 62
#: Ogg writers count the last samples in different ways: less than this is not missing.
_MISSING_SECONDS = 0.1


class _ForwardFile(soundfile.SoundFile):
    """A SoundFile that does not seek to where it already is after every read.

    That seek makes reading Opus and FLAC by blocks slow, and fails at the end of a cut file,
    where the last samples are lost with it.
    """

    def seekable(self) -> bool:
        return False


class SndfileDecoder:
    """A decoder (see `asr.audio.decoder.AudioDecoder`) over libsndfile."""

    def __init__(self, source: ByteSource) -> None:
        source.seek(0)
        try:
            self._file = _ForwardFile(source)
        except soundfile.LibsndfileError as error:
            raise CannotDecodeError(error.error_string.rstrip(".").lower()) from None
        self.rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.notes: list[str] = []
        self.complete = True

    def blocks(self) -> Iterator[Block]:
        """The samples in order. Integers are scaled to [-1, 1); floats come as they are."""
        buffer = np.empty((BLOCK_FRAMES, self.channels), np.float32)
        decoded = 0
        while True:
            # Where reading fails, libsndfile has filled a part and does not say how much.
            buffer.fill(np.nan)
            try:
                count = len(self._file.read(out=buffer))
            except soundfile.LibsndfileError:
                empty = np.isnan(buffer[:, 0])
                count = int(empty.argmax()) if empty.any() else BLOCK_FRAMES
                self.complete = False
            decoded += count
            if count:
                yield buffer[:count]
            if not count or not self.complete:
                break
        promised = self._file.frames
        if decoded + _MISSING_SECONDS * self.rate < promised < _UNKNOWN_FRAMES:
            self.complete = False

    def close(self) -> None:
        """Closes libsndfile's handle."""
        self._file.close()
