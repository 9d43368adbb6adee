"""What Ctrl-C and SIGTERM do to a command."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Seconds until an interrupt that was lost comes again: what has swallowed it should be over.
_AGAIN_SECONDS = 0.05
#: Seconds in which a second interrupt is the same one: impatient people press twice.
_SAME_SECONDS = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends the program the way Ctrl-C does: what is finished stays, nothing is half.

    An interrupt that comes while Python finalises an object, or a library calls back, cannot be
    raised there: Python would print it and forget it, and the run would go on. It comes again, as
    SIGTERM: shells have what they start in the background ignore SIGINT.
    One that comes right after another would break off what the first one has cleaned up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hook, coming, last = sys.unraisablehook, list[threading.Timer](), -_SAME_SECONDS

    def interrupt(*_: Any) -> None:
        nonlocal last
        if time.monotonic() - last >= _SAME_SECONDS:
            last = time.monotonic()
            raise KeyboardInterrupt

    def come_again(lost: Any) -> None:
        nonlocal last
        if issubclass(lost.exc_type, KeyboardInterrupt):
            last = -_SAME_SECONDS
            later = threading.Timer(_AGAIN_SECONDS, _interrupt_main_thread)
            later.daemon = True
            coming.append(later)
            later.start()
        else:
            hook(lost)

    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as for jobs in the background
    taken = _SIGNALS[1:] if ignored else _SIGNALS
    handlers = {number: signal.signal(number, interrupt) for number in taken}
    sys.unraisablehook = come_again
    try:
        yield
    finally:
        for later in coming:
            later.cancel()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook


def no_more_interrupts() -> None:
    """For the end of the program, which takes a second where torch was loaded.

    Signals would change the exit status, after all has been said and done.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt_main_thread() -> None:
    """Not `_thread.interrupt_main`, which does not wake a thread that waits."""
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, signal.SIGTERM)
    else:
        signal.raise_signal(signal.SIGTERM)
