"""What happens around the steps of a run: validation, checkpoints, logs, and when it ends."""

from __future__ import annotations

import mmap
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from asr.errors import TrainingError
from asr.train.checkpoint import save_checkpoint
from asr.train.feed import Fed
from asr.train.module import SpeechTraining, StepResult
from asr.train.recipe import Recipe
from asr.train.report.attention_check import advice
from asr.train.report.gpu import gpu_figures
from asr.train.report.log import TrainingLog
from asr.train.report.progress import TrainingProgress
from asr.train.validation import DevResult, Validator, sample_lines
from asr.train.weights.averaging import Snapshots
from asr.train.weights.export import Exported, chosen_weights, export, validated

#: For the speed that is shown: how much of the past it looks at, in seconds.
SPEED_WINDOW = 60.0


class TrainingLoop(pl.Callback):
    """Sits behind every batch of `SpeechTraining`; all processes take the same decisions.

    `ended` says why training stopped: `epochs`, `max_steps`, `max_time` or `interrupted`.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        snapshots: Snapshots,
        command: str,
    ) -> None:
        self.recipe = recipe
        self.folder = folder
        self.progress: TrainingProgress | None = None
        self.snapshots = snapshots
        self.command = command
        self.model_folder: Path | None = None
        self._measured: tuple[int, DevResult | None] = (-1, None)
        self.ended = "epochs"
        self.validator: Validator | None = None
        self.records: TrainingLog | None = None  # `log` is a name that Lightning takes
        self._epoch_batches: int | None = None
        self._clock_before = 0.0
        self._handlers: dict[signal.Signals, Callable[..., None]] = {}

    # -- Lightning's hooks -------------------------------------------------------------------------

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Clocks start; from here on signals come to `interruptible`, not to Lightning."""
        assert isinstance(module, SpeechTraining)
        for sign, handler in self._handlers.items():
            signal.signal(sign, handler)
        self._started = self._checkpointed = time.monotonic()
        self._marks = [(self._started, module.position.audio_seconds)]
        if self._reached_end(module):
            self.ended = "total_time" if self._out_of_time(module) else "max_steps"
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """The state is kept, the best weights are measured and become the model folder."""
        assert isinstance(module, SpeechTraining)
        at = module.position
        if at.step == 0:
            return
        self.checkpoint(module)

        def measure(what: str, same: bool) -> DevResult | None:
            step, result = self._measured
            return result if same and step == at.step else self.measure(module, what)

        self._say_why()
        with chosen_weights(module, self.snapshots, measure) as exported:
            self._export(module, exported)
        if self.recipe.checkpoint.export == "best":  # how good the model is belongs to the state
            self.checkpoint(module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Fed, index: int
    ) -> None:
        """After the last batch of a step: the step, and whatever is due."""
        assert isinstance(module, SpeechTraining)
        place = batch.batch
        at = module.position
        for line in place.left_out:
            at.left_out += 1
            self._warn(f"left out of epoch {place.epoch + 1}: {line}")
        at.epoch, at.batch = (place.epoch + 1, 0) if batch.last else (place.epoch, place.index + 1)
        if not module.completes_step(batch):
            return
        result = module.finish_step()
        at.clock = self._clock(trainer)
        module.progress = self._fraction(module)
        if result.applied:
            self._tell(module, result)
        else:
            self._skipped(trainer, module)
        self._decide_stop(trainer, module, result)
        if self._validation_due(module, batch.last, result.applied):
            self.validate(module)
        if self._checkpoint_due(module, trainer.should_stop):
            self.checkpoint(module)

    def set_epoch_batches(self, batches: int | None, module: SpeechTraining) -> None:
        """How many batches an epoch has (None: not known), told before the first one."""
        self._epoch_batches = batches
        self._clock_before = module.position.clock
        self._progress_before = module.progress = self._fraction(module)

    # -- parts -------------------------------------------------------------------------------------

    def validate(self, module: SpeechTraining) -> None:
        """Measures the averaged weights (the plain ones without `training.ema`) and keeps them."""
        with module.ema.swapped_in() if module.ema else nullcontext():
            result = self.measure(module)
            self._measured = (module.position.step, result)
            self._judge_attention(module, result)
            loss, first = result.loss if result else None, module.trainer.is_global_zero
            self.snapshots.add(module.model, module.position.step, loss, write=first)
            if self.recipe.checkpoint.export == "best" and result is not None:
                self._export(module, Exported(validated(module), result))

    def _judge_attention(self, module: SpeechTraining, result: DevResult | None) -> None:
        """Says what to change where attention has not formed after a while."""
        if result is None or self.progress is None:
            return
        shape, at = (result.diagonality, result.entropy), module.position
        if (told := advice(self.recipe, *shape, at.step, module.progress)) is not None:
            self.progress.say(told)

    def _export(self, module: SpeechTraining, exported: Exported) -> None:
        """Writes the model folder, unless the best is wanted and a better one is there."""
        at, folder = module.position, self.folder.parent
        loss = exported.result.loss if exported.result is not None else float("nan")
        if self.recipe.checkpoint.export == "best" and loss >= at.best:
            self.model_folder = folder / "model"
            return
        at.best = loss if loss == loss else at.best
        if module.trainer.is_global_zero:
            self.model_folder = export(folder, module, exported, self.command)

    def measure(self, module: SpeechTraining, what: str = "") -> DevResult | None:
        """Validates the weights that the model has and prints that; None without dev set.

        `what` names weights other than those that are validated all along, which alone are logged.
        """
        if self.validator is None:
            return None
        result, at = self.validator.run(module), module.position
        if self.records is not None and not what:
            figures = {n: v for n, v in result.figures().items() if v == v}
            self.records.write("dev", at.step, epoch=at.epoch, **figures)
        if self.progress is not None:
            self.progress.say(f"dev at step {at.step}{what and f', {what}'}: {result}")
            if not what and (shown := sample_lines(result.sample, self.recipe.validation.show)):
                self.progress.say(shown)
                if self.records is not None:
                    self.records.text("sample", shown, at.step)
        return result

    def checkpoint(self, module: SpeechTraining) -> None:
        """Writes the state to resume from."""
        self._checkpointed = time.monotonic()
        if module.trainer.is_global_zero:
            save_checkpoint(self.folder, module.run_state() | {"snapshots": self.snapshots.state()})
            self.snapshots.prune()

    def close(self) -> None:
        """Ends the log and the display."""
        if self.progress is not None:
            self.progress.close()
        if self.records is not None:
            self.records.close()

    def _warn(self, text: str) -> None:
        """Any process may have to say something; only the first one has a display."""
        if self.progress is not None:
            self.progress.say(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def _say_why(self) -> None:
        reasons = {
            "max_time": "training.max_time is over",
            "interrupted": "interrupted",
        }
        if self.progress is not None and self.ended in reasons:
            self.progress.say(f"{reasons[self.ended]}; the same command goes on from here")

    def _tell(self, module: SpeechTraining, result: StepResult) -> None:
        at, now = module.position, time.monotonic()
        self._marks.append((now, at.audio_seconds))
        while len(self._marks) > 2 and now - self._marks[1][0] > SPEED_WINDOW:
            self._marks.pop(0)
        since, heard = self._marks[0]
        speed = (at.audio_seconds - heard) / max(now - since, 1e-9)
        if self.progress is not None:
            done, left = self._time_left(module.progress, now)
            self.progress.step(result, at, speed, done, left)
        if self.records is not None and at.step % self.recipe.log.steps == 0:
            self.records.write(
                "train",
                at.step,
                epoch=at.epoch,
                audio_hours=at.audio_seconds / 3600,
                **result.figures(),
                skipped=at.skipped,
                audio_seconds_per_second=speed,
                **gpu_figures(module.device),
            )

    def _skipped(self, trainer: pl.Trainer, module: SpeechTraining) -> None:
        names, at = module.culprits(), module.position
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        if self.progress is not None:
            self.progress.say(
                f"after step {at.step}: loss or gradient is not finite; the batch is skipped "
                f"({at.skipped} so far, all in training/skipped.txt): {shown}"
            )
            with (self.folder.parent / "training" / "skipped.txt").open("a") as file:
                print(f"after step {at.step}:", *names, file=file)
        if at.skipped_in_row >= self.recipe.training.bad_steps:
            at.skipped_in_row = 0  # whoever resumes gets as many tries again
            self.checkpoint(module)
            raise TrainingError(
                f"loss or gradient was not finite in {self.recipe.training.bad_steps} steps in a "
                f"row, last with {shown}; the weights of step {at.step} are in "
                f"{self.folder / 'last.ckpt'}. Lower optimizer.lr or training.clip_norm, lengthen "
                "schedule.warmup_steps or set training.precision=32, then run again to go on"
            )

    def _decide_stop(self, trainer: pl.Trainer, module: SpeechTraining, result: StepResult) -> None:
        limit = self.recipe.training.max_time
        if limit is not None and time.monotonic() - self._started >= limit:
            self._want_stop(module, "max_time")
        # with several processes one that wants to stop tells the others in the next step's sums
        if result.stop or (module.stop_wanted and trainer.world_size == 1):
            trainer.should_stop = True
        if self._reached_end(module):
            self.ended = "total_time" if self._out_of_time(module) else "max_steps"
            trainer.should_stop = True

    def _reached_end(self, module: SpeechTraining) -> bool:
        last = self.recipe.training.max_steps
        return self._out_of_time(module) or (last is not None and module.position.step >= last)

    def _out_of_time(self, module: SpeechTraining) -> bool:
        total = self.recipe.training.total_time
        return total is not None and module.position.clock >= total

    def _clock(self, trainer: pl.Trainer) -> float:
        """Seconds of training over all calls; where they decide anything, those of process 0."""
        training = self.recipe.training
        clock = self._clock_before + time.monotonic() - self._started
        told = training.total_time is not None or (training.max_time and not training.ends)
        return trainer.strategy.broadcast(clock) if told and trainer.world_size > 1 else clock

    def _want_stop(self, module: SpeechTraining, why: str) -> None:
        if not module.stop_wanted:
            self.ended = why
            module.stop_wanted = True

    def _validation_due(self, module: SpeechTraining, epoch_ends: bool, applied: bool) -> bool:
        every = self.recipe.validation.steps
        if every is None:
            return epoch_ends
        return applied and module.position.step % every == 0

    def _checkpoint_due(self, module: SpeechTraining, stopping: bool) -> bool:
        every = self.recipe.checkpoint.steps
        if stopping or (every is not None and module.position.step % every == 0):
            return True
        return time.monotonic() - self._checkpointed >= 60 * self.recipe.checkpoint.minutes

    def _fraction(self, module: SpeechTraining) -> float:
        """The part of the run that is done, by steps, batches of the epochs or the clock."""
        training, at = self.recipe.training, module.position
        parts = [0.0]
        if training.max_steps is not None:
            parts.append(at.step / training.max_steps)
        if training.epochs is not None:
            within = min(at.batch / self._epoch_batches, 1.0) if self._epoch_batches else 0.0
            parts.append((at.epoch + within) / training.epochs)
        if training.total_time is not None:
            parts.append(at.clock / training.total_time)
        if training.max_time is not None and not training.ends:
            parts.append((at.clock - self._clock_before) / training.max_time)
        return min(max(parts), 1.0)

    def _time_left(self, fraction: float, now: float) -> tuple[float, float]:
        """The part of this call that is done, and the seconds that are left (NaN: unknown)."""
        spent = now - self._started
        ends = []
        if fraction > self._progress_before:
            ends.append(spent * (1 - fraction) / (fraction - self._progress_before))
        if self.recipe.training.max_time is not None:
            ends.append(max(self.recipe.training.max_time - spent, 0.0))
        left = min(ends, default=float("nan"))
        return (spent / (spent + left) if left == left else 0.0), left

    @contextmanager
    def interruptible(self, module: SpeechTraining) -> Iterator[None]:
        """Ctrl-C or SIGTERM ends the run after the step; a second one at once."""

        process, over = os.getpid(), mmap.mmap(-1, 1)  # a byte that workers see as well

        def stop(*_: Any) -> None:
            if os.getpid() != process:  # a worker that loads data: needed until the run is over
                if over[0]:
                    os._exit(0)
                return
            if module.stop_wanted and self.ended == "interrupted":
                raise KeyboardInterrupt
            self._want_stop(module, "interrupted")
            if self.progress is not None:
                self.progress.say("stopping after this step; once more to stop at once")

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._handlers = dict.fromkeys((signal.SIGINT, signal.SIGTERM), stop)
        before = {sign: signal.signal(sign, stop) for sign in self._handlers}
        try:
            yield
        finally:
            over[0] = 1
            self._handlers = {}
            for sign, handler in before.items():
                signal.signal(sign, handler)
