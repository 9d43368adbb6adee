"""The log of a run, `log.csv`: training and dev figures, and what callbacks log.

Numbers are written in full, so that two runs can be compared bit by bit. After a resume the lines
beyond the checkpoint are taken out: they are about to be written again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

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


#: The metrics `loss/train` and `loss/dev` are the column `loss`, on lines of these kinds.
KINDS = ("train", "dev")
OTHER = "other"


class TrainingLog(Logger):
    """Writes `folder/log.csv`.

    Metrics that are not of a run itself, such as those of Lightning's own callbacks, are lines of
    the kind `other`; each has a column of its own, which is added when it is first logged.

    Args:
        step: lines beyond it are dropped (the step that training continues from).
    """

    def __init__(self, folder: Path, step: int) -> None:
        super().__init__()
        self.path = folder / "log.csv"
        self._from = step
        self._columns = list(COLUMNS)
        self._file: TextIO | None = None

    @property
    def name(self) -> str:
        """Of the logger; Lightning wants one."""
        return "log"

    @property
    def version(self) -> str:
        """There is one."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the recipe is written beside the log."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Adds a line; it is on its way to the disk when this returns.

        Raises:
            TrainingError: it cannot be written (a full disk, most often).
        """
        kinds = {name.rpartition("/")[2] for name in metrics if name != "epoch"}
        kind = kinds.pop() if len(kinds) == 1 and kinds <= set(KINDS) else OTHER
        row = {name.removesuffix(f"/{kind}"): repr(float(v)) for name, v in metrics.items()}
        if "epoch" in metrics:
            row["epoch"] = str(int(metrics["epoch"]))
        if "skipped" in row:
            row["skipped"] = str(int(metrics[f"skipped/{kind}"]))
        try:
            if self._file is None or not set(row) <= set(self._columns):
                self._open(row)
            assert self._file is not None
            writer = csv.DictWriter(self._file, self._columns, restval="")
            writer.writerow({"kind": kind, "step": step, **row})
            self._file.flush()
        except OSError as error:
            raise TrainingError(
                f"{self.path}: cannot be written: {error.strerror or error}; make room, then run "
                "the same command to go on"
            ) from None

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Ends the log."""
        if self._file is not None:
            with suppress(OSError):  # that it cannot be written was reported
                self._file.close()
            self._file = None

    def _open(self, row: Mapping[str, str]) -> None:
        """Opens the file, with what stays of it and columns for all of `row`."""
        rows = read_log(self.path) if self._file is not None or self._from else []
        if self._file is None:
            rows = _up_to(rows, self._from)
        self.finalize("")
        names = [*self._columns, *(rows[0] if rows else ()), *row]
        self._columns = list(dict.fromkeys(names))
        kept = io.StringIO(newline="")
        writer = csv.DictWriter(kept, self._columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
        write_atomic(self.path, kept.getvalue())
        self._file = self.path.open("a", newline="", encoding="utf-8")


def _up_to(rows: list[dict[str, str]], last: int) -> list[dict[str, str]]:
    """The lines up to step `last`. One without a step goes with the line before it."""
    kept, keep = [], True
    for row in rows:
        if row["step"].isdecimal():
            keep = int(row["step"]) <= last
        if keep:
            kept.append(row)
    return kept


def read_log(path: Path) -> list[dict[str, str]]:
    """The lines of a `log.csv` (none where there is no file) without any that a kill cut off."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if None not in row and None not in row.values()]
