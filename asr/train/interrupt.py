"""Ctrl-C: the first ends a run in order, the second at once."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asr.interrupts import handle_signals


@contextmanager
def stop_signals(stop: Callable[[], bool]) -> Iterator[Callable[[], None]]:
    """Has Ctrl-C and SIGTERM call `stop` while the block runs.

    Args:
        stop: asks the run to end; returns False where that has been asked for already, and then
            KeyboardInterrupt is raised.

    Yields:
        a function that takes the signals again, for use after another library has taken them.
    """
    process, over = os.getpid(), mmap.mmap(-1, 1)  # a byte that workers see as well

    def handler(*_: Any) -> None:
        if os.getpid() != process:  # a worker that loads data: needed until the run is over
            if over[0]:
                os._exit(0)
            return
        if not stop():
            raise KeyboardInterrupt

    with handle_signals(handler) as take:
        try:
            yield take
        finally:
            over[0] = 1
