"""Ctrl-C while a library opens, decodes or closes.

The libraries read our files by calling back into Python. An exception that a signal handler raises
in there (KeyboardInterrupt) cannot pass through C: it would be printed and forgotten, the run
would go on, and the block that was being read would be wrong. One that comes while a file is closed
would leave what is closed after it open.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Holds back interrupts until the block ends, which should be soon.

    Only for handlers that are Python functions, and in the main thread: others run none.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def remember(number: int, _: Any) -> None:
        came.append(number)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {number: handler for number, handler in before.items() if callable(handler)}
    try:
        for number in before:
            signal.signal(number, remember)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for held_back in came:
            signal.raise_signal(held_back)


def uninterrupted(items: Iterable[T]) -> Iterator[T]:
    """The same items; interrupts wait while the next is made, and come before it is handed out."""
    rest = iter(items)
    while True:
        with interrupts_wait():
            item = next(rest, None)
        if item is None:
            return
        yield item
