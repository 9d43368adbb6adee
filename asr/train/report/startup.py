"""The first lines of a run: what is about to happen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import lightning.pytorch as pl

from asr.data.dataset import Batch
from asr.train.compiling import compile_parts
from asr.train.corpora import sample, size
from asr.train.devices import Devices
from asr.train.loop import TrainingLoop
from asr.train.module import SpeechTraining
from asr.train.recipe import Recipe
from asr.train.report.card import corpus_size
from asr.train.report.log import TrainingLog
from asr.train.validation import Validator


class StartupReport(pl.Callback):
    """Gives the loop its dev set and its log, and says what a person should know first.

    Args:
        notes: lines about the data and the recipe. say: prints a line.
    """

    def __init__(
        self,
        loop: TrainingLoop,
        devices: Devices,
        folder: Path,
        notes: Sequence[str],
        say: Callable[[str], None],
    ) -> None:
        self.loop = loop
        self.devices = devices
        self.folder = folder
        self.notes = notes
        self.say = say

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Model, data and devices are there; nothing has been trained on yet."""
        assert isinstance(module, SpeechTraining)
        recipe, data = module.recipe, module.data
        rank, world = trainer.global_rank, trainer.world_size
        dev = data.corpora.dev
        if any(True for _ in dev):
            chosen = sample(dev, recipe.validation.decode)
            measured: Iterable[Batch] = data.dev_batches(dev, rank, world)
            decoded: Iterable[Batch] = data.dev_batches(chosen, rank, world, workers=0)
            if recipe.data.cache == "device":  # which would wait for the decoder each time
                measured, decoded = list(measured), list(decoded)
            self.loop.validator = Validator(
                measured,
                decoded if chosen else (),
                data.tokenizer,
                recipe.validation.batches,
            )
        if recipe.training.compile:
            bf16 = "bf16" in self.devices.precision
            compile_parts(module.model, module.device, bf16, self.say)
        if trainer.is_global_zero:
            training, at = self.folder / "training", module.position
            self.loop.records = TrainingLog(training, at.step, recipe.log.tensorboard)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """The batches of an epoch can be counted now."""
        assert isinstance(module, SpeechTraining)
        recipe, data, at = module.recipe, module.data, module.position
        # epochs differ by a batch or two; schedules must not depend on where a run was resumed
        batches = data.sampler.count(0)
        self.loop.set_epoch_batches(batches, module)
        if not trainer.is_global_zero:
            return
        train, dev = (corpus_size(size(cuts)) for cuts in (data.corpora.train, data.corpora.dev))
        self.say(f"data: {train}; dev: {dev}; {data.tokenizer.size} labels")
        weights = sum(one.numel() for one in module.model.parameters())
        self.say(f"model: {weights / 1e6:.2f} million parameters; {self.devices.shown}")
        each = f" for each of {trainer.world_size} processes" if trainer.world_size > 1 else ""
        self.say(f"batches per epoch: {batches if batches is not None else 'not known'}{each}")
        self.say(f"writes to {self.folder}")
        for note in [*self.notes, *_short_run(recipe, batches)]:
            self.say(note)
        if at.step:
            self.say(f"goes on after step {at.step}, in epoch {at.epoch + 1}")


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
