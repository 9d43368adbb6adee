"""Files and folders that appear whole or not at all: transcripts, checkpoints, models."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from asr.errors import OutputError

#: What files are called until they are whole (only a killed process leaves one behind).
TEMPORARY = ".asr-*.tmp"


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to fill; when the block ends it takes the place of `path` (folders are made).

    A reader sees the old file or the new one, never a part: what is written goes to a temporary
    file in the same folder first, so a full disk, a crash or Ctrl-C leaves what was there.

    Raises:
        OutputError: the file cannot be written. Other errors of the block pass.
    """
    fresh = _temporary(path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(fresh, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


def write_atomic(path: Path, content: str | bytes) -> None:
    """Writes a text (UTF-8) or bytes to `path` as `atomic_file` does.

    In a text, a name that is not valid Unicode is written as JSON-style escapes.

    Raises:
        OutputError: the file cannot be written.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")
    with atomic_file(path) as file:
        file.write(content)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill; when the block ends it takes the place of `folder`.

    Raises:
        OutputError: it cannot be written; what was there stays. Other errors of the block pass.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    try:
        fresh.chmod(0o755)
        yield fresh
        _replace(fresh, folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def check_writable(folder: Path, instead: str = "name another folder with -o") -> None:
    """Makes `folder` where it is missing and proves that files can be written to it.

    Args:
        instead: what to do where they cannot.

    Raises:
        OutputError: they cannot.
    """
    probe = _temporary(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"can this be written?")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{folder}: cannot be written to: {reason}; {instead}") from None


def _temporary(folder: Path) -> Path:
    """A name of its own: that of the target may be as long as the file system allows."""
    return folder / TEMPORARY.replace("*", f"{os.getpid()}-{secrets.token_hex(4)}")


def _replace(fresh: Path, folder: Path) -> None:
    """Puts `fresh` where `folder` is. A folder cannot be replaced in one call, so for a moment
    the old one stands beside it under another name.
    """
    if not folder.exists():
        os.replace(fresh, folder)
        return
    old = folder.with_name(f".{folder.name}-old-{os.getpid()}")
    os.replace(folder, old)
    try:
        os.replace(fresh, folder)
    except OSError:
        os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
