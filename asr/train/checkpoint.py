"""Lightning's checkpoints, which are whole or not there, whatever kills the process.

Nothing but tensors and plain values is in them, and loading executes nothing.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.pytorch.plugins.io import CheckpointIO

from asr.atomic import atomic_file
from asr.dependencies import first_line
from asr.errors import OutputError, TrainingError

FORMAT = 2
LAST = "last.ckpt"
#: What torch and pickle raise on a file that is no checkpoint, or a broken one.
DAMAGE = (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError)
#: How torch names a class that it refuses to load, and where it says what else is wrong.
_REFUSED = re.compile(r"GLOBAL (\S+)")
_DETAIL = re.compile(r"WeightsUnpickler error:\s*(.+)")
#: Parts of a checkpoint that no callback has written, and that are large.
_WEIGHTS = ("state_dict", "optimizer_states", "ema")


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
        message = str(error)
        if isinstance(error, RuntimeError):  # so torch reports a full disk
            message = f"{path}: cannot be written: disk full? ({message.splitlines()[0]})"
        previous = "; the previous one is whole" if path.exists() else ""
        raise TrainingError(
            f"{message}{previous}; make room or choose another output folder, then run the same "
            "command to go on"
        ) from None


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Writes or replaces a checkpoint.

    Raises:
        TrainingError: as `state_file`.
    """
    with state_file(path) as file:
        torch.save({"format": FORMAT, **state}, file)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint on the CPU. Tensors stay in the file until they are used.

    Raises:
        TrainingError: it is missing, damaged, of another format or holds more than plain values.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        version = state["format"]
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror or error})") from None
    except DAMAGE as error:
        raise TrainingError(
            f"{path}: no checkpoint of asr, or damaged ({_reason(error)}); start anew with "
            "--resume never"
        ) from None
    if version > FORMAT:
        raise TrainingError(f"{path}: written by a newer asr (format {version}); upgrade asr")
    if version < FORMAT:
        raise TrainingError(
            f"{path}: written by an older asr (format {version}), which alone can go on from it; "
            "start a new run from the weights of its model folder with --init, in another folder "
            "(-o) or with --resume never"
        )
    return state


def check_callbacks(checkpoint: Mapping[str, Any]) -> None:
    """Refuses what callbacks put into a checkpoint if it could be written, but not be read again.

    Raises:
        TrainingError: it holds something else than tensors and plain values.
    """
    states = {f"the state of {name}": s for name, s in checkpoint.get("callbacks", {}).items()}
    for key, value in checkpoint.items():
        if key not in (*_WEIGHTS, "callbacks"):
            states[f"the entry '{key}', which a callback adds,"] = value
    for name, state in states.items():
        copy = io.BytesIO()
        try:
            torch.save(state, copy)
            copy.seek(0)
            torch.load(copy, map_location="cpu", weights_only=True)
        except Exception as error:  # of any kind: it is not our class
            raise TrainingError(
                f"training.callbacks: {name} cannot be read back from a checkpoint "
                f"({_reason(error)}); keep nothing but tensors, numbers, strings, lists and "
                "dictionaries there"
            ) from None


def _reason(error: Exception) -> str:
    """What torch's message says, without its advice."""
    message = str(error)
    if refused := _REFUSED.search(message):
        return f"it holds {refused[1]}, which is no plain value"
    if detail := _DETAIL.search(message):
        return detail[1]
    return first_line(error)


class SafeCheckpointIO(CheckpointIO):
    """What Lightning writes and reads checkpoints with, its own and those of callbacks."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """See `save_checkpoint` and `check_callbacks`."""
        check_callbacks(checkpoint)
        save_checkpoint(Path(path), checkpoint)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """See `load_checkpoint`."""
        return load_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Removes it, if it is there."""
        Path(path).unlink(missing_ok=True)
