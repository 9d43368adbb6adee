"""Interrupts: what Ctrl-C (SIGINT) and SIGTERM do, in the program and in its parts.

Python runs signal handlers in the main thread only, and only there can they be set: in other
threads the context managers of this module change nothing. A signal that is ignored, as SIGINT is
for jobs in the background of a shell, stays ignored. One whose handler was not installed from
Python stays with that handler: Python could not install it again.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: Seconds until an interrupt that was lost is sent again: what swallowed it should be over.
_AGAIN_SECONDS = 0.05
#: Seconds in which a second interrupt is the same one: impatient people press twice.
_SAME_SECONDS = 0.5


@contextmanager
def handle_signals(
    handler: Callable[[int, FrameType | None], None],
) -> Iterator[Callable[[], None]]:
    """Calls `handler` on SIGINT and SIGTERM until the block ends; then the old handlers return.

    Yields:
        a function that installs `handler` again, for use after a library has replaced it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}

    def install() -> None:
        for number in before:
            signal.signal(number, handler)

    try:
        install()
        yield install
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def stop_on_signal(stop: Callable[[], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM in the block calls `stop`, the next raises KeyboardInterrupt."""
    stopped = False

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        if stopped:
            raise KeyboardInterrupt
        stopped = True
        stop()

    with handle_signals(handler):
        yield


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends the program as Ctrl-C does: by a KeyboardInterrupt that cleans up on its way.

    An interrupt that comes while Python finalises an object, or a library calls back, cannot be
    raised there: Python would print and forget it, and the run would go on. It is sent again, as
    SIGTERM, which is not ignored. One that comes right after another is dropped: it would break off
    the cleaning up after the first.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hook, timers, last = sys.unraisablehook, list[threading.Timer](), -_SAME_SECONDS

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last
        if time.monotonic() - last >= _SAME_SECONDS:
            last = time.monotonic()
            raise KeyboardInterrupt

    def send_again(lost: Any) -> None:
        nonlocal last
        if issubclass(lost.exc_type, KeyboardInterrupt):
            last = -_SAME_SECONDS
            timer = threading.Timer(_AGAIN_SECONDS, _interrupt_main_thread)
            timer.daemon = True
            timers.append(timer)
            timer.start()
        else:
            hook(lost)

    with handle_signals(interrupt):
        sys.unraisablehook = send_again
        try:
            yield
        finally:
            for timer in timers:
                timer.cancel()
            sys.unraisablehook = hook


@contextmanager
def defer_interrupts() -> Iterator[None]:
    """Holds signals back until the block ends, which should be soon; then their handlers run.

    Libraries read our files by calling back into Python. An exception that a handler raises in
    there (KeyboardInterrupt) cannot pass through C: it would be printed and forgotten, the run
    would go on, and the block that was being read would be wrong. One that comes while a file is
    closed would leave what is closed after it open.

    Only handlers that are Python functions are held back: others run no Python.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        pending.append(number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: handler for number, handler in before.items() if callable(handler)}
    try:
        for number in before:
            signal.signal(number, remember)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for deferred in pending:
            signal.raise_signal(deferred)


def uninterrupted(items: Iterable[T]) -> Iterator[T]:
    """The same items; signals are held back while an item is made, and come before its `yield`."""
    rest = iter(items)
    while True:
        with defer_interrupts():
            item = next(rest, None)
        if item is None:
            return
        yield item


def ignore_interrupts() -> None:
    """For the end of the program, which takes a second where torch was loaded.

    Signals would change the exit status after all output is written.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt_main_thread() -> None:
    """Not `_thread.interrupt_main`, which does not wake a thread that waits."""
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, signal.SIGTERM)
    else:
        signal.raise_signal(signal.SIGTERM)
