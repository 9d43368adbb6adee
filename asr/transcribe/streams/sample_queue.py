"""Samples that wait to be heard, and those that were heard but have no frame yet."""

from __future__ import annotations

from collections import deque

import numpy as np


class SampleQueue:
    """Blocks of samples on their way into the ear; blocks are kept as they are, not copied."""

    def __init__(self, frame_samples: int) -> None:
        self.frame_samples = frame_samples
        self.waiting = 0
        self.taken = 0
        self._blocks: deque[np.ndarray] = deque()
        self._unframed = np.zeros(0, np.float32)

    def put(self, block: np.ndarray) -> None:
        """Adds samples (n,), float32."""
        if len(block):
            self._blocks.append(block)
            self.waiting += len(block)

    def take(self, count: int) -> np.ndarray:
        """Removes the first `count` samples, of at least as many that wait."""
        parts, missing = [self._unframed[:0]], count
        while missing:
            block = self._blocks.popleft()
            parts.append(block[:missing])
            if len(block) > missing:
                self._blocks.appendleft(block[missing:])
            missing -= len(parts[-1])
        self.waiting -= count
        self.taken += count
        samples = np.concatenate(parts)
        self._unframed = np.concatenate([self._unframed, samples])
        return samples

    def settle(self) -> None:
        """Lets go of a large block of which only the end still waits."""
        self._blocks = deque(
            block.copy() if block.base is not None else block for block in self._blocks
        )

    def frames(self, count: int) -> np.ndarray:
        """The sound (count, frame_samples) of the next frames; zeros where it ended before."""
        size = count * self.frame_samples
        sound, self._unframed = self._unframed[:size], self._unframed[size:].copy()
        return np.pad(sound, (0, size - len(sound))).reshape(count, self.frame_samples)
