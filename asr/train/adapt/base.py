"""The model that a run starts from, as a model folder."""

from __future__ import annotations

import os
from pathlib import Path

from asr.errors import TrainingError
from asr.folders import foreign_kind
from asr.model.imported import import_model
from asr.train.checkpoint import LAST
from asr.train.devices import launched_by

#: In a run's folder: the model in another format, written as a model folder.
BASE = "base"


def has_begun(folder: Path, resume: str) -> bool:
    """Whether a run in `folder` goes on; `resume` as for `asr.train.run.Start`."""
    if resume == "auto":
        return (folder / "checkpoints" / LAST).exists()
    return resume != "never"


def base_folder(model: Path, run: Path, resume: str) -> Path:
    """`model`, or `base` in the folder of the run, to which a model in another format is written.

    Raises:
        ModelError, DependencyError, OutputError: as `import_model`.
        TrainingError: torchrun or SLURM have started several processes, and all would write it.
    """
    if foreign_kind(model) is None:
        return model
    folder = run.absolute() / BASE
    by_lightning = os.environ.get("LOCAL_RANK", "0") != "0"  # the first process has written it
    if folder.is_dir() and (has_begun(run, resume) or by_lightning):
        return folder
    if (launched := launched_by()) is not None:
        raise TrainingError(
            f"{model}: a model in another format, and {launched[0]} has started several processes, "
            f"of which one must write it as a model folder: run 'asr import {model} -o FOLDER' "
            "first, and name FOLDER"
        )
    import_model(model, folder)
    return folder
