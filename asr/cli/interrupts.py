"""What Ctrl-C and SIGTERM do to a command."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Seconds until an interrupt that was lost comes again: what has swallowed it should be over.
_AGAIN_SECONDS = 0.05


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends the program the way Ctrl-C does: what is finished stays, nothing is half.

    An interrupt that comes while Python finalises an object, or a library calls back, cannot be
    raised there: Python would print it and forget it, and the run would go on. It comes again, as
    SIGTERM: shells have what they start in the background ignore SIGINT.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler, hook = signal.signal(signal.SIGTERM, _interrupt), sys.unraisablehook
    coming: list[threading.Timer] = []

    def come_again(lost: Any) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            later = threading.Timer(_AGAIN_SECONDS, _interrupt_main_thread)
            later.daemon = True
            coming.append(later)
            later.start()
        else:
            hook(lost)

    sys.unraisablehook = come_again
    try:
        yield
    finally:
        for later in coming:
            later.cancel()
        signal.signal(signal.SIGTERM, handler)
        sys.unraisablehook = hook


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _interrupt_main_thread() -> None:
    """Not `_thread.interrupt_main`, which does not wake a thread that waits."""
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, signal.SIGTERM)
    else:
        signal.raise_signal(signal.SIGTERM)
