"""Optimizer steps: batches add gradients, and a step divides and applies them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from asr.train.optimizer import OptimizerConfig, Schedule, build_optimizer
from asr.train.state import RunState
from asr.train.weights.ema import Ema
from asr.train.weights.sharding import exchange_gradients, is_sharded, local, total_norm


class TrainingBatch(Protocol):
    """What the loop and the steps know of a batch: batch number `index` of an epoch."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of its rows."""

    @property
    def epoch(self) -> int:
        """From 0."""

    @property
    def index(self) -> int:
        """From 0, in its epoch."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """A line for each row that could not be had."""

    def to(self, device: torch.device, non_blocking: bool = False) -> TrainingBatch:
        """The same with the tensors on `device`."""


@dataclass(frozen=True)
class StepSettings:
    """What decides about steps: `accumulate` batches make one, gradients are scaled down to
    `clip_norm`, `ema` is the decay of the average of the weights (0: none).
    """

    optimizer: OptimizerConfig
    schedule: Schedule
    clip_norm: float
    ema: float
    accumulate: int = 1


@dataclass(frozen=True)
class StepResult:
    """One optimizer step; `sums` are over its batches, of all processes.

    `applied` is False where loss or gradient were not finite.
    """

    sums: dict[str, float]
    grad_norm: float
    lr: float
    applied: bool

    @property
    def labels(self) -> float:
        """That were trained on (each end of a sequence counts as one)."""
        return self.sums["labels"]

    @property
    def stop(self) -> bool:
        """Whether a process wants training to stop."""
        return self.sums["stop"] > 0

    def mean(self, name: str) -> float:
        """Of a sum, per label."""
        return self.sums[name] / max(self.labels, 1.0)


class StepModule(pl.LightningModule, ABC):
    """Trains `model` by steps.

    Optimisation is manual in Lightning's sense: a step is skipped as a whole when its gradient is
    not finite, gradients are divided by the labels of all their batches, which accumulate over
    batches and processes, and accumulation ends with each epoch.

    Args:
        sums: names of what `add_gradient` is given of each batch, among them `loss` (first),
            `labels` and `stop`.
    """

    model: nn.Module

    def __init__(self, sums: Sequence[str], settings: StepSettings, run: RunState) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.run = run
        self.progress = 0.0  # part of the run that is done, for schedules with an end
        self.stop_wanted = False
        self.result: StepResult | None = None  # of the step that ended with the last batch
        self.ema: Ema | None = None
        self._ema_state: dict[str, Any] | None = None
        self._names = tuple(sums)
        self._settings = settings
        # ids and loss of each batch, of the step being gathered and of the one before
        self._gathered: list[tuple[tuple[str, ...], Tensor]] = []
        self._last: list[tuple[tuple[str, ...], Tensor]] = []
        self._sums = torch.zeros(len(self._names))

    # -- Lightning's hooks -------------------------------------------------------------------------

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW, fused."""
        return build_optimizer(self.model, self._settings.optimizer)

    def on_fit_start(self) -> None:
        """Starts or continues the average, which lives on the device from here on."""
        if self._settings.ema:
            self.ema = Ema(self.model, self._settings.ema)
            self._continue_average()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what a run needs to go on as if nothing had happened."""
        checkpoint["run"] = self.run.state_dict()
        checkpoint["ema"] = self.ema.state_dict() if self.ema is not None else None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes it back, and has Lightning's loop begin with the rest of the epoch."""
        self.run.load_state_dict(checkpoint["run"])
        self._ema_state = checkpoint["ema"]
        self._continue_average()
        _begin_with_rest_of_epoch(checkpoint["loops"]["fit_loop"], self.run.epoch)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, _: int) -> Any:
        """Everything that is not a tensor stays."""
        return batch.to(device, non_blocking=True)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Processes exchange gradients only with the last batch of a step."""
        wrapped = self.trainer.strategy.model
        if isinstance(wrapped, DistributedDataParallel):
            wrapped.require_backward_grad_sync = self.completes_step(ahead=1)
        elif is_sharded(self.model):
            exchange_gradients(self.model, self.completes_step(ahead=1))

    # -- for subclasses ----------------------------------------------------------------------------

    def add_gradient(self, ids: tuple[str, ...], sums: Tensor) -> None:
        """Adds the gradient of a batch, given the sums over it (see `sums`)."""
        loss = sums[0]
        # a loss that is not finite makes every gradient NaN, here and, once they have been
        # exchanged, in all processes: they agree to skip the step without another message
        poison = torch.where(torch.isfinite(loss.detach()), 1.0, float("nan"))
        self.manual_backward(loss * poison)
        self._sums = self._sums.to(loss.device) + sums.detach()
        self._gathered.append((ids, loss.detach()))

    def end_batch(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Makes the step if it ends with this batch. Returns what Lightning shows to callbacks.

        The run's place moves on with the step: a checkpoint that a callback writes within a step
        has none of its gradients, so from there all of its batches must come again.
        """
        loss = self._gathered[-1][1]
        self.result = self.finish_step() if self.completes_step() else None
        if self.result is not None:
            ends = bool(self.trainer.is_last_batch)
            place = (batch.epoch + 1, 0) if ends else (batch.epoch, batch.index + 1)
            self.run.epoch, self.run.batch = place
        return {"loss": loss}

    def completes_step(self, ahead: int = 0) -> bool:
        """Whether a step ends with the last batch, or with the one that comes (`ahead` 1)."""
        last = bool(self.trainer.is_last_batch)
        return last or len(self._gathered) + ahead >= self._settings.accumulate

    def finish_step(self) -> StepResult:
        """Turns the gathered gradients into a step, or drops them where they are not finite.

        The numbers come to the host in one transfer, the only one of a step.
        """
        world = self.trainer.world_size
        if world > 1:
            torch.distributed.all_reduce(self._sums)
        labels = self._sums[self._names.index("labels")]
        weights = self.model.parameters()
        gradients = [local(weight.grad) for weight in weights if weight.grad is not None]
        # processes have exchanged the mean of their gradients: times `world` is the sum
        scale = world / labels
        norm = total_norm(gradients, is_sharded(self.model)) * scale
        *values, norm_value = torch.cat((self._sums, norm.float()[None])).tolist()
        sums = dict(zip(self._names, values, strict=True))
        applied = math.isfinite(norm_value) and math.isfinite(sums["loss"])
        optimizer, lr = self.optimizers(), self.learning_rate()
        assert not isinstance(optimizer, list)
        if applied:
            clip = (self._settings.clip_norm / (norm + 1e-6)).clamp(max=1.0)
            torch._foreach_mul_(gradients, scale * clip)
            for group in optimizer.param_groups:
                group["lr"] = lr * group.get("factor", 1.0)  # older checkpoints have none
            optimizer.step()
            if self.ema is not None:
                self.ema.update()
        optimizer.zero_grad(set_to_none=True)
        self._advance(sums, applied)
        return StepResult(sums, norm_value, lr, applied)

    def learning_rate(self) -> float:
        """Of the next step."""
        factor = self._settings.schedule.factor(self.run.step + 1, self.progress)
        return self._settings.optimizer.lr * factor

    def not_finite(self) -> list[str]:
        """Ids of the batches of the last step whose loss was not finite, of all processes; of all
        its batches if only the gradient was not.
        """
        bad = [ids for ids, loss in self._last if not math.isfinite(float(loss))]
        names = [name for ids in bad or [ids for ids, _ in self._last] for name in ids]
        if self.trainer.world_size == 1:
            return names
        everyone: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(everyone, (bool(bad), names))
        certain = [theirs for sure, theirs in everyone if sure]
        return [name for part in certain or [theirs for _, theirs in everyone] for name in part]

    # -- what a loop shows and logs ----------------------------------------------------------------

    @abstractmethod
    def work_done(self) -> float:
        """What the speed is measured in: seconds of audio, or labels."""

    @abstractmethod
    def describe(self, result: StepResult, speed: float) -> str:
        """A step in words, for people; `speed` is work a second."""

    def figures(self, result: StepResult, speed: float) -> dict[str, float]:
        """A step by the names of the log; what was not measured is left out."""
        return {
            "loss": result.mean("loss"),
            "lr": result.lr,
            "grad_norm": result.grad_norm,
            "skipped": self.run.skipped,
        }

    def _continue_average(self) -> None:
        """As soon as the average and its state are there; strategies differ in which is first."""
        if self.ema is not None and self._ema_state is not None:
            self.ema.load_state_dict(self._ema_state)
            self._ema_state = None

    def _advance(self, sums: dict[str, float], applied: bool) -> None:
        run = self.run
        run.audio_seconds += sums.get("seconds", 0.0) if applied else 0.0
        run.labels += round(sums["labels"]) if applied else 0
        run.step += applied
        run.skipped += not applied
        run.skipped_in_row = 0 if applied else run.skipped_in_row + 1
        self._last, self._gathered = self._gathered, []
        self._sums = torch.zeros_like(self._sums)


def _begin_with_rest_of_epoch(fit_loop: dict[str, Any], epoch: int) -> None:
    """Lets a saved state of Lightning's loops say: so many epochs are done, none has begun.

    Lightning can go on within an epoch, but then from its own count of batches, which it saves
    before the batch that a callback saves after is complete. The run's own state is exact.
    """
    for count in fit_loop["epoch_progress"].values():
        count.update(dict.fromkeys(count, epoch))
    batches = fit_loop["epoch_loop.batch_progress"]
    batches["total"].update(dict.fromkeys(batches["total"], batches["total"]["ready"]))
    batches["current"].update(dict.fromkeys(batches["current"], 0))
    batches["is_last_batch"] = False
