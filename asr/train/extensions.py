"""Callbacks and loggers that a recipe names."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from lightning.pytorch.callbacks import (
    Callback,
    GradientAccumulationScheduler,
    ModelCheckpoint,
    ProgressBar,
    StochasticWeightAveraging,
)
from lightning.pytorch.loggers import Logger

from asr.dependencies import first_line
from asr.errors import AsrError, ConfigError, DependencyError, TrainingError
from asr.train.report.log import TrainingLog

#: Loggers that have a short name: where their class is, and what to install for it.
LOGGERS = {
    "tensorboard": ("lightning.pytorch.loggers.TensorBoardLogger", "asr[train]"),
    "wandb": ("lightning.pytorch.loggers.WandbLogger", "wandb"),
    "mlflow": ("lightning.pytorch.loggers.MLFlowLogger", "mlflow"),
}
#: Callbacks that a run cannot have, and why.
REFUSED: dict[type[Callback], str] = {
    ProgressBar: "is a progress bar; a run has its own",
    StochasticWeightAveraging: "does not work with the steps of a run; use training.ema",
    GradientAccumulationScheduler: "does not work with the steps of a run; use training.accumulate",
}
T = TypeVar("T")


def build_callbacks(
    entries: Sequence[str | Mapping[str, Any]], checkpoints: Path
) -> list[Callback]:
    """Lightning callbacks by dotted name, with their arguments.

    Args:
        checkpoints: the run's folder of checkpoints, for a `ModelCheckpoint` that names none: what
            a run needs to go on from a file is beside it there.

    Raises:
        ConfigError: one cannot be imported or made, is no callback, or does not work in a run.
        DependencyError: a library that it needs is not installed.
    """
    callbacks: list[Callback] = []
    for entry in entries:
        name, arguments = _named(entry, "training.callbacks")
        cls = _import(name, "training.callbacks")
        try:
            callback = _make(cls, arguments, name, Callback)
        except ModuleNotFoundError as error:
            raise DependencyError(
                f"training.callbacks: {name}: {first_line(error)}; install what is missing"
            ) from error
        for kind, reason in REFUSED.items():
            if isinstance(callback, kind):
                raise ConfigError(f"training.callbacks: {name} {reason}")
        if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
            callback.dirpath = str(checkpoints)
            # `last.ckpt` is the run's own
            callback.CHECKPOINT_NAME_LAST = "callback-last"
        stateful = type(callback).state_dict is not Callback.state_dict
        if stateful and callback.state_key in [other.state_key for other in callbacks]:
            raise ConfigError(
                f"training.callbacks: {name} is there twice, and both would have one state in "
                "checkpoints; leave one out, or give one a state_key of its own"
            )
        callbacks.append(callback)
    return callbacks


@contextmanager
def name_failing_callback(callbacks: Sequence[Callback]) -> Iterator[None]:
    """Says which of `callbacks` has raised what comes out of the block.

    Raises:
        TrainingError: one has.
    """
    try:
        yield
    except AsrError:
        raise
    except Exception as error:
        if (callback := _failing(error, callbacks)) is None:
            raise
        raise TrainingError(
            f"training.callbacks: {type(callback).__name__} raised {type(error).__name__}: "
            f"{first_line(error)}; mend it or take it out (--debug prints where)"
        ) from error


def _failing(error: Exception, callbacks: Sequence[Callback]) -> Callback | None:
    """The one of `callbacks` that was running, or being called, when `error` was raised."""
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        running = [frame.f_locals.get("self")]  # a callback's own method
        if frame.f_globals.get("__name__", "").startswith("lightning."):
            # where Lightning calls it: all there is of a hook with the wrong parameters
            running.append(frame.f_locals.get("callback"))
        for callback in callbacks:
            if any(value is callback for value in running):
                return callback
        traceback = traceback.tb_next
    return None


def build_loggers(
    entries: Sequence[str | Mapping[str, Any]], folder: Path, name: str, step: int
) -> list[Logger]:
    """The log of the run in `folder`, and the loggers of a recipe.

    Args:
        name: of the run, for those that keep several.
        step: that training continues from; TensorBoard drops what it has beyond it.

    Raises:
        ConfigError: one cannot be imported or made, or is no logger.
        DependencyError: its library is not installed.
    """
    usual: dict[str, dict[str, Any]] = {
        "tensorboard": {
            "save_dir": folder,
            "name": "",
            "version": "tensorboard",
            "default_hp_metric": False,
            "purge_step": step + 1,
        },
        "wandb": {"save_dir": folder, "name": name},
        "mlflow": {"save_dir": str(folder / "mlflow"), "run_name": name},
    }
    loggers: list[Logger] = [TrainingLog(folder, step)]
    for entry in entries:
        short, arguments = _named(entry, "log.loggers")
        if short == "csv":
            continue
        dotted, install = LOGGERS.get(short, (short, ""))
        try:
            cls = _import(dotted, "log.loggers")
            loggers.append(_make(cls, usual.get(short, {}) | arguments, short, Logger))  # type: ignore[type-abstract]
        except ModuleNotFoundError as error:
            raise DependencyError(
                f"log.loggers: {short}: {first_line(error)}; install it with: "
                f"pip install {install or error.name}"
            ) from None
    return loggers


def _named(entry: str | Mapping[str, Any], key: str) -> tuple[str, dict[str, Any]]:
    """The name of a class and the arguments for it."""
    if isinstance(entry, str):
        return entry, {}
    arguments = dict(entry)
    name = arguments.pop("class", None)
    if not isinstance(name, str):
        raise ConfigError(f"{key}: {dict(entry)} needs the key 'class', a dotted name")
    return name, arguments


def _import(name: str, key: str) -> type[Any]:
    """The class of a dotted name."""
    module, _, attribute = name.rpartition(".")
    if not module:
        short = ", ".join(("csv", *LOGGERS)) + ", or " if key == "log.loggers" else ""
        raise ConfigError(f"{key}: '{name}' must be {short}a dotted name: package.module.Class")
    try:
        cls = getattr(import_module(module), attribute, None)
    except Exception as error:  # of any kind: it is not our module
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        hint = "mend it (--debug prints where)"
        if missing is not None:
            hint = f"install {missing}"
            if f"{module}.".startswith(f"{missing}."):
                hint = "is its folder in PYTHONPATH?"
        raise ConfigError(
            f"{key}: {name} cannot be imported ({type(error).__name__}: {first_line(error)}); "
            f"{hint}"
        ) from error
    if cls is None:
        raise ConfigError(f"{key}: the module {module} has no '{attribute}'")
    if not inspect.isclass(cls):
        raise ConfigError(f"{key}: {name} is no class")
    return cls


def _make(cls: type[Any], arguments: dict[str, Any], name: str, kind: type[T]) -> T:
    key = "training.callbacks" if kind is Callback else "log.loggers"
    if not issubclass(cls, kind):
        raise ConfigError(f"{key}: {name} is no {kind.__module__}.{kind.__name__}")
    try:
        made: T = cls(**arguments)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # of any kind: it is not our class
        reason = first_line(error)
        raise ConfigError(f"{key}: {name}({arguments}) cannot be made: {reason}") from error
    return made
