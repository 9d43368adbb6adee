"""The kinds of folders that this package writes and reads; nothing in them is opened here.

Nothing heavy is imported, so that a wrong path is told at once.
"""

from __future__ import annotations

import os
from pathlib import Path

from asr.errors import ModelError

CONFIG, WEIGHTS = "config.yaml", "model.safetensors"
PICKLES = (".pt", ".pth", ".ckpt", ".bin", ".pkl")

#: The model that ships with the package.
SHIPPED = Path(__file__).parent / "pretrained" / "english"


def model_folder(path: str | os.PathLike[str] | None) -> Path:
    """The folder that `path` names; None names the shipped model.

    Raises:
        ModelError: no model ships with this installation.
    """
    if path is not None:
        return Path(path)
    if not (SHIPPED / CONFIG).is_file():
        raise ModelError(
            f"{SHIPPED}: this installation ships no model; name a model folder "
            "(-m FOLDER, or load_model('FOLDER')), or train one with: asr train RECIPE.yaml"
        )
    return SHIPPED


def check_model_folder(folder: Path) -> None:
    """Refuses what is no model folder; nothing in it is opened.

    Raises:
        ModelError: it is none, or may not be read.
    """
    try:
        if not (folder / CONFIG).is_file():
            raise ModelError(_why_no_model(folder))
    except OSError as error:
        raise unreadable(folder, error) from None


def check_lm_folder(folder: Path) -> None:
    """Refuses what is no folder of a language model; nothing in it is opened.

    Raises:
        ModelError: it is none, or may not be read.
    """
    try:
        if (folder / CONFIG).is_file():
            return
        inner = folder / "lm"
        hint = f"; did you mean {inner}?" if (inner / CONFIG).is_file() else ""
        raise ModelError(
            f"{folder}: no language model folder: {CONFIG} is missing{hint}"
            if folder.exists()
            else f"{folder}: no such language model folder"
        )
    except OSError as error:
        raise unreadable(folder, error) from None


def unreadable(path: Path, error: OSError) -> ModelError:
    """What to tell about a file or folder that may not be read."""
    reason = (error.strerror or str(error)).lower()
    return ModelError(f"{path}: cannot be read ({reason}); change its permissions or copy it")


def _why_no_model(folder: Path) -> str:
    if not folder.exists():
        return f"{folder}: no such model folder"
    wanted = f"name a model folder (with {CONFIG} and {WEIGHTS})"
    if not folder.is_dir():
        kind = (
            "weights in a pickle are refused: opening one can run any program"
            if (folder.suffix in PICKLES)
            else "not a folder"
        )
        return f"{folder}: {kind}; {wanted}"
    pickles = [path.name for path in folder.iterdir() if path.suffix in PICKLES]
    if pickles:
        return (
            f"{folder}: weights in a pickle ({', '.join(sorted(pickles))}) are refused: opening "
            f"one can run any program; {wanted}"
        )
    inner = folder / "model"
    hint = f"; did you mean {inner}?" if (inner / CONFIG).is_file() else ""
    return f"{folder}: not a model folder: {CONFIG} is missing{hint}"
