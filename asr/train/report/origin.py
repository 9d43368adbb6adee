"""Where the weights come from that a run started with: it stays known, and so does the licence."""

from __future__ import annotations

from pathlib import Path

from asr.atomic import write_atomic
from asr.config import parse, read_yaml, to_yaml
from asr.model.folder import Origin, read_folder_config

#: In the folder of what a run has prepared.
ORIGIN = "origin.yaml"


def keep_origin(model: Path, prepared: Path) -> None:
    """Writes the origin of the model folder that a run starts from, if it has one.

    Raises:
        ModelError: it is no model folder.
        OutputError: it cannot be written.
    """
    origin = read_folder_config(model).origin
    if origin is not None:
        write_atomic(prepared / ORIGIN, to_yaml(origin))


def kept_origin(prepared: Path) -> Origin | None:
    """What `keep_origin` wrote, None if nothing."""
    path = prepared / ORIGIN
    return parse(Origin, read_yaml(path), str(path)) if path.exists() else None
