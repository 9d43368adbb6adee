"""Checkpoints that are whole or not there.

A file is written beside its place, flushed to the disk and renamed: whatever kills the process,
the name points to the previous checkpoint or to the new one. Nothing but tensors and plain
values is in them, and loading executes nothing.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

from asr.errors import TrainingError

FORMAT = 1
LAST = "last.ckpt"
#: What torch and pickle raise on a file that is no checkpoint, or a broken one.
DAMAGE = (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError)


def write_whole(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Lets `write` fill a file that appears at `path` only when it is complete.

    Raises:
        TrainingError: it cannot be written (a full disk, most often); what was there stays.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        temporary.unlink(missing_ok=True)
        previous = f"; the previous one, {path}, is whole" if path.exists() else ""
        raise TrainingError(
            f"{path}: checkpoint cannot be written ({_reason(error)}){previous}; "
            "make room or choose another output folder, then run the same command to go on"
        ) from None


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Replaces the checkpoint to resume from.

    Raises:
        TrainingError: as `write_whole`.
    """
    write_whole(folder / LAST, lambda file: torch.save({"format": FORMAT, **state}, file))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint on the CPU.

    Raises:
        TrainingError: it is missing, damaged, of a newer format or holds more than plain values.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        version = state["format"]
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (
        RuntimeError,
        pickle.UnpicklingError,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrainingError(
            f"{path}: no checkpoint of asr, or damaged ({first}); start anew with --resume never"
        ) from None
    if version > FORMAT:
        raise TrainingError(f"{path}: written by a newer asr (format {version}); upgrade asr")
    return state


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "disk full?: " + text if "unexpected pos" in text or "write" in text else text
