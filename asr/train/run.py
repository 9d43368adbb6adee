"""A training run from recipe to model folder."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from asr.errors import TrainingError
from asr.train.checkpoint import LAST, load_checkpoint
from asr.train.checks import check_texts
from asr.train.data import RunData
from asr.train.devices import Devices, choose_devices, prepare_cpu
from asr.train.lock import locked
from asr.train.loop import TrainingLoop
from asr.train.module import SpeechTraining
from asr.train.parent import end_with_parent, known_to_children
from asr.train.recipe import Recipe, write_recipe
from asr.train.report.profiling import StepProfile
from asr.train.report.progress import TrainingProgress
from asr.train.report.startup import StartupReport
from asr.train.resume import PREPARED, changes, checkpoint_to_resume, clear_way
from asr.train.weights.averaging import Snapshots
from asr.train.weights.initialise import Init

#: How long processes wait for the first one to prepare the data.
PATIENCE = timedelta(hours=6)


@dataclass(frozen=True)
class Outcome:
    """The model folder (None in all processes but the first) and why the run ended."""

    model: Path | None
    ended: str


@dataclass(frozen=True)
class Start:
    """Where a run starts from. `resume` is `auto`, `never` or a checkpoint."""

    resume: str = "auto"
    init: Path | None = None
    init_partial: bool = False


FROM_WHERE_IT_STOPPED = Start()


def train(
    recipe: Recipe, folder: Path, start: Start = FROM_WHERE_IT_STOPPED, command: str = ""
) -> Outcome:
    """Trains by `recipe` in `folder`; called again, goes on where it was stopped.

    `folder` gets `checkpoints/` (to resume from), `training/` (recipe, logs, curves) and, when
    the run ends or is interrupted, `model/`, the model folder.

    Raises:
        AsrError: it cannot start or go on; the message says why, and what to do.
    """
    end_with_parent()
    _keep_quiet()
    prepare_cpu(recipe.training.threads)
    devices = choose_devices(recipe.training)
    checkpoints = folder / "checkpoints"
    data = RunData(recipe, checkpoints / PREPARED)
    snapshots = Snapshots(checkpoints, recipe.checkpoint.keep, recipe.checkpoint.average)
    loop = TrainingLoop(recipe, checkpoints, snapshots, command)
    trainer = _trainer(recipe, devices, loop, folder)
    resumed = checkpoint_to_resume(checkpoints, start.resume)
    state = load_checkpoint(resumed) if resumed is not None else None
    notes = changes(recipe, state) if state is not None else []
    if start.init is not None and state is not None:
        notes.append(f"--init {start.init} is not used: the run goes on from its own weights")
    held = ExitStack()
    try:
        if trainer.is_global_zero:
            held.enter_context(locked(folder))
            loop.progress = TrainingProgress(recipe.log.seconds)
            data.preparing = loop.progress.preparing
            clear_way(checkpoints, resumed)
            data.prepare_data()
            data.setup()
            notes += [*data.corpora.notes, *check_texts(recipe, data)]
            write_recipe(recipe, folder / "training")
        if state is not None and resumed == checkpoints / LAST:
            snapshots.restore(state["snapshots"])
        say = loop.progress.say if loop.progress is not None else _silent
        init = None
        if start.init is not None and state is None:
            listing = folder / "training" if trainer.is_global_zero else None
            init = Init(start.init, start.init_partial, say, listing)
        module = SpeechTraining(recipe, data, state, init)
        opening = StartupReport(loop, devices, folder, notes, say)
        trainer.callbacks.insert(0, opening)  # type: ignore[attr-defined]
        with known_to_children(), loop.interruptible(module):
            trainer.fit(module, datamodule=data)
    except BaseException as error:
        _end_children(trainer)
        if isinstance(error, SystemExit):  # what Lightning makes of a second Ctrl-C
            raise KeyboardInterrupt from None
        raise
    finally:
        loop.close()
        held.close()
    if module.position.step == 0:
        raise TrainingError("the run ended before its first step; give it more time")
    return Outcome(loop.model_folder, loop.ended)


def _keep_quiet() -> None:
    """Keeps libraries from talking over the run: Lightning's tips, TensorFlow's notes on import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)
    for module in (r"lightning\..*", r"torch\..*", r"lhotse\..*"):
        warnings.filterwarnings("ignore", module=module)


def _trainer(recipe: Recipe, devices: Devices, loop: TrainingLoop, folder: Path) -> pl.Trainer:
    training = recipe.training
    callbacks: list[pl.Callback] = [loop]
    if recipe.log.profile:
        callbacks.append(StepProfile(recipe.log.profile, folder / "training"))
    several = devices.count * training.nodes > 1 or training.strategy == "ddp"
    strategy: Any = "auto"
    if several:
        strategy = DDPStrategy(find_unused_parameters=_some_unused(recipe), timeout=PATIENCE)
    return pl.Trainer(
        accelerator=devices.accelerator,
        devices=devices.count,
        num_nodes=training.nodes,
        strategy=strategy,
        precision=devices.precision,  # type: ignore[arg-type]
        max_epochs=1,  # the feed is one long epoch; ours are counted by the sampler
        min_epochs=0,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        use_distributed_sampler=False,
        default_root_dir=str(folder),
    )


def _some_unused(recipe: Recipe) -> bool:
    """Whether some weights may get no gradient from a batch, which DDP must be told to look for."""
    dropped = float(getattr(recipe.model.encoder, "layer_drop", 0.0)) > 0
    idle_decoder = recipe.loss.ctc_weight == 1 and recipe.model.decoder is not None
    idle_ctc = recipe.loss.ctc_weight == 0 and recipe.model.ctc
    return dropped or idle_decoder or idle_ctc


def _end_children(trainer: pl.Trainer) -> None:
    """Processes that this one started would wait for it for ever."""
    launcher = trainer.strategy.launcher
    if isinstance(launcher, _SubprocessScriptLauncher):
        launcher.kill(signal.SIGKILL)


def _silent(_: str) -> None:
    """Processes other than the first say nothing."""
