"""Sound on its way from who brings it to who hears it, in two threads; nothing is dropped."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

#: What `Backlog.take` gives when no more comes.
END = object()


class Backlog:
    """A queue of blocks that holds at most `most_seconds` of sound: who brings more has to wait.

    It also knows how far hearing is behind. Where the queue runs empty, hearing has caught up.
    From then on it should get through a second of sound each second; what it lacks is its lag.
    So a file that is heard as fast as it can be read has none, however full the queue is.
    """

    def __init__(
        self, rate: int, most_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._most = most_seconds * rate
        self._clock = clock
        self._changed = threading.Condition()  # its lock lets a signal handler of this thread in
        self._blocks: deque[tuple[Any, int]] = deque()
        self._waiting = 0
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None
        self._caught_up = clock()
        self._heard_since = 0

    @property
    def full(self) -> bool:
        """Whether `put` would wait."""
        return self._waiting >= self._most

    @property
    def over(self) -> bool:
        """Whether no more sound is taken in."""
        return self._ended or self._closed

    @property
    def lag(self) -> float:
        """Seconds that hearing is behind; see the class."""
        with self._changed:
            return max(0.0, self._clock() - self._caught_up - self._heard_since / self._rate)

    def put(self, block: Any, samples: int) -> bool:
        """Brings a block, when there is room; False where no other is wanted."""
        with self._changed:
            self._changed.wait_for(lambda: not self.full or self.over)
            if self._closed:
                return False
            self._blocks.append((block, samples))
            self._waiting += samples
            self._changed.notify_all()
            return not self.over

    def end(self, error: BaseException | None = None) -> None:
        """No more will come, because of `error` or because that was all; the first call counts."""
        with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody hears any more: who waits in `put` or `take` is let go."""
        with self._changed:
            self._closed = True
            self._blocks.clear()
            self._waiting = 0
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
            self._waiting -= samples
            self._heard_since += samples
            if caught_up:  # this block ends now: the sound after it begins now
                self._caught_up, self._heard_since = self._clock(), 0
            self._changed.notify_all()
            return block

    @property
    def error(self) -> BaseException | None:
        """Why no more comes, None where that was all."""
        return self._error
