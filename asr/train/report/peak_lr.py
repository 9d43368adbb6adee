"""The highest learning rate that weights were trained with, over all runs that led to them.

The last run of several is often a short one at a low rate, which says nothing of what the model can
take when it is adapted.
"""

from __future__ import annotations

from pathlib import Path

from asr.atomic import write_atomic
from asr.config import read_yaml
from asr.errors import ConfigError, ModelError
from asr.model.folder import read_folder_config
from asr.train.recipe import Recipe

#: In the facts of a model folder, and in the folder of what a run has prepared.
FACT, FILE = "peak_lr", "peak_lr.txt"


def peak_lr(model: Path) -> float | None:
    """That of a model folder; where it does not say it, of its last run. None: not known.

    Raises:
        ModelError: it is no model folder, or says something else than a rate.
    """
    stated = read_folder_config(model).facts.get(FACT)
    if stated is None:
        try:
            last = read_yaml(model / "training" / "recipe.yaml")
        except ConfigError:  # the folder has none
            return None
        return float(last.get("optimizer", {}).get("lr", 0)) or None
    if not isinstance(stated, int | float) or not stated > 0:
        raise ModelError(
            f"{model}/config.yaml: facts.{FACT} must be a learning rate above 0 (got {stated!r}); "
            "correct it or leave it out"
        )
    return float(stated)


def keep_peak_lr(model: Path, prepared: Path) -> None:
    """Writes that of the model folder that a run starts from, if it is known.

    Raises:
        ModelError: as `peak_lr`.
        OutputError: it cannot be written.
    """
    if (rate := peak_lr(model)) is not None:
        write_atomic(prepared / FILE, f"{rate!r}\n")


def highest_lr(recipe: Recipe, prepared: Path) -> float | None:
    """That of the weights of a run: its own, or that of the weights that it started from.

    Low-rank matrices are trained at rates that the weights are not.
    """
    path = prepared / FILE
    rates = [float(path.read_text(encoding="utf-8"))] if path.exists() else []
    rates += [recipe.optimizer.lr] if recipe.training.lora is None else []
    return max(rates, default=None)
