"""Folders that appear whole or not at all, and the check that their files are as they were."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from asr.errors import ModelError, OutputError
from asr.folders import CONFIG, unreadable


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


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file that stands in `folder` now, by name."""
    return {path.name: _digest(path) for path in sorted(folder.iterdir())}


def check_files(folder: Path, known: Mapping[str, str]) -> None:
    """Compares files with their digests.

    Raises:
        ModelError: one is missing, cannot be read, or is not what it was.
    """
    for name, digest in known.items():
        path = folder / name
        if not path.is_file():
            raise ModelError(f"{path}: missing; the model folder is not complete, copy it again")
        try:
            found = _digest(path)
        except OSError as error:
            raise unreadable(path, error) from None
        if found != digest:
            raise ModelError(
                f"{path}: truncated or altered (its SHA-256 is not the one in {CONFIG}); "
                "copy it again"
            )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
