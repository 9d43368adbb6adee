"""The language model folder: all that the search needs of one, written whole, checked on loading.

config.yaml         what it is (this file's `LMFolderConfig`), with a digest of each file
model.safetensors   weights, or the n-grams; no pickle is ever read
tokenizer.*         what its labels mean: it must be the recogniser's
training/           the resolved recipe and the log: for people
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny
from torch import Tensor

from asr.atomic import atomic_folder, write_atomic
from asr.config import Config, TypedConfig, parse_typed, to_yaml
from asr.errors import ModelError
from asr.folders import (
    CONFIG,
    WEIGHTS,
    check_files,
    check_lm_folder,
    digests,
    parse_config,
    read_config_values,
)
from asr.lm.lstm import LSTM, LSTMConfig
from asr.lm.ngram import NGram, NGramConfig
from asr.lm.protocol import LanguageModel, NeuralLanguageModel
from asr.lm.transformer import Transformer, TransformerConfig
from asr.model.weights import (
    DTYPES,
    StoredDtype,
    fill,
    read_weights,
    unique_weights,
    write_weights,
)
from asr.text import NormalizerConfig, Tokenizer, load_tokenizer

FORMAT_VERSION = 1
CONFIGS: dict[str, type[TypedConfig]] = {
    "lstm": LSTMConfig,
    "transformer": TransformerConfig,
    "ngram": NGramConfig,
}


def lm_config(values: Any) -> TypedConfig:
    """The configuration of the language model that `values` describe; see `parse_typed`."""
    return parse_typed("lm", CONFIGS, values, usual="lstm")


LMConfig = Annotated[SerializeAsAny[TypedConfig], BeforeValidator(lm_config)]


class LMFolderConfig(Config):
    """`config.yaml` of a language model folder.

    `search` holds options of the beam search that go with this model (its weight above all), which
    stand over the recogniser's own where it is used; `facts` are figures for people.
    """

    format_version: int = Field(default=FORMAT_VERSION, ge=1)
    name: str = "lm"
    vocabulary: int = Field(ge=3)
    lm: LMConfig
    normalizer: NormalizerConfig = NormalizerConfig()
    search: dict[str, Any] = Field(default_factory=dict)
    facts: dict[str, Any] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class LoadedLM:
    """An opened language model folder: in eval mode, float32, on the CPU."""

    lm: LanguageModel
    tokenizer: Tokenizer
    config: LMFolderConfig
    folder: Path


def build_lm(config: TypedConfig, vocabulary: int) -> NeuralLanguageModel:
    """A new neural model of this configuration."""
    if isinstance(config, LSTMConfig):
        return LSTM(config, vocabulary)
    assert isinstance(config, TransformerConfig)
    return Transformer(config, vocabulary)


def save_lm_folder(
    folder: Path,
    lm: LanguageModel,
    tokenizer: Tokenizer,
    config: LMFolderConfig,
    *,
    training: Path | None = None,
    dtype: StoredDtype = "float16",
) -> None:
    """Writes a language model folder: it appears whole, or the old one stays.

    Args:
        config: `files` is filled in here.
        training: a folder that is copied to `training/`.
        dtype: what weights, or log probabilities, are stored as; they are loaded as float32.

    Raises:
        OutputError: the folder cannot be written.
    """
    with atomic_folder(folder) as fresh:
        write_weights(fresh, _stored(lm, DTYPES[dtype]))
        tokenizer.save(fresh)
        whole = config.model_copy(update={"files": digests(fresh)})
        (fresh / CONFIG).write_text(to_yaml(whole), encoding="utf-8")
        if training is not None:
            shutil.copytree(training, fresh / "training")


def load_lm_folder(folder: Path | str) -> LoadedLM:
    """Opens a language model folder and checks every file of it.

    Raises:
        ModelError: the folder or a file of it is missing, damaged, altered or of a newer format.
    """
    folder = Path(folder)
    config = read_lm_config(folder)
    check_files(folder, config.files)
    weights = read_weights(folder)
    tokenizer = load_tokenizer(folder)
    if tokenizer.size != config.vocabulary:
        raise ModelError(
            f"{folder}: the tokenizer has {tokenizer.size} tokens, "
            f"the language model was trained with {config.vocabulary}"
        )
    return LoadedLM(_filled(config, weights, folder).eval(), tokenizer, config, folder)


def read_lm_config(folder: Path) -> LMFolderConfig:
    """`config.yaml` of a language model folder, without opening the weights.

    Raises:
        ModelError: as `load_lm_folder`.
    """
    check_lm_folder(folder)
    values = read_config_values(folder, FORMAT_VERSION)
    if "lm" not in values:
        raise ModelError(
            f"{folder}: no language model folder; train one with: asr lm TEXT -o FOLDER"
        )
    return parse_config(LMFolderConfig, values, folder)


def set_search(folder: Path, search: Mapping[str, Any]) -> None:
    """Saves options of the search with a language model, in place of those that it has.

    Raises:
        ModelError: the folder is no language model folder.
        OutputError: it cannot be written.
    """
    config = read_lm_config(folder)
    write_atomic(folder / CONFIG, to_yaml(config.model_copy(update={"search": dict(search)})))


def check_same_labels(mine: Tokenizer, other: Tokenizer, whose: str, others: str) -> None:
    """Refuses two tokenizers whose labels do not mean the same.

    Args:
        whose, others: what the message calls the two.

    Raises:
        ModelError: they differ; the first difference is named.
    """
    advice = "train a language model for it with: asr lm TEXT -o FOLDER --tokenizer MODEL_FOLDER"
    if mine.size != other.size:
        raise ModelError(
            f"{whose} has {mine.size} labels, {others} has {other.size}: they cannot be used "
            f"together; {advice}"
        )
    for label in range(mine.size):
        if mine.piece(label) != other.piece(label):
            raise ModelError(
                f"label {label} is '{mine.piece(label)}' in {whose} and '{other.piece(label)}' in "
                f"{others}: they cannot be used together; {advice}"
            )


def _stored(lm: LanguageModel, dtype: torch.dtype) -> dict[str, Tensor]:
    weights = {
        name: tensor.detach().cpu().contiguous() for name, tensor in unique_weights(lm).items()
    }
    if isinstance(lm, NGram):  # no node has more children than there are labels
        kinds = (torch.uint8, torch.int16, torch.int32)
        whole = next(kind for kind in kinds if lm.vocabulary <= torch.iinfo(kind).max + 1)
        parents = weights.pop("parents")
        children = torch.bincount(parents, minlength=len(parents) + 1)
        weights |= {"children": children.to(whole), "words": weights["words"].to(whole)}
    return {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    }


def _filled(config: LMFolderConfig, weights: Mapping[str, Tensor], folder: Path) -> LanguageModel:
    """The model that `weights` are of."""
    if isinstance(config.lm, NGramConfig):
        names = ("children", "words", "log_probs", "backoffs")
        if set(weights) != set(names):
            raise ModelError(f"{folder / WEIGHTS}: holds no n-grams: the file is damaged")
        children, words, log_probs, backoffs = (weights[name] for name in names)
        parents = torch.repeat_interleave(torch.arange(len(children)), children.long())
        return NGram(config.vocabulary, parents, words, log_probs[1:], backoffs[1:])
    lm = build_lm(config.lm, config.vocabulary)
    fill(lm, weights, folder)
    return lm
