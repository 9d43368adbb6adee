"""Training of a neural language model: its batches, its loss, and what is measured on the way."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from asr.lm.perplexity import Perplexity, perplexity
from asr.lm.protocol import NeuralLanguageModel
from asr.train.lm.batches import epoch_of, epoch_seed, labels_of
from asr.train.lm.recipe import LMRecipe
from asr.train.lm.texts import PreparedTexts
from asr.train.report.progress import TrainingProgress
from asr.train.state import RunState, derive
from asr.train.steps import StepModule, StepResult, StepSettings

#: What a batch comes to; `loss` is the sum of the negative log probabilities of its labels.
SUMS = ("loss", "labels", "stop")
#: How slowly the perplexity that is shown follows that of the steps.
_SMOOTHING = 0.98


@dataclass(frozen=True)
class TextBatch:
    """Batch number `index` of an epoch: `tokens` (B, U), and what follows each (-100: nothing)."""

    tokens: Tensor
    following: Tensor
    epoch: int
    index: int
    left_out: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Texts have no names; the batch has."""
        return (f"batch {self.index + 1} of epoch {self.epoch + 1}",)

    def to(self, device: torch.device, non_blocking: bool = False) -> TextBatch:
        """The same with the tensors on `device`."""
        tokens, following = (
            tensor.to(device, non_blocking=non_blocking) for tensor in (self.tokens, self.following)
        )
        return replace(self, tokens=tokens, following=following)


class TextData(pl.LightningDataModule):
    """The batches of texts, from `run` on."""

    def __init__(self, recipe: LMRecipe, texts: PreparedTexts) -> None:
        super().__init__()
        self.recipe = recipe
        self.texts = texts
        self.run = RunState()

    def epoch_batches(self) -> int:
        """Batches of the first epoch; others differ by one or two."""
        return len(self._rows(0))

    def train_dataloader(self) -> TextEpochs:
        """See `TextEpochs`."""
        return TextEpochs(self)

    def batches(self, epoch: int, first: int) -> Iterator[TextBatch]:
        """Those of an epoch from batch number `first` on."""
        for index, rows in enumerate(self._rows(epoch)[first:], start=first):
            end = self.texts.labels.end
            yield TextBatch(*labels_of(self.texts.train, rows, end), epoch, index)

    def _rows(self, epoch: int) -> list[Any]:
        training = self.recipe.training
        seed = epoch_seed(training.seed, epoch)
        return epoch_of(self.texts.train, self.recipe.text, training.batch_labels, seed).batches


class TextEpochs:
    """What Lightning iterates once an epoch: its batches, the first time the rest of them."""

    def __init__(self, data: TextData) -> None:
        self._data = data
        self._epoch, self._first = data.run.epoch, data.run.batch

    def __iter__(self) -> Iterator[TextBatch]:
        yield from self._data.batches(self._epoch, self._first)
        self._epoch, self._first = self._epoch + 1, 0


class LMTraining(StepModule):
    """Trains a neural language model by a recipe."""

    model: NeuralLanguageModel

    def __init__(self, recipe: LMRecipe, model: NeuralLanguageModel, data: TextData) -> None:
        training = recipe.training
        settings = StepSettings(recipe.optimizer, recipe.schedule, training.clip_norm, training.ema)
        super().__init__(SUMS, settings, data.run)
        self.recipe = recipe
        self.model = model
        self.data = data
        self._loss = math.nan

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what the weights belong to."""
        super().on_save_checkpoint(checkpoint)
        texts = self.data.texts
        checkpoint["recipe"] = self.recipe.model_dump(mode="json")
        checkpoint["pieces"] = list(texts.pieces)
        checkpoint["texts"] = texts.train.digest()

    def training_step(self, batch: TextBatch, batch_idx: int) -> dict[str, Tensor]:
        """Adds the gradient of one batch, which is a step."""
        trained = self.run.step + self.run.skipped
        torch.manual_seed(derive(self.recipe.training.seed, "step", trained))  # of dropout
        logits = self.model(batch.tokens)
        following = batch.following.flatten()
        loss = F.cross_entropy(logits.float().flatten(0, 1), following, reduction="sum")
        stop = loss.new_tensor(float(self.stop_wanted))
        labels = (following >= 0).sum().to(loss.dtype)
        self.add_gradient(batch.ids, torch.stack([loss, labels, stop]))
        return self.end_batch(batch)

    def work_done(self) -> float:
        """Labels."""
        return self.run.labels

    def describe(self, result: StepResult, speed: float) -> str:
        """Perplexity, about the mean of the last steps, and the speed."""
        loss = result.mean("loss")
        smooth = _SMOOTHING * self._loss + (1 - _SMOOTHING) * loss
        self._loss = smooth if smooth == smooth else loss
        return f"perplexity a label {math.exp(min(self._loss, 50.0)):.2f}, {speed:.0f} labels/s"


class LMEvaluation:
    """Measures the averaged weights of a language model on the dev texts.

    Args:
        write: makes the language model folder of a model; called with the averaged weights in it.
    """

    def __init__(self, texts: PreparedTexts, progress: TrainingProgress, write: Any) -> None:
        self.texts = texts
        self.progress = progress
        self.write = write

    def validate(self, module: LMTraining) -> None:
        """Prints the perplexity."""
        dev = self.texts.dev
        measured: Perplexity
        module.model.eval()
        with module.ema.swapped_in() if module.ema else nullcontext():
            end = self.texts.labels.end
            measured = perplexity(module.model, dev.texts(), int(dev.words.sum()), end)
        module.model.train()
        self.progress.say(f"dev at step {module.run.step}: {measured}")

    def finish(self, module: LMTraining) -> None:
        """Writes the folder."""
        with module.ema.swapped_in() if module.ema else nullcontext():
            self.write(module.model.eval())

    def validations_at_end(self) -> int:
        """The folder says how well its model does."""
        return 1

    def work(self) -> float:
        """Labels of the dev texts."""
        return float(len(self.texts.dev.labels))

    def after_checkpoint(self, module: LMTraining) -> None:
        """Nothing is kept beside a checkpoint."""
