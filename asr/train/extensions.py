"""Callbacks and loggers that a recipe names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.loggers import Logger

from asr.errors import ConfigError, DependencyError
from asr.train.report.log import TrainingLog

#: Loggers that have a short name: where their class is, and what to install for it.
LOGGERS = {
    "tensorboard": ("lightning.pytorch.loggers.TensorBoardLogger", "asr[train]"),
    "wandb": ("lightning.pytorch.loggers.WandbLogger", "wandb"),
    "mlflow": ("lightning.pytorch.loggers.MLFlowLogger", "mlflow"),
}
T = TypeVar("T")


def build_callbacks(entries: Sequence[str | Mapping[str, Any]]) -> list[Callback]:
    """Lightning callbacks by dotted name, with their arguments.

    Raises:
        ConfigError: one cannot be imported or made, or is no callback.
    """
    callbacks = []
    for entry in entries:
        name, arguments = _named(entry, "training.callbacks")
        callback = _make(_import(name, "training.callbacks"), arguments, name, Callback)
        if isinstance(callback, ProgressBar):
            raise ConfigError(f"training.callbacks: {name} is a progress bar; a run has its own")
        callbacks.append(callback)
    return callbacks


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
                f"log.loggers: {short}: {str(error).splitlines()[0]}; install it with: "
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
        cls = getattr(import_module(module), attribute)
    except ImportError as error:
        raise ConfigError(
            f"{key}: {name} cannot be imported ({error}); is its folder in PYTHONPATH?"
        ) from None
    except AttributeError:
        raise ConfigError(f"{key}: the module {module} has no '{attribute}'") from None
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
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{key}: {name}({arguments}) cannot be made: {message}") from None
    return made
