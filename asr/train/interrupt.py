"""Ctrl-C: the first ends a run in order, the second at once."""

from __future__ import annotations

import mmap
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_signals(stop: Callable[[], bool]) -> Iterator[Callable[[], None]]:
    """Has Ctrl-C and SIGTERM call `stop` while the block runs.

    Args:
        stop: asks the run to end; returns False where that has been asked for already, and then
            KeyboardInterrupt is raised.

    Yields:
        takes the signals again; to be called after another library has taken them.
    """
    process, over = os.getpid(), mmap.mmap(-1, 1)  # a byte that workers see as well

    def handler(*_: Any) -> None:
        if os.getpid() != process:  # a worker that loads data: needed until the run is over
            if over[0]:
                os._exit(0)
            return
        if not stop():
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def take() -> None:
        for number in SIGNALS:
            signal.signal(number, handler)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        take()
        yield take
    finally:
        over[0] = 1
        for number, previous in before.items():
            signal.signal(number, previous)
