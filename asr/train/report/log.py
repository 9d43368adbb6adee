"""The log of a run: one CSV of training and dev figures, and the same for TensorBoard.

Numbers are written in full, so that two runs can be compared bit by bit. After a resume the lines
beyond the checkpoint are taken out: they are about to be written again.
"""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from pathlib import Path
from typing import Any

from asr.atomic import write_atomic
from asr.errors import TrainingError

COLUMNS = (
    "kind",  # train or dev
    "step",
    "epoch",
    "audio_hours",
    "loss",
    "ctc",
    "attention",
    "intermediate",
    "consistency",
    "accuracy",
    "diagonality",  # of attention on the dev sample, and its entropy
    "entropy",
    "wer",  # of the dev sample; in training as expected over n-best lists
    "lr",
    "grad_norm",
    "skipped",
    "audio_seconds_per_second",
    "gpu_percent",
    "gpu_gib",
)
#: What depends on the clock and not on the run.
TIMED = ("audio_seconds_per_second", "gpu_percent", "gpu_gib")


class TrainingLog:
    """Writes `log.csv` (and TensorBoard events beside it) in `folder`.

    Args:
        step: lines beyond it are dropped (the step that training continues from).
    """

    def __init__(self, folder: Path, step: int, tensorboard: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "log.csv"
        rows = [row for row in read_log(self.path) if int(row["step"]) <= step] if step else []
        kept = io.StringIO(newline="")
        writer = csv.DictWriter(kept, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
        write_atomic(self.path, kept.getvalue())
        self._file = self.path.open("a", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, COLUMNS, restval="")
        self._events: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, kind: str, step: int, **values: float) -> None:
        """Adds a line; it is on its way to the disk when this returns.

        Raises:
            TrainingError: it cannot be written (a full disk, most often).
        """
        told = {name: repr(value) for name, value in values.items()}
        try:
            self._writer.writerow({"kind": kind, "step": step, **told})
            self._file.flush()
        except OSError as error:
            raise TrainingError(
                f"{self.path}: cannot be written: {error.strerror or error}; make room, then run "
                "the same command to go on"
            ) from None
        if self._events is not None:
            for name, value in values.items():
                if name != "epoch":
                    self._events.add_scalar(f"{name}/{kind}", value, step)

    def text(self, name: str, text: str, step: int) -> None:
        """Shows `text` (Markdown) in TensorBoard."""
        if self._events is not None:
            self._events.add_text(name, text, step)

    def close(self) -> None:
        """Ends the log."""
        with suppress(OSError):  # what could not be written was told
            self._file.close()
        if self._events is not None:
            self._events.close()


def read_log(path: Path) -> list[dict[str, str]]:
    """The lines of a `log.csv` (none where there is no file) without any that a kill cut off."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if None not in row and None not in row.values()]
