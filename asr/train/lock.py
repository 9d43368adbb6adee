"""One run at a time in a folder: two would overwrite each other's checkpoints and log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asr.errors import OutputError, TrainingError

LOCK = ".lock"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Holds `folder` until the block ends, or the process does, however it is ended.

    Raises:
        TrainingError: another run holds it.
        OutputError: it cannot be written.
    """
    try:
        import fcntl
    except ImportError:  # Windows: nobody looks
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("w")
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written: {error.strerror or error}; choose another folder (-o)"
        ) from None
    with file:
        try:
            # of this process alone: those that load data do not inherit it and may outlive it
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(
                f"{folder}: another run is training there; wait for it or stop it, or choose "
                "another folder (-o)"
            ) from None
        except OSError:  # file systems without locks: nobody looks
            pass
        yield
