"""Processes that one run starts end with the one that started them, however that is ended.

One that is killed cannot end the others; they would wait for it for as many hours as preparing
the data may take.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Says in the environment of processes that a run starts which process did.
_STARTED_BY = "ASR_STARTED_BY"
#: Seconds between two looks at whether it is still there.
_SECONDS = 1.0


@contextmanager
def known_to_children() -> Iterator[None]:
    """Processes that are started in the block can `end_with_parent`."""
    os.environ[_STARTED_BY] = str(os.getpid())
    try:
        yield
    finally:
        os.environ.pop(_STARTED_BY, None)


def end_with_parent() -> None:
    """Ends this process when the one does that started it as a part of its run, if one did.

    Where torchrun or a cluster starts the processes, that is for them to do.
    """
    started_by = os.environ.pop(_STARTED_BY, None)
    if started_by is None or os.name != "posix":  # elsewhere the number of a parent never changes
        return
    parent = int(started_by)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS)
        os._exit(1)  # the main thread may wait for the parent outside of Python

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
