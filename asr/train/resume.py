"""Going on with an earlier run: which checkpoint, and whether the recipe still fits it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from asr.atomic import TEMPORARY
from asr.config import parse
from asr.errors import ConfigError, OutputError, TrainingError
from asr.train.checkpoint import LAST
from asr.train.recipe import Recipe

PREPARED = "prepared"
#: What the weights in a checkpoint were made for, and the groups of its optimizer.
FIXED = ("model.", "tokenizer", "prompts.", "normalizer.", "training.lora", "optimizer.factors")
#: What each call says anew.
PASSING = {"training.max_time", "output"}


def checkpoint_to_resume(folder: Path, resume: str) -> Path | None:
    """The checkpoint to go on from, None to start anew.

    Args:
        folder: where the run keeps its checkpoints.
        resume: `auto` (the folder's last one, if any), `never`, or the path of a checkpoint, of a
            folder of them, or of a run.

    Raises:
        TrainingError: there is none at the path.
    """
    if resume == "never":
        return None
    if resume == "auto":
        return folder / LAST if (folder / LAST).exists() else None
    path = Path(resume).absolute()
    for candidate in (path, path / LAST, path / "checkpoints" / LAST):
        if candidate.is_file():
            return candidate
    raise TrainingError(f"--resume {path}: no checkpoint there; name a file or a run's folder")


def prepare_folder(folder: Path, resumed: Path | None) -> None:
    """Makes `folder` ready for a run: what an earlier one prepared is kept or taken over only
    where it is gone on with.

    Raises:
        OutputError: the folder cannot be written.
        TrainingError: what belongs to the checkpoint is not beside it.
    """
    prepared = resumed.parent / PREPARED if resumed is not None else None
    if prepared is not None and not prepared.is_dir():
        raise TrainingError(
            f"{prepared}: is missing, and with it the tokenizer that {resumed} was trained with; "
            "restore it, or start anew with --resume never"
        )
    try:
        if prepared is None:
            shutil.rmtree(folder, ignore_errors=True)
        elif prepared != folder / PREPARED:
            shutil.rmtree(folder / PREPARED, ignore_errors=True)
            shutil.copytree(prepared, folder / PREPARED)
        (folder / PREPARED).mkdir(parents=True, exist_ok=True)
        for half in folder.glob(TEMPORARY):  # of a process that was killed while writing
            half.unlink()
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written ({error.strerror or error}); choose another folder (-o)"
        ) from None


def changes(recipe: Recipe, state: Mapping[str, Any]) -> list[str]:
    """What is different from the recipe that a checkpoint was made with, one line a key.

    Raises:
        TrainingError: what the weights were made for is different.
    """
    if "recipe" not in state:
        return ["the recipe that the checkpoint was made with is not known"]
    old = dict(_flat(_completed(state["recipe"])))
    new = dict(_flat(recipe.model_dump(mode="json")))
    differing = [key for key in sorted({*old, *new} - PASSING) if old.get(key) != new.get(key)]
    lines = [f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in differing]
    refused = [line for key, line in zip(differing, lines, strict=True) if key.startswith(FIXED)]
    if refused:
        raise TrainingError(
            f"the checkpoint was made with another recipe: {'; '.join(refused)}; restore the "
            "recipe, or start anew with --resume never or another output folder (-o)"
        )
    return lines


def _completed(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """A checkpoint's recipe with the defaults of keys that did not exist when it was written; as
    it stands where this program no longer understands it.
    """
    try:
        return parse(Recipe, values, "checkpoint").model_dump(mode="json")
    except ConfigError:
        return values


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
