"""A training run from recipe to model folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import yaml
from lightning.pytorch.strategies import DDPStrategy

from asr.errors import TrainingError
from asr.train.averaging import Snapshots
from asr.train.checkpoint import LAST, load_checkpoint
from asr.train.data import RunData, forget
from asr.train.devices import Devices, choose_devices
from asr.train.export import export
from asr.train.initialise import Init
from asr.train.log import TrainingLog
from asr.train.loop import TrainingLoop
from asr.train.module import SpeechTraining
from asr.train.progress import Progress
from asr.train.quiet import quiet
from asr.train.recipe import Recipe
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
    if recipe.training.threads:
        torch.set_num_threads(recipe.training.threads)
    devices = choose_devices(recipe.training)
    data = RunData(recipe, folder / "checkpoints" / "prepared")
    loop = TrainingLoop(
        recipe,
        folder / "checkpoints",
        None,
        Snapshots(folder / "checkpoints", recipe.checkpoint.keep, recipe.checkpoint.average),
    )
    trainer = _trainer(recipe, devices, loop, folder)
    first = trainer.is_global_zero
    progress = Progress(recipe.log.seconds) if first else None
    loop.progress = progress
    say = progress.say if progress is not None else _silent
    resumed = _resume_from(folder, start, first)
    if first:
        _write_recipe(recipe, folder / "training")
        data.prepare_data()
    init = Init(start.init, start.init_partial, say) if start.init and resumed is None else None
    module = SpeechTraining(recipe, data, resumed, init)
    if module.state is not None:
        loop.snapshots.restore(module.state["snapshots"])
    setup = Setup(loop, devices, folder, first, say)
    trainer.callbacks.insert(0, setup)  # type: ignore[attr-defined]
    try:
        with loop.interruptible(module):
            trainer.fit(module, datamodule=data)
            loop.checkpoint(module)
            model = export(recipe, folder, module, loop, command) if module.position.step else None
    finally:
        if progress is not None:
            progress.close()
        if loop.log is not None:
            loop.log.close()
    if model is None:
        raise TrainingError("no step was taken before the run ended; give it more time")
    return Outcome(model, loop.ended)


class Setup(pl.Callback):
    """Says what is about to happen, and gives the loop its log and its dev set."""

    def __init__(
        self, loop: TrainingLoop, devices: Devices, folder: Path, first: bool, say: Any
    ) -> None:
        self.loop = loop
        self.devices = devices
        self.folder = folder
        self.first = first
        self.say = say

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Model, data and devices are there; nothing has been trained on yet."""
        assert isinstance(module, SpeechTraining)
        recipe, data = module.recipe, module.data
        rank, world = trainer.global_rank, trainer.world_size
        if data.dev_cuts:
            sample = data.sample(data.dev_cuts, recipe.validation.decode)
            self.loop.validator = Validator(
                data.dev_batches(data.dev_cuts, rank, world),
                data.dev_batches(sample, rank, world) if sample else (),
                data.tokenizer,
                recipe.validation.batches,
            )
        if self.first:
            log = recipe.log
            training = self.folder / "training"
            self.loop.log = TrainingLog(training, module.position.step, log.tensorboard)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """The first lines that a person sees."""
        assert isinstance(module, SpeechTraining)
        data, at = module.data, module.position
        batches = data.sampler.count(at.epoch)
        self.loop.set_epoch_batches(batches, module)
        seconds = sum(cut.duration for cut in data.train_cuts)
        dev = sum(cut.duration for cut in data.dev_cuts)
        weights = sum(one.numel() for one in module.model.parameters())
        self.say(
            f"data: {len(data.train_cuts)} utterances, {seconds / 3600:.2f} h; "
            f"dev: {len(data.dev_cuts)}, {dev / 3600:.2f} h; {data.tokenizer.size} labels"
        )
        self.say(f"model: {weights / 1e6:.2f} million parameters; {self.devices.shown}")
        self.say(f"batches per epoch: {batches if batches is not None else 'not known'}")
        self.say(f"writes to {self.folder}")
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


def _write_recipe(recipe: Recipe, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")


def _silent(_: str) -> None:
    """Processes other than the first say nothing."""


__all__ = ["Outcome", "Start", "load_checkpoint", "train"]
