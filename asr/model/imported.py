"""Models in other formats as model folders of the kind that this package trains."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import torch
from torch import nn

from asr.errors import ModelError
from asr.folders import DEFAULT_KIND
from asr.model.folder import FolderConfig, load_model_folder, save_model_folder
from asr.model.speech_model import SpeechModel
from asr.model.weights import DTYPES, StoredDtype


def import_model(source: Path, folder: Path) -> None:
    """Writes a model in another format as a model folder; it opens without libraries of the format.

    Weights keep the type that they are stored in; integers become float32. The whole folder
    appears at once, and takes the place of one that is there.

    Args:
        source: what `load_model_folder` opens, of another kind than `asr`.

    Raises:
        ModelError: the source cannot be opened, or is a model folder of kind `asr` already.
        DependencyError: see `load_whisper`.
        OutputError: the folder cannot be written.
    """
    loaded = load_model_folder(source, "stored")
    if loaded.config.kind == DEFAULT_KIND or not isinstance(loaded.model, SpeechModel):
        raise ModelError(f"{source}: is a model folder already; there is nothing to import")
    config = loaded.config
    save_model_folder(
        folder,
        loaded.model,
        loaded.tokenizer,
        name=config.name,
        normalizer=config.normalizer,
        card=_card(config),
        search=config.search,
        facts=config.facts,
        dtype=_stored_dtype(loaded.model),
    )


def _stored_dtype(model: nn.Module) -> StoredDtype:
    """The narrowest type that holds all weights."""
    widest = reduce(torch.promote_types, {weights.dtype for weights in model.parameters()})
    return next(name for name, dtype in DTYPES.items() if dtype == widest)


def _card(config: FolderConfig) -> str:
    """The card as Markdown."""
    return "\n".join(
        [
            f"# {config.name}",
            "",
            f"A model of kind {config.kind}, imported.",
            "",
            "## Use",
            "",
            f"    asr transcribe -m {config.name} recording.wav",
            "",
        ]
    )
