"""The model that a run starts from, as a model folder."""

from __future__ import annotations

from pathlib import Path

from asr.folders import foreign_kind
from asr.model.imported import import_model
from asr.train.checkpoint import LAST

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
    """
    if foreign_kind(model) is None:
        return model
    folder = run.absolute() / BASE
    if not (has_begun(run, resume) and folder.is_dir()):
        import_model(model, folder)
    return folder
