"""A bounded queue of audio between the thread that reads and the one that transcribes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

#: What `Backlog.take` gives when no more comes.
END = object()


class Backlog:
    """A queue of at most `most_seconds` of audio: `put` waits for room, and nothing is dropped.

    It also measures how far transcription lags behind the audio. Where the queue runs empty,
    transcription has caught up. From then on it should consume a second of audio each second; what
    it lacks is its lag. So a file that is transcribed as fast as it can be read has none, however
    full the queue is.
    """

    def __init__(
        self, rate: int, most_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._most = most_seconds * rate
        self._clock = clock
        self._changed = threading.Condition()  # its lock lets a signal handler of this thread in
        self._blocks: deque[tuple[Any, int]] = deque()
        self._pending = 0
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None
        self._caught_up = clock()
        self._consumed = 0

    @property
    def full(self) -> bool:
        """Whether `put` would wait."""
        return self._pending >= self._most

    @property
    def over(self) -> bool:
        """Whether no more sound is taken in."""
        return self._ended or self._closed

    @property
    def lag(self) -> float:
        """Seconds by which transcription lags behind the audio; see the class."""
        with self._changed:
            return max(0.0, self._clock() - self._caught_up - self._consumed / self._rate)

    def put(self, block: Any, samples: int) -> bool:
        """Brings a block, when there is room; False where no other is wanted."""
        with self._changed:
            self._changed.wait_for(lambda: not self.full or self.over)
            if self._closed:
                return False
            self._blocks.append((block, samples))
            self._pending += samples
            self._changed.notify_all()
            return not self.over

    def end(self, error: BaseException | None = None) -> None:
        """No more will come, because of `error` or because that was all; the first call counts."""
        with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Ends both sides: calls that wait in `put` or `take` return."""
        with self._changed:
            self._closed = True
            self._blocks.clear()
            self._pending = 0
            self._changed.notify_all()

    def take(self) -> Any:
        """The next block, when it has come; `END` at the end. What it ended with is `error`."""
        with self._changed:
            caught_up = not self._blocks and not self.over
            if caught_up:
                self._changed.wait_for(lambda: self._blocks or self.over)
            if not self._blocks:
                return END
            block, samples = self._blocks.popleft()
            self._pending -= samples
            self._consumed += samples
            if caught_up:  # this block ends now: the sound after it begins now
                self._caught_up, self._consumed = self._clock(), 0
            self._changed.notify_all()
            return block

    @property
    def error(self) -> BaseException | None:
        """Why no more comes, None where that was all."""
        return self._error
