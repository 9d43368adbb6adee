"""One run at a time in a folder: two would overwrite each other's checkpoints and log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from asr.errors import OutputError, TrainingError

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds `folder` until the block ends, or the process does, however it is ended.

    A file that a killed process left behind does not block: the operating system has released it.
    Processes that are forked from this one, such as those that load data, do not hold it.

    Raises:
        TrainingError: another run holds it.
        OutputError: it cannot be written.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise TrainingError(
            f"{folder}: another run is training there; wait for it or stop it, or choose "
            "another folder (-o)"
        ) from None
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written: {error.strerror or error}; choose another folder (-o)"
        ) from None
    try:
        yield
    finally:
        lock.release()
