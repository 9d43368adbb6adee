"""The first lines of a run: what is about to happen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl

from asr.train.corpora import size
from asr.train.devices import Devices, compile_parts
from asr.train.module import SpeechTraining
from asr.train.recipe import Recipe
from asr.train.report.card import corpus_size
from asr.train.report.progress import TrainingProgress


class StartupReport(pl.Callback):
    """Says what a person should know before the first step, and compiles what is to be compiled.

    Args:
        notes: lines about the data and the recipe.
    """

    def __init__(
        self, devices: Devices, folder: Path, notes: Sequence[str], progress: TrainingProgress
    ) -> None:
        self.devices = devices
        self.folder = folder
        self.notes = notes
        self.say = progress.say

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """The model is on its device; nothing has been trained on yet."""
        assert isinstance(module, SpeechTraining)
        if module.recipe.training.compile:
            bf16 = "bf16" in self.devices.precision
            compile_parts(module.model, module.device, bf16, self.say)
        settings = module.recipe.model_dump(mode="json")
        for logger in trainer.loggers:
            logger.log_hyperparams(settings)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """The batches of an epoch can be counted now."""
        assert isinstance(module, SpeechTraining)
        if not trainer.is_global_zero:
            return
        recipe, data, run = module.recipe, module.data, module.run
        batches = data.epoch_batches()
        train, dev = (corpus_size(size(cuts)) for cuts in (data.corpora.train, data.corpora.dev))
        self.say(f"data: {train}; dev: {dev}; {data.tokenizer.size} labels")
        weights = sum(weight.numel() for weight in module.model.parameters())
        self.say(f"model: {weights / 1e6:.2f} million parameters; {self.devices.description}")
        each = f" for each of {trainer.world_size} processes" if trainer.world_size > 1 else ""
        self.say(f"batches per epoch: {batches if batches is not None else 'not known'}{each}")
        self.say(f"writes to {self.folder}")
        for note in [*self.notes, *_short_run(recipe, batches)]:
            self.say(note)
        if run.step:
            self.say(f"goes on after step {run.step}, in epoch {run.epoch + 1}")


def _short_run(recipe: Recipe, batches: int | None) -> list[str]:
    """A line about a run that is over before the learning rate is up."""
    training, warmup = recipe.training, recipe.schedule.warmup_steps
    ends = [training.max_steps] if training.max_steps is not None else []
    if training.epochs is not None and batches is not None:
        ends.append(training.epochs * -(-batches // training.accumulate))
    if not ends or min(ends) >= 2 * warmup:
        return []
    return [
        f"the run is short: {min(ends)} steps, and the learning rate rises for {warmup}; train "
        "longer, or lower schedule.warmup_steps, or data.batch_seconds for more steps"
    ]
