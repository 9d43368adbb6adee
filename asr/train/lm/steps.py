"""The loop that trains a neural language model: steps, checkpoints, validation, and its end."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from asr.errors import TrainingError
from asr.lm.perplexity import Perplexity, perplexity
from asr.lm.protocol import NeuralLanguageModel
from asr.train.checkpoint import save_checkpoint
from asr.train.lm.batches import epoch_of, epoch_seed, labels_of
from asr.train.lm.recipe import LMRecipe
from asr.train.lm.texts import PreparedTexts
from asr.train.optimizer import build_optimizer
from asr.train.report.duration import format_duration
from asr.train.report.progress import TrainingProgress
from asr.train.seeds import derive
from asr.train.weights.ema import Ema

#: A step that seems longer than this (seconds) was paused: the rest is no time of training.
_PAUSE = 60.0
#: After so many steps in a row whose loss is not finite, training gives up.
_BAD_STEPS = 5


@dataclass
class Position:
    """Where a run stands: `batch` of `epoch` is next; `clock` is seconds of training so far."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    labels: int = 0
    clock: float = 0.0


class LMTraining:
    """One call of training. `ended` says why it stopped: `epochs`, `time`, `max_time` or
    `interrupted`; `measured` is the last validation.
    """

    def __init__(
        self,
        recipe: LMRecipe,
        lm: NeuralLanguageModel,
        data: PreparedTexts,
        folder: Path,
        progress: TrainingProgress,
    ) -> None:
        self.recipe = recipe
        self.lm = lm
        self.data = data
        self.folder = folder
        self.progress = progress
        self.optimizer = build_optimizer(lm, recipe.optimizer)
        self.ema = Ema(lm, recipe.training.ema)
        self.at = Position()
        self.ended = ""
        self.measured: Perplexity | None = None
        self._bad = 0
        self._loss = math.nan

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "recipe": self.recipe.model_dump(mode="json"),
            "pieces": list(self.data.pieces),
            "texts": self.data.train.digest(),
            "model": self.lm.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.state_dict(),
            "at": asdict(self.at),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint.

        Raises:
            TrainingError: it is of another model, or of another tokenizer.
        """
        made, now = state["recipe"]["lm"], self.recipe.model_dump(mode="json")["lm"]
        if made != now:
            raise TrainingError(
                f"the checkpoint is of another model ({made}, not {now}); restore the options, or "
                "start anew with --resume never or another folder (-o)"
            )
        pieces = list(self.data.pieces)
        if state.get("pieces", pieces) != pieces:  # the first checkpoints did not tell
            raise TrainingError(
                "the checkpoint is of another tokenizer; name the first one (--tokenizer), or "
                "start anew with --resume never or another folder (-o)"
            )
        if state["texts"] != self.data.train.digest():
            self.progress.say("the texts are not those that the run began with")
        self.lm.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema.load_state_dict(state["ema"])
        self.at = Position(**state["at"])

    def run(self, bf16: bool, max_time: float | None) -> None:
        """Trains until an end is reached; a checkpoint is written then.

        Args:
            bf16: multiply in bfloat16. max_time: seconds of this call; None has no limit.
        """
        training = self.recipe.training
        began = saved = time.monotonic()
        before, speed = began, _Speed(self.at.labels)
        with self._interruptible():
            while self.at.epoch < training.epochs and not self.ended:
                seed = epoch_seed(training.seed, self.at.epoch)
                epoch = epoch_of(self.data.train, self.recipe.text, training.batch_labels, seed)
                if not self.at.step:
                    self._warn_of_short_run(len(epoch.batches))
                for rows in epoch.batches[self.at.batch :]:
                    self._step(rows, len(epoch.batches), bf16)
                    now = time.monotonic()
                    self.at.clock += min(now - before, _PAUSE)
                    before = now
                    self._show(len(epoch.batches), speed.of(self.at.labels, now))
                    if self.at.step % training.validation_steps == 0:
                        self.validate()
                    if training.total_time is not None and self.at.clock >= training.total_time:
                        self.ended = self.ended or "time"
                    if max_time is not None and now - began >= max_time:
                        self.ended = self.ended or "max_time"
                    if self.ended:
                        break
                    if now - saved >= 60 * training.checkpoint_minutes:
                        saved = now
                        save_checkpoint(self.folder, self.state())
                else:
                    self.at.epoch, self.at.batch = self.at.epoch + 1, 0
        self.ended = self.ended or "epochs"
        save_checkpoint(self.folder, self.state())

    def _warn_of_short_run(self, batches: int) -> None:
        """A run that is mostly warm-up ends with a model that knows nothing."""
        training, warmup = self.recipe.training, self.recipe.schedule.warmup_steps
        steps = batches * training.epochs
        if warmup > steps // 5:
            self.progress.say(
                f"there is little text: {steps} steps in {training.epochs} epochs, of which "
                f"{min(warmup, steps)} are warm-up, so it will hardly learn; n-grams learn more of "
                f"it (--type ngram), or set training.epochs={max(1, 5 * warmup // batches)} or "
                f"schedule.warmup_steps={steps // 10}"
            )

    def validate(self) -> Perplexity:
        """Measures the averaged weights on the dev texts."""
        dev = self.data.dev
        self.lm.eval()
        with self.ema.swapped_in():
            words, end = int(dev.words.sum()), self.data.labels.end
            self.measured = perplexity(self.lm, dev.texts(), words, end)
        self.lm.train()
        self.progress.say(f"dev at step {self.at.step}: {self.measured}")
        return self.measured

    def fraction(self, batches: int) -> float:
        """The part of the run that is done, by epochs or by time."""
        training = self.recipe.training
        parts = [(self.at.epoch + self.at.batch / batches) / training.epochs]
        if training.total_time is not None:
            parts.append(self.at.clock / training.total_time)
        return min(max(parts), 1.0)

    def _step(self, rows: Any, batches: int, bf16: bool) -> None:
        training = self.recipe.training
        device = self.lm.device
        torch.manual_seed(derive(training.seed, "step", self.at.step))  # of dropout
        factor = self.recipe.schedule.factor(self.at.step + 1, self.fraction(batches))
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.optimizer.lr * factor
        tokens, following = labels_of(self.data.train, rows, self.data.labels.end)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = self.lm(tokens.to(device))
        loss = F.cross_entropy(logits.float().flatten(0, 1), following.to(device).flatten())
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.lm.parameters(), training.clip_norm)
        self._bad = 0 if bool(norm.isfinite()) else self._bad + 1
        if self._bad >= _BAD_STEPS:
            raise TrainingError(
                f"the gradient was not finite in {_BAD_STEPS} steps in a row; lower optimizer.lr "
                "or set training.precision=32, then run again to go on"
            )
        if not self._bad:
            self.optimizer.step()
            self.ema.update()
            value = loss.item()
            self._loss = value if self._loss != self._loss else 0.98 * self._loss + 0.02 * value
        self.optimizer.zero_grad(set_to_none=True)
        self.at.step += 1
        self.at.batch += 1
        self.at.labels += int((following >= 0).sum())

    def _show(self, batches: int, speed: float) -> None:
        done = self.fraction(batches)
        left = format_duration(self.at.clock * (1 - done) / done) if done else "?"
        text = (
            f"step {self.at.step}, epoch {self.at.epoch + 1}: perplexity a label "
            f"{math.exp(min(self._loss, 50.0)):.2f}, {speed:.0f} labels/s, {left} left"
        )
        self.progress.line(text, done, f", lr {self.optimizer.param_groups[0]['lr']:.2g}")

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C or SIGTERM ends the run after the step; a second one at once."""

        def stop(*_: Any) -> None:
            if self.ended == "interrupted":
                raise KeyboardInterrupt
            self.ended = "interrupted"
            self.progress.say("stopping after this step; once more to stop at once")

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {sign: signal.signal(sign, stop) for sign in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sign, handler in before.items():
                signal.signal(sign, handler)


class _Speed:
    """Labels a second, over about the last minute."""

    def __init__(self, labels: int) -> None:
        self._marks = [(time.monotonic(), labels)]

    def of(self, labels: int, now: float) -> float:
        self._marks.append((now, labels))
        while len(self._marks) > 2 and now - self._marks[1][0] > 60:
            self._marks.pop(0)
        since, before = self._marks[0]
        return (labels - before) / max(now - since, 1e-9)
