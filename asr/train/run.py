"""A training run from recipe to model folder."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from asr.errors import ConfigError, TrainingError
from asr.train.call_time import CallTime
from asr.train.checkpoint import LAST, load_checkpoint
from asr.train.checks import (
    check_chunks,
    check_limits,
    check_monitors,
    check_prompts,
    check_strategy,
    check_texts,
)
from asr.train.data import RunData
from asr.train.devices import choose_devices, prepare_cpu
from asr.train.extensions import build_callbacks, build_loggers, name_failing_callback
from asr.train.lock import locked
from asr.train.loop import RunPlan, TrainingLoop
from asr.train.module import SpeechTraining
from asr.train.recipe import Recipe, write_recipe
from asr.train.report.origin import keep_origin
from asr.train.report.peak_lr import keep_peak_lr
from asr.train.report.profiling import StepProfile
from asr.train.report.progress import TrainingProgress
from asr.train.report.selection import SpeechEvaluation
from asr.train.report.startup import StartupReport
from asr.train.resume import PREPARED, changes, checkpoint_to_resume, prepare_folder
from asr.train.trainer import end_with_parent, fit, make_trainer, quiet
from asr.train.weights.initialise import Init


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
    call = CallTime(recipe.training.max_time)
    end_with_parent()
    quiet()
    check_chunks(recipe.model, recipe.chunks)
    check_strategy(recipe.model, recipe.training.strategy)
    prepare_cpu(recipe.training.threads)
    devices = choose_devices(recipe.training)
    checkpoints, training = folder / "checkpoints", folder / "training"
    resumed = checkpoint_to_resume(checkpoints, start.resume)
    state = load_checkpoint(resumed) if resumed is not None else None
    # where the weights come from, if not from the checkpoint
    source = start.init if state is None else None
    if state is None:
        _check_lora(recipe, source)
    changed = changes(recipe, state) if state is not None else []
    step = state["run"]["step"] if state is not None else 0
    notes = list(changed)
    if start.init != source:
        notes.append(f"--init {start.init} is not used: the run goes on from its own weights")
    state = None  # Lightning reads the checkpoint again
    data = RunData(recipe, checkpoints / PREPARED)
    users = build_callbacks(recipe.training.callbacks, checkpoints)
    check_monitors(recipe, users)
    loggers = build_loggers(recipe.log.active_loggers, training, folder.name, step)
    profile = [StepProfile(recipe.log.profile, training)] if recipe.log.profile else []
    progress = TrainingProgress(recipe.log.seconds)
    resumes_here = resumed == checkpoints / LAST
    evaluation = SpeechEvaluation(recipe, folder, progress, resumes_here, command)
    loop = TrainingLoop(_plan(recipe, call), checkpoints, progress, evaluation, bool(changed))
    report = StartupReport(devices, folder, notes, progress)
    callbacks = [progress, report, evaluation, *users, *profile, loop]
    trainer = make_trainer(devices, folder, callbacks, loggers, find_unused=_some_unused(recipe))
    held = ExitStack()
    try:
        if trainer.is_global_zero:
            held.enter_context(locked(folder))
            data.preparing = progress.preparing
            prepare_folder(checkpoints, resumed)
            notes += _prepare(recipe, data, training, source)
        else:
            progress.disable()
        init = None
        if source is not None:
            listing = training if trainer.is_global_zero else None
            init = Init(source, start.init_partial, progress.say, listing)
        module = SpeechTraining(recipe, data, init)
        with name_failing_callback(users):
            fit(trainer, module, data, loop, resumed)
    finally:
        progress.close()
        held.close()
    if module.run.step == 0:
        raise TrainingError("the run ended before its first step; give it more time")
    return Outcome(evaluation.model_folder, loop.ended)


def _prepare(recipe: Recipe, data: RunData, training: Path, source: Path | None) -> list[str]:
    """Prepares and checks the data, on the first process, and writes the recipe to `training`.

    Args:
        source: the model that the weights start from.

    Returns:
        notes on the data.
    """
    data.prepare_data()
    data.setup()
    check_limits(recipe, data)
    check_prompts(data)
    notes = [*data.corpora.notes, *check_texts(recipe, data)]
    write_recipe(recipe, training)
    if source is not None:
        keep_origin(source, data.folder)
        keep_peak_lr(source, data.folder)
    return notes


def _check_lora(recipe: Recipe, source: Path | None) -> None:
    if recipe.training.lora is not None and source is None:
        raise ConfigError(
            "training.lora trains beside the weights of a model, and there is none: name one "
            "(--init MODEL), or leave lora out"
        )


def _plan(recipe: Recipe, call: CallTime) -> RunPlan:
    training, checkpoint = recipe.training, recipe.checkpoint
    return RunPlan(
        epochs=training.epochs,
        max_steps=training.max_steps,
        total_time=training.total_time,
        call=call,
        validation_steps=recipe.validation.steps,
        checkpoint_steps=checkpoint.steps,
        checkpoint_minutes=checkpoint.minutes,
        log_steps=recipe.log.steps,
        bad_steps=training.bad_steps,
    )


def _some_unused(recipe: Recipe) -> bool:
    """Whether some weights may get no gradient from a batch, which DDP must be told to look for."""
    dropped = float(getattr(recipe.model.encoder, "layer_drop", 0.0)) > 0
    idle_decoder = recipe.loss.ctc_weight == 1 and recipe.model.decoder is not None
    idle_ctc = recipe.loss.ctc_weight == 0 and bool(recipe.model.ctc)
    return dropped or idle_decoder or idle_ctc
