"""Checkpoints that are whole or not there, whatever kills the process.

Nothing but tensors and plain values is in them, and loading executes nothing.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from asr.atomic import atomic_file
from asr.errors import OutputError, TrainingError

FORMAT = 1
LAST = "last.ckpt"
#: What torch and pickle raise on a file that is no checkpoint, or a broken one.
DAMAGE = (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError)


@contextmanager
def state_file(path: Path) -> Iterator[BinaryIO]:
    """A file to fill with what a run needs to go on; it is whole or not there (`atomic_file`).

    Raises:
        TrainingError: it cannot be written (a full disk, most often); what was there stays.
    """
    try:
        with atomic_file(path) as file:
            yield file
    except (OutputError, RuntimeError) as error:
        told = str(error)
        if isinstance(error, RuntimeError):  # so torch reports a full disk
            told = f"{path}: cannot be written: disk full? ({told.splitlines()[0]})"
        previous = "; the previous one is whole" if path.exists() else ""
        raise TrainingError(
            f"{told}{previous}; make room or choose another output folder, then run the same "
            "command to go on"
        ) from None


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Replaces the checkpoint to resume from.

    Raises:
        TrainingError: as `state_file`.
    """
    with state_file(folder / LAST) as file:
        torch.save({"format": FORMAT, **state}, file)


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
    except DAMAGE as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrainingError(
            f"{path}: no checkpoint of asr, or damaged ({first}); start anew with --resume never"
        ) from None
    if version > FORMAT:
        raise TrainingError(f"{path}: written by a newer asr (format {version}); upgrade asr")
    return state
