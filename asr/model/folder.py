"""The model folder: all that is needed to transcribe, written whole and checked on loading.

config.yaml         what the model is (this file's `FolderConfig`), with a digest of each file
model.safetensors   the weights; no pickle is ever read
tokenizer.*         what turns token ids into text
README.md           the card, for people
training/           resolved recipe, curves, attention picture: for people
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from asr.atomic import write_atomic
from asr.config import Config, parse, read_yaml, to_yaml
from asr.errors import ConfigError, ModelError
from asr.folders import CONFIG, WEIGHTS, check_model_folder
from asr.model.atomic_folder import atomic_folder, check_files, digests
from asr.model.speech_model import ModelConfig, SpeechModel
from asr.text import NormalizerConfig, Tokenizer, load_tokenizer

FORMAT_VERSION = 1
CARD = "README.md"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class FolderConfig(Config):
    """`config.yaml` of a model folder.

    `search` holds the defaults of the beam search and `confidence` the map that tells how sure
    words are, if one was fitted; who reads them checks them. `facts` are figures for people (hours
    of training, error rates) that `asr info` prints.
    """

    format_version: int = Field(default=FORMAT_VERSION, ge=1)
    name: str = "model"
    vocabulary: int = Field(ge=3)
    model: ModelConfig
    normalizer: NormalizerConfig = NormalizerConfig()
    search: dict[str, Any] = Field(default_factory=dict)
    confidence: dict[str, Any] = Field(default_factory=dict)
    facts: dict[str, Any] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class LoadedModel:
    """An opened model folder: the module in eval mode, float32, on the CPU."""

    model: SpeechModel
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
    search: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
    training: Path | None = None,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
) -> None:
    """Writes a model folder: the whole folder appears at once, or the old one stays.

    Args:
        training: a folder that is copied to `training/`.
        dtype: what the weights are stored as; they are loaded as float32.

    Raises:
        OutputError: the folder cannot be written.
    """
    with atomic_folder(folder) as fresh:
        save_file(_stored(model, DTYPES[dtype]), fresh / WEIGHTS)
        (fresh / WEIGHTS).chmod(0o644)  # safetensors keeps it from everyone else
        tokenizer.save(fresh)
        config = FolderConfig(
            name=name,
            vocabulary=model.vocabulary,
            model=model.config,
            normalizer=normalizer,
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
    """Gives the model in `folder` a map that tells how sure words are.

    Raises:
        ModelError: it is no model folder.
        OutputError: it cannot be written.
    """
    changed = read_folder_config(folder).model_copy(update={"confidence": dict(confidence)})
    write_atomic(folder / CONFIG, to_yaml(changed))


def load_model_folder(folder: Path | str) -> LoadedModel:
    """Opens a model folder and checks every file that transcribing needs.

    Raises:
        ModelError: the folder or a file of it is missing, damaged, altered, of a newer format, or
            holds its weights in a pickle (which is never opened).
    """
    folder = Path(folder)
    config = read_folder_config(folder)
    check_files(folder, config.files)
    model = SpeechModel(config.model, config.vocabulary)
    try:
        weights = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{folder / WEIGHTS}: cannot be read as safetensors: {error}") from None
    mismatches = weight_mismatches(model, weights)
    if mismatches:
        raise ModelError(f"{folder / WEIGHTS}: does not fit {CONFIG}: " + "; ".join(mismatches))
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()}, strict=False)
    tokenizer = load_tokenizer(folder)
    if tokenizer.size != config.vocabulary:
        raise ModelError(
            f"{folder}: the tokenizer has {tokenizer.size} tokens, "
            f"the model was trained with {config.vocabulary}"
        )
    return LoadedModel(model.eval(), tokenizer, config, folder)


def read_folder_config(folder: Path) -> FolderConfig:
    """`config.yaml` of a model folder, without opening the weights.

    Raises:
        ModelError: as `load_model_folder`.
    """
    path = folder / CONFIG
    check_model_folder(folder)
    try:
        values = read_yaml(path)
    except ConfigError as error:
        raise ModelError(f"{error}; the model folder is damaged, copy it again") from None
    version = values.get("format_version", FORMAT_VERSION)
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ModelError(
            f"{path}: format version {version} is newer than this program understands "
            f"({FORMAT_VERSION}); upgrade asr"
        )
    try:
        return parse(FolderConfig, values, str(path))
    except ConfigError as error:
        raise ModelError(str(error)) from None


def weight_mismatches(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> list[str]:
    """What keeps `weights` from fitting `model`, one sentence a tensor."""
    wanted = unique_weights(model)
    said = [f"{name} is missing" for name in wanted if name not in weights]
    said += [f"{name} is not part of the model" for name in weights if name not in wanted]
    said += [
        f"{name} is {tuple(weights[name].shape)}, the model wants {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    return said


def unique_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict without second names of tied tensors, which safetensors refuses."""
    seen: dict[int, str] = {}
    state = model.state_dict()
    return {n: t for n, t in state.items() if seen.setdefault(t.data_ptr() or id(t), n) == n}


def _stored(model: nn.Module, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Weights as they are stored; the normalisation keeps float32, its range is wide."""
    return {
        name: (tensor if name.startswith("norm.") else tensor.to(dtype)).detach().cpu().contiguous()
        for name, tensor in unique_weights(model).items()
    }
