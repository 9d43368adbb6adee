"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from asr.errors import OutputError


def write_whole(path: Path, text: str) -> None:
    """Writes `text` (UTF-8) to `path`: a reader sees the old file or the new one, never a part.

    The text goes to a temporary file in the same folder first, so a full disk, a crash or Ctrl-C
    leaves what was there. A name that is not valid Unicode is written as JSON-style escapes.

    Raises:
        OutputError: the file cannot be written.
    """
    # A name of its own: the target's may be as long as the file system allows.
    fresh = path.parent / f".asr-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        try:
            with open(fresh, "xb") as file:
                file.write(text.encode("utf-8", "backslashreplace"))
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


def check_writable(folder: Path) -> None:
    """Makes `folder` where it is missing and proves that files can be written to it.

    Raises:
        OutputError: they cannot.
    """
    probe = folder / f".asr-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"can this be written?")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        said = error.strerror or str(error)
        raise OutputError(
            f"{folder}: cannot be written to: {said}; name another folder with -o"
        ) from None
