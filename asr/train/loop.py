"""What happens around the steps of a run: validation, checkpoints, the log, and when it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping

from asr.errors import TrainingError
from asr.train.call_time import CallTime
from asr.train.checkpoint import LAST
from asr.train.interrupt import stop_signals
from asr.train.report.progress import TrainingProgress
from asr.train.steps import StepModule, StepResult, TrainingBatch

#: For the speed that is shown: how much of the past it looks at, in seconds.
SPEED_WINDOW = 60.0


@dataclass(frozen=True)
class RunPlan:
    """When a run ends, and what happens how often.

    A run ends after `epochs`, `max_steps`, `total_time` seconds of all calls or when the time of
    this one (`call`) is over: what comes first. Validations come after so many steps (None: at each
    epoch's end), checkpoints after so many steps or minutes. After `bad_steps` in a row that are
    not finite, training gives up.
    """

    epochs: int | None
    max_steps: int | None
    total_time: float | None
    call: CallTime
    validation_steps: int | None
    checkpoint_steps: int | None
    checkpoint_minutes: float
    log_steps: int
    bad_steps: int

    @property
    def ends(self) -> bool:
        """Whether it is known where the run ends, however many calls that takes."""
        return not (self.epochs is None and self.max_steps is None and self.total_time is None)


class Evaluation(Protocol):
    """What is measured during a run, and what becomes of its weights."""

    def validate(self, module: Any) -> None:
        """Measures the weights as they are now, after a step."""

    def finish(self, module: Any) -> None:
        """Writes the result, after the last step."""

    def validations_at_end(self) -> int:
        """How many validations `finish` makes, where none was made after the last step."""

    def work(self) -> float:
        """Of a validation, in the unit of `StepModule.work_done`."""

    def after_checkpoint(self, module: Any) -> None:
        """Removes what the checkpoint that was just written does not need."""


class TrainingLoop(pl.Callback):
    """Sits behind every batch of a `StepModule`; all processes take the same decisions.

    `ended` says why training stopped: `epochs`, `max_steps`, `total_time`, `max_time`,
    `interrupted`, or `callback` where one of Lightning's callbacks stopped it. A run that a
    callback has stopped ends at once when it is called again, unless `recipe_changed`.
    """

    def __init__(
        self,
        plan: RunPlan,
        folder: Path,
        progress: TrainingProgress,
        evaluation: Evaluation,
        recipe_changed: bool = False,
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.progress = progress
        self.evaluation = evaluation
        self.recipe_changed = recipe_changed
        self.ended = ""
        self._epoch_batches: int | None = None
        self._take_signals = lambda: None

    @contextmanager
    def interruptible(self, trainer: pl.Trainer, module: StepModule) -> Iterator[None]:
        """Ctrl-C or SIGTERM ends the run after the step; a second one at once."""
        asked = False

        def stop() -> bool:
            """See `stop_signals`."""
            nonlocal asked
            if asked:
                return False
            asked = True
            if trainer.should_stop:  # the steps are over, and `ended` says why
                self.progress.say("the model is being written; once more to stop at once")
            else:
                self._want_stop(module, "interrupted")
                self.progress.say("stopping after this step; once more to stop at once")
            return True

        with stop_signals(stop) as self._take_signals:
            yield

    # -- Lightning's hooks -------------------------------------------------------------------------

    def on_load_checkpoint(
        self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Lets the recipe's patience win over the one that `EarlyStopping` keeps in its state."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            state = checkpoint["callbacks"].get(callback.state_key)
            if isinstance(callback, EarlyStopping) and state is not None:
                state["patience"] = callback.patience

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Clocks start; Lightning, which has just taken the signals, leaves them to us."""
        assert isinstance(module, StepModule)
        self._take_signals()
        self._epoch_batches = trainer.datamodule.epoch_batches()  # type: ignore[attr-defined]
        self._clock_before = module.run.clock
        self._started = self._checkpointed = self._step_began = time.monotonic()
        self._estimate = 0.0  # seconds of a validation, by the speed of training
        self._budget = self._steps_budget()
        self._progress_before = module.progress = self._fraction(module)
        self._marks = [(self._started, module.work_done())]
        if module.run.stopped and not self.recipe_changed:
            trainer.should_stop = True
        module.run.stopped = False
        self._stop_at_end(trainer, module)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: TrainingBatch,
        batch_idx: int,
    ) -> None:
        """After the last batch of a step: whatever is due."""
        assert isinstance(module, StepModule)
        run, last = module.run, bool(trainer.is_last_batch)
        for line in batch.left_out:
            run.left_out += 1
            self.progress.warn(f"left out of epoch {batch.epoch + 1}: {line}")
        if (result := module.result) is None:
            return
        self.plan.call.step_took(time.monotonic() - self._step_began)
        run.clock, self._budget = self._times(trainer)
        module.progress = self._fraction(module)
        if result.applied:
            self._report(trainer, module, result)
        else:
            self._skipped(trainer, module)
        validates = self._validation_due(module, last, result.applied)
        self._decide_stop(trainer, module, result, validates)
        if validates:
            with self.plan.call.validation():
                self.evaluation.validate(module)
        if self._checkpoint_due(module, trainer.should_stop):
            self.checkpoint(trainer, module)
        self._step_began = time.monotonic()

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """The state is kept, and the weights become the result."""
        assert isinstance(module, StepModule)
        if module.run.step == 0:
            return
        self.ended = self.ended or "callback"
        module.run.stopped = self.ended == "callback"
        self.checkpoint(trainer, module)
        same = "the same command goes on from here"
        reasons = {
            "max_time": f"training.max_time is over, with what validating and writing the model "
            f"take; {same}",
            "interrupted": f"interrupted; {same}",
            "callback": "a callback stopped the run; to go on, take it out of training.callbacks "
            "or change its arguments (a higher patience)",
        }
        if self.ended in reasons:
            self.progress.say(reasons[self.ended])
        before = module.run.best
        self.evaluation.finish(module)
        if module.run.best != before:  # how good the model is belongs to the state
            self.checkpoint(trainer, module)

    # -- parts -------------------------------------------------------------------------------------

    def checkpoint(self, trainer: pl.Trainer, module: StepModule) -> None:
        """Writes the state to resume from."""
        self._checkpointed = time.monotonic()
        with self.plan.call.checkpoint():
            trainer.save_checkpoint(self.folder / LAST, weights_only=False)
        self.evaluation.after_checkpoint(module)

    def _report(self, trainer: pl.Trainer, module: StepModule, result: StepResult) -> None:
        run, now = module.run, time.monotonic()
        self._marks.append((now, module.work_done()))
        while len(self._marks) > 2 and now - self._marks[1][0] > SPEED_WINDOW:
            self._marks.pop(0)
        since, before = self._marks[0]
        speed = (module.work_done() - before) / max(now - since, 1e-9)
        self._estimate = self.evaluation.work() / max(speed, 1e-9)
        done, left = self._time_left(module.progress, now)
        place = f"step {run.step}, epoch {run.epoch + bool(run.batch)}"
        text = f"{place}: {module.describe(result, speed)}"
        self.progress.step(text, done, left, f", lr {result.lr:.2g}")
        if run.step % self.plan.log_steps == 0 and trainer.loggers:
            figures = {f"{name}/train": v for name, v in module.figures(result, speed).items()}
            for logger in trainer.loggers:
                logger.log_metrics({"epoch": float(run.epoch), **figures}, run.step)

    def _skipped(self, trainer: pl.Trainer, module: StepModule) -> None:
        names, run = module.not_finite(), module.run
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        self.progress.say(
            f"after step {run.step}: loss or gradient is not finite; the batch is skipped "
            f"({run.skipped} so far, all in training/skipped.txt): {shown}"
        )
        if trainer.is_global_zero:
            training = self.folder.parent / "training"
            training.mkdir(exist_ok=True)
            with (training / "skipped.txt").open("a") as file:
                print(f"after step {run.step}:", *names, file=file)
        if run.skipped_in_row >= self.plan.bad_steps:
            run.skipped_in_row = 0  # whoever resumes gets as many tries again
            self.checkpoint(trainer, module)
            raise TrainingError(
                f"loss or gradient was not finite in {self.plan.bad_steps} steps in a "
                f"row, last with {shown}; the weights of step {run.step} are in "
                f"{self.folder / LAST}. Lower optimizer.lr or training.clip_norm, lengthen "
                "schedule.warmup_steps or set training.precision=32, then run again to go on"
            )

    def _decide_stop(
        self, trainer: pl.Trainer, module: StepModule, result: StepResult, validates: bool
    ) -> None:
        if self.plan.call.left(self._end_seconds(), self._estimate, validates) <= 0:
            self._want_stop(module, "max_time")
        # with several processes one that wants to stop tells the others in the next step's sums
        if result.stop and trainer.world_size > 1:
            reasons: list[str] = [""] * trainer.world_size
            torch.distributed.all_gather_object(reasons, self.ended)
            self.ended = max(reasons)  # all say the same: max_time rather than interrupted
        if result.stop or (module.stop_wanted and trainer.world_size == 1):
            trainer.should_stop = True
        self._stop_at_end(trainer, module)

    def _stop_at_end(self, trainer: pl.Trainer, module: StepModule) -> None:
        plan, run = self.plan, module.run
        ends = {
            "epochs": (run.epoch, plan.epochs),
            "max_steps": (run.step, plan.max_steps),
            "total_time": (run.clock, plan.total_time),
        }
        for name, (at, end) in ends.items():
            if end is not None and at >= end:
                self.ended = name
                trainer.should_stop = True

    def _want_stop(self, module: StepModule, why: str) -> None:
        if not module.stop_wanted:
            self.ended = why
            module.stop_wanted = True

    def _times(self, trainer: pl.Trainer) -> tuple[float, float]:
        """Seconds of training over all calls, and those that this call has for it; where they
        decide anything, those of process 0.
        """
        plan = self.plan
        times = self._clock_before + time.monotonic() - self._started, self._steps_budget()
        decides = plan.total_time is not None or (plan.call.limit and not plan.ends)
        return trainer.strategy.broadcast(times) if decides and trainer.world_size > 1 else times

    def _steps_budget(self) -> float:
        """Seconds from the first step of this call to its last one (NaN: no limit)."""
        call = self.plan.call
        if call.limit is None:
            return float("nan")
        return max(call.limit - (self._started - call.begun) - self._end_seconds(), 1e-9)

    def _end_seconds(self) -> float:
        return self.plan.call.end_seconds(self.evaluation.validations_at_end(), self._estimate)

    def _validation_due(self, module: StepModule, epoch_ends: bool, applied: bool) -> bool:
        every = self.plan.validation_steps
        if every is None:
            return epoch_ends
        return applied and module.run.step % every == 0

    def _checkpoint_due(self, module: StepModule, stopping: bool) -> bool:
        every = self.plan.checkpoint_steps
        if stopping or (every is not None and module.run.step % every == 0):
            return True
        return time.monotonic() - self._checkpointed >= 60 * self.plan.checkpoint_minutes

    def _fraction(self, module: StepModule) -> float:
        """The part of the run that is done, by steps, batches of the epochs or the clock."""
        plan, run = self.plan, module.run
        parts = [0.0]
        if plan.max_steps is not None:
            parts.append(run.step / plan.max_steps)
        if plan.epochs is not None:
            within = min(run.batch / self._epoch_batches, 1.0) if self._epoch_batches else 0.0
            parts.append((run.epoch + within) / plan.epochs)
        if plan.total_time is not None:
            parts.append(run.clock / plan.total_time)
        if plan.call.limit is not None and not plan.ends:
            parts.append((run.clock - self._clock_before) / self._budget)
        return min(max(parts), 1.0)

    def _time_left(self, fraction: float, now: float) -> tuple[float, float]:
        """The part of this call that is done, and the seconds that are left (NaN: unknown)."""
        spent = now - self._started
        ends = []
        if fraction > self._progress_before:
            ends.append(spent * (1 - fraction) / (fraction - self._progress_before))
        call = self.plan.call
        if call.limit is not None:
            ends.append(max(call.limit - (now - call.begun), 0.0))
        left = min(ends, default=float("nan"))
        return (spent / (spent + left) if left == left else 0.0), left
