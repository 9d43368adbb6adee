"""A training run from recipe to model folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.strategies import DDPStrategy

from asr.errors import TrainingError
from asr.train.averaging import Snapshots
from asr.train.card import shown
from asr.train.checkpoint import LAST, load_checkpoint
from asr.train.checks import check_texts
from asr.train.corpora import sample, size
from asr.train.data import RunData, forget
from asr.train.devices import Devices, choose_devices, prepare_cpu
from asr.train.initialise import Init
from asr.train.log import TrainingLog
from asr.train.loop import TrainingLoop
from asr.train.module import SpeechTraining
from asr.train.progress import Progress
from asr.train.quiet import quiet
from asr.train.recipe import Recipe, write_recipe
from asr.train.validation import Validator


@dataclass(frozen=True)
class Outcome:
    """What a run came to: the model folder (None where nothing was trained) and why it ended."""

    model: Path | None
    ended: str


@dataclass(frozen=True)
class Start:
    """Where a run starts from. `resume` is `auto`, `never` or a checkpoint."""

    resume: str = "auto"
    init: Path | None = None
    init_partial: bool = False


def train(recipe: Recipe, folder: Path, start: Start = Start(), command: str = "") -> Outcome:
    """Trains by `recipe` in `folder`; called again, goes on where it was stopped.

    `folder` gets `checkpoints/` (to resume from), `training/` (recipe, logs, curves) and, when
    the run ends or is interrupted, `model/`, the model folder.

    Raises:
        AsrError: it cannot start or go on; the message says why, and what to do.
    """
    quiet()
    prepare_cpu(recipe.training.threads)
    devices = choose_devices(recipe.training)
    data = RunData(recipe, folder / "checkpoints" / "prepared")
    loop = TrainingLoop(
        recipe,
        folder / "checkpoints",
        None,
        Snapshots(folder / "checkpoints", recipe.checkpoint.keep, recipe.checkpoint.average),
        command,
    )
    trainer = _trainer(recipe, devices, loop, folder)
    first = trainer.is_global_zero
    progress = Progress(recipe.log.seconds) if first else None
    loop.progress = progress
    say = progress.say if progress is not None else _silent
    resumed = _resume_from(folder, start, first)
    notes: list[str] = []
    if first:
        data.prepare_data()
        data.setup()
        notes = check_texts(recipe, data)
        write_recipe(recipe, folder / "training")
    init = Init(start.init, start.init_partial, say) if start.init and resumed is None else None
    module = SpeechTraining(recipe, data, resumed, init)
    if module.state is not None:
        loop.snapshots.restore(module.state["snapshots"])
    setup = Setup(loop, devices, folder, notes, say)
    trainer.callbacks.insert(0, setup)  # type: ignore[attr-defined]
    try:
        with loop.interruptible(module):
            trainer.fit(module, datamodule=data)
    finally:
        if progress is not None:
            progress.close()
        if loop.log is not None:
            loop.log.close()
    if module.position.step == 0:
        raise TrainingError("the run ended before its first step; give it more time")
    return Outcome(loop.model_folder, loop.ended)


class Setup(pl.Callback):
    """Says what is about to happen, and gives the loop its log and its dev set."""

    def __init__(
        self, loop: TrainingLoop, devices: Devices, folder: Path, notes: list[str], say: Any
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
            self.loop.validator = Validator(
                data.dev_batches(dev, rank, world),
                data.dev_batches(chosen, rank, world, workers=0) if chosen else (),
                data.tokenizer,
                recipe.validation.batches,
            )
        if trainer.is_global_zero:
            log = recipe.log
            training = self.folder / "training"
            self.loop.log = TrainingLog(training, module.position.step, log.tensorboard)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """The first lines that a person sees."""
        assert isinstance(module, SpeechTraining)
        data, at = module.data, module.position
        batches = data.sampler.count(at.epoch)
        self.loop.set_epoch_batches(batches, module)
        if not trainer.is_global_zero:
            return
        train, dev = (shown(size(cuts)) for cuts in (data.corpora.train, data.corpora.dev))
        self.say(f"data: {train}; dev: {dev}; {data.tokenizer.size} labels")
        weights = sum(one.numel() for one in module.model.parameters())
        self.say(f"model: {weights / 1e6:.2f} million parameters; {self.devices.shown}")
        self.say(f"batches per epoch: {batches if batches is not None else 'not known'}")
        self.say(f"writes to {self.folder}")
        for note in (*data.corpora.notes, *self.notes):
            self.say(note)
        if at.step:
            self.say(f"goes on after step {at.step}, in epoch {at.epoch + 1}")


def _trainer(recipe: Recipe, devices: Devices, loop: TrainingLoop, folder: Path) -> pl.Trainer:
    training = recipe.training
    several = devices.count * training.nodes > 1 or training.strategy == "ddp"
    # layers that a batch skips (layer drop) have no gradient: DDP must look for them
    strategy: Any = DDPStrategy(find_unused_parameters=True) if several else "auto"
    return pl.Trainer(
        accelerator=devices.accelerator,
        devices=devices.count,
        num_nodes=training.nodes,
        strategy=strategy,
        precision=devices.precision,  # type: ignore[arg-type]
        max_epochs=1,  # the feed is one long epoch; ours are counted by the sampler
        min_epochs=0,
        callbacks=[loop],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        use_distributed_sampler=False,
        default_root_dir=str(folder),
    )


def _resume_from(folder: Path, start: Start, first: bool) -> Path | None:
    last = folder / "checkpoints" / LAST
    if start.resume == "auto":
        return last if last.exists() else None
    if start.resume == "never":
        if first:
            forget(folder / "checkpoints")
        return None
    path = Path(start.resume)
    candidates = (path, path / LAST, path / "checkpoints" / LAST)
    found = next((one for one in candidates if one.is_file()), None)
    if found is None:
        raise TrainingError(f"--resume {path}: no checkpoint there; name a file or a run's folder")
    return found


def _silent(_: str) -> None:
    """Processes other than the first say nothing."""


__all__ = ["Outcome", "Start", "load_checkpoint", "train"]
