"""The model folder: all that is needed to transcribe, written whole and checked on loading.

`load_model_folder` opens every kind of model (`asr.folders.MODEL_KINDS`). The kind that this
package trains and writes has these files:

config.yaml         what the model is (this file's `FolderConfig`), with a digest of each file
model.safetensors   the weights; no pickle is ever read
tokenizer.*         what turns token ids into text
README.md           the card, for people
training/           resolved recipe, curves, attention picture: for people
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from pydantic import Field
from torch import nn

from asr.atomic import atomic_folder, write_atomic
from asr.config import Config, to_yaml
from asr.errors import ModelError
from asr.folders import (
    CONFIG,
    DEFAULT_KIND,
    check_files,
    check_model_folder,
    digests,
    model_kind,
    parse_config,
    read_config_values,
)
from asr.model.int8 import quantised
from asr.model.protocols import ASRModel
from asr.model.speech_model import ModelConfig, SpeechModel
from asr.model.weights import (
    DTYPES,
    LoadedDtype,
    StoredDtype,
    Uninitialised,
    fill,
    read_weights,
    unique_weights,
    write_weights,
)
from asr.text import NormalizerConfig, Tokenizer, load_tokenizer

FORMAT_VERSION = 1
CARD = "README.md"
M = TypeVar("M", bound=ASRModel)


class Origin(Config):
    """Where a model comes from that was not trained here.

    Attributes:
        source: the repository of a published model, or the name of the file or folder.
        revision: the commit of the repository.
        format: of the files, in words.
        weights: what they were stored as there: `float16`, `int8`.
        licence: of the weights, as it was stated.
    """

    source: str
    revision: str | None = None
    format: str
    weights: str
    licence: str | None = None


class FolderConfig(Config):
    """`config.yaml` of a model folder.

    `kind` says what opens the folder, `origin` where a model comes from that was not trained here,
    or that was trained further here. `search` holds the defaults of the beam search and
    `confidence` the map from evidence to the confidence of words, if one was fitted. Whoever reads
    them checks them. `facts` are figures for people (hours of training, error rates) that `asr
    info` prints."""

    format_version: int = Field(default=FORMAT_VERSION, ge=1)
    kind: str = DEFAULT_KIND
    name: str = "model"
    vocabulary: int = Field(ge=3)
    model: ModelConfig
    normalizer: NormalizerConfig = NormalizerConfig()
    origin: Origin | None = None
    search: dict[str, Any] = Field(default_factory=dict)
    confidence: dict[str, Any] = Field(default_factory=dict)
    facts: dict[str, Any] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class LoadedModel(Generic[M]):
    """An opened model folder: the module in eval mode, on the CPU."""

    model: M
    tokenizer: Tokenizer
    config: FolderConfig
    folder: Path


def save_model_folder(
    folder: Path,
    model: SpeechModel,
    tokenizer: Tokenizer,
    *,
    name: str,
    normalizer: NormalizerConfig,
    card: str,
    origin: Origin | None = None,
    search: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
    training: Path | None = None,
    dtype: StoredDtype = "float32",
) -> None:
    """Writes a model folder: the whole folder appears at once, or the old one stays.

    Args:
        training: a folder that is copied to `training/`.
        dtype: what the weights are stored as.

    Raises:
        OutputError: the folder cannot be written.
        ModelError: weights hold NaN or infinity, and `dtype` is "int8".
    """
    with atomic_folder(folder) as fresh:
        write_weights(fresh, _stored(model, dtype))
        tokenizer.save(fresh)
        config = FolderConfig(
            name=name,
            vocabulary=model.vocabulary,
            model=model.config,
            normalizer=normalizer,
            origin=origin,
            search=dict(search or {}),
            facts=dict(facts or {}),
            files=digests(fresh),
        )
        (fresh / CONFIG).write_text(to_yaml(config), encoding="utf-8")
        (fresh / CARD).write_text(card, encoding="utf-8")
        if training is not None:
            shutil.copytree(training, fresh / "training")


def keep_search(folder: Path, like: Path) -> None:
    """Gives the model in `folder` the search defaults of the model in `like`.

    Raises:
        ModelError: one of them is no model folder.
        OutputError: it cannot be written.
    """
    config = read_folder_config(folder)
    search = read_folder_config(like).search
    if search != config.search:
        changed = config.model_copy(update={"search": search})
        write_atomic(folder / CONFIG, to_yaml(changed))


def keep_confidence(folder: Path, confidence: Mapping[str, Any]) -> None:
    """Gives the model in `folder` a map from evidence to the confidence of words.

    Raises:
        ModelError: it is no model folder.
        OutputError: it cannot be written.
    """
    changed = read_folder_config(folder).model_copy(update={"confidence": dict(confidence)})
    write_atomic(folder / CONFIG, to_yaml(changed))


def load_model_folder(folder: Path | str, dtype: LoadedDtype = "float32") -> LoadedModel[ASRModel]:
    """Opens a model folder of any kind and checks every file that transcribing needs.

    Args:
        dtype: what the weights are loaded as: "float32", or "stored", which keeps the type that
            they are stored in (float16 and bfloat16 take half the memory; int8 becomes float32).

    Raises:
        ModelError: the folder or a file of it is missing, damaged, altered, of a newer format or of
            an unknown kind, or holds its weights in a pickle (which is never opened).
        ConfigError: there is no such `dtype`.
    """
    folder = Path(folder)
    module, _, function = model_kind(folder).loader.partition(":")
    loaded: LoadedModel[ASRModel] = getattr(importlib.import_module(module), function)(
        folder, dtype
    )
    return loaded


def load_speech_model(
    folder: Path | str, dtype: LoadedDtype = "float32"
) -> LoadedModel[SpeechModel]:
    """Opens a model folder of the kind that this package trains.

    Raises:
        ModelError, ConfigError: as `load_model_folder`; ModelError also for other kinds.
    """
    folder = Path(folder)
    config = read_folder_config(folder)
    if config.kind != DEFAULT_KIND:
        raise ModelError(
            f"{folder}: a model of kind '{config.kind}' can transcribe but not be trained further; "
            f"import it first: asr import {folder} -o FOLDER"
        )
    check_files(folder, config.files)
    tokenizer = load_tokenizer(folder)
    if tokenizer.size != config.vocabulary:  # before memory is allocated for so many
        raise ModelError(
            f"{folder}: the tokenizer has {tokenizer.size} tokens, "
            f"the model was trained with {config.vocabulary}"
        )
    with Uninitialised():
        model = SpeechModel(config.model, config.vocabulary)
    fill(model, read_weights(folder), folder, dtype)
    return LoadedModel(model.eval(), tokenizer, config, folder)


def read_folder_config(folder: Path) -> FolderConfig:
    """`config.yaml` of a model folder, without opening the weights.

    Raises:
        ModelError: as `load_model_folder`; also for a folder of another format, which has none.
    """
    check_model_folder(folder)
    if not (folder / CONFIG).is_file():
        raise ModelError(
            f"{folder}: a model in another format, without {CONFIG}: it can transcribe but not be "
            f"changed or trained further; import it first: asr import {folder} -o FOLDER"
        )
    return parse_config(FolderConfig, read_config_values(folder, FORMAT_VERSION), folder)


def _stored(model: nn.Module, dtype: StoredDtype) -> dict[str, torch.Tensor]:
    """Weights as they are stored; the normalisation keeps float32, its range is wide."""
    weights = unique_weights(model)
    if dtype == "int8":
        return quantised(weights)
    return {
        name: (tensor if name.startswith("norm.") else tensor.to(DTYPES[dtype]))
        .detach()
        .cpu()
        .contiguous()
        for name, tensor in weights.items()
    }
