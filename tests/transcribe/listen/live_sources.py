"""Sources for tests of the live forms."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator

import numpy as np

from tests.conftest import RATE


def pcm_of(sound: np.ndarray) -> bytes:
    """16-bit PCM, and so not quite the same sound."""
    return (sound * 32767).astype("<i2").tobytes()


def heard_of(data: bytes) -> np.ndarray:
    return np.frombuffer(data, "<i2")


def in_blocks(sound: np.ndarray, size: int = RATE // 10) -> Iterator[np.ndarray]:
    for start in range(0, len(sound), size):
        yield sound[start : start + size]


async def later(data: bytes, size: int = 3333) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


class Pipe(io.RawIOBase):
    """A file without read1 that gives a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        part, self._data = self._data[:777], self._data[777:]
        memoryview(buffer)[: len(part)] = part  # type: ignore[arg-type]
        return len(part)
