"""What the time of a step goes to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from asr.atomic import write_atomic

#: Batches that pass before: kernels are chosen and memory is asked for in the first ones.
WARM = 20
#: Lines of the table.
ROWS = 40


class StepProfile(pl.Callback):
    """Profiles `batches` batches once a run is warm and writes `folder/profile.txt`."""

    def __init__(self, batches: int, folder: Path) -> None:
        self.batches = batches
        self.folder = folder
        self._profiler: Any = None
        self._started = 0.0
        self._seen = 0

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Starts when it is time."""
        if self._seen == WARM and trainer.is_global_zero:
            activities = [torch.profiler.ProfilerActivity.CPU]
            if torch.cuda.is_available():
                activities.append(torch.profiler.ProfilerActivity.CUDA)
            self._profiler = torch.profiler.profile(activities=activities)
            self._profiler.start()
            self._started = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Ends, and writes."""
        self._seen += 1
        done = self._seen - WARM
        if self._profiler is None or done < self.batches:
            return
        seconds = time.monotonic() - self._started
        self._profiler.stop()
        by = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        table = self._profiler.key_averages().table(sort_by=by, row_limit=ROWS)
        told = f"{done} batches in {seconds:.2f} s ({seconds / done * 1000:.1f} ms each)\n\n"
        write_atomic(self.folder / "profile.txt", told + table)
        self._profiler = None
