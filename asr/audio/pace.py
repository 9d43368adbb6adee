"""Reading a recording in real time, as a microphone would deliver it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

#: What microphones give at once.
BLOCK_SECONDS = 0.1


def paced(
    blocks: Iterable[np.ndarray],
    rate: int,
    pace: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[np.ndarray]:
    """The same samples in blocks of a tenth of a second, each when it would have been heard.

    Args:
        blocks: samples (n,) at `rate`, of any lengths.
        pace: 1 is the speed of sound as it was spoken, 2 twice as fast; 0 does not wait.
    """
    size = round(BLOCK_SECONDS * rate)
    begun, done = clock(), 0
    waiting = np.zeros(0, np.float32)
    for block in blocks:
        waiting = np.concatenate([waiting, block])
        whole = len(waiting) // size * size
        for piece in waiting[:whole].reshape(-1, size):
            done += size
            _wait(begun, done, rate, pace, clock, sleep)
            yield piece
        waiting = waiting[whole:]
    if len(waiting):
        _wait(begun, done + len(waiting), rate, pace, clock, sleep)
        yield waiting


def _wait(
    begun: float,
    samples: int,
    rate: int,
    pace: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    if pace > 0:
        rest = begun + samples / rate / pace - clock()
        if rest > 0:
            sleep(rest)
