"""Reads the three formats that Whisper's weights come in: CTranslate2, Hugging Face, OpenAI.

Pickles are opened only by torch's restricted reader (`weights_only`), which runs no code.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from asr.dependencies import first_line
from asr.errors import ModelError, shortened
from asr.folders import unreadable
from asr.model.whisper.checkpoint import WhisperCheckpoint, checkpoint
from asr.model.whisper.ctranslate2 import read_model_bin
from asr.model.whisper.naming import (
    HUGGING_FACE,
    OPENAI,
    SourceTensors,
    from_ctranslate2,
    from_scheme,
)

CONFIG = "config.json"
MODEL_BIN = "model.bin"
SAFETENSORS, PICKLE = "model.safetensors", "pytorch_model.bin"
INDEX = ".index.json"
#: How the small text file begins that Git LFS leaves in place of one that was not fetched.
LFS_POINTER = b"version https://git-lfs"
PROJECTION, EMBEDDING = "proj_out.weight", "decoder.embed_tokens.weight"


def read_ctranslate2(folder: Path) -> WhisperCheckpoint:
    """The model of a CTranslate2 folder, as faster-whisper uses them: `model.bin`.

    Raises:
        ModelError: it cannot be read, is damaged, or no Whisper model.
    """
    path = folder / MODEL_BIN
    _check_beginning(path)
    content = read_model_bin(path)
    source = SourceTensors(path, content.tensors)
    weights = from_ctranslate2(source)
    source.finish()
    counts = [content.scalars.get(f"{half}/num_heads", 0) for half in ("encoder", "decoder")]
    heads = (_heads(path, "num_heads", count) for count in counts)
    return replace(checkpoint(path, weights, *heads), integers=content.integers)


def read_hugging_face(folder: Path) -> WhisperCheckpoint:
    """The model of a Hugging Face folder: `config.json` beside the weights.

    These are `model.safetensors` or `pytorch_model.bin`, in one file or several with an index.

    Raises:
        ModelError: a file is missing, cannot be read, is damaged, or no Whisper model.
    """
    config = read_json(folder / CONFIG)
    if "model_type" not in config:
        raise ModelError(
            f"{folder / CONFIG}: names no 'model_type', as Hugging Face models do, and there is no "
            f"{MODEL_BIN}, as CTranslate2 models have; copy the model again"
        )
    if config["model_type"] != "whisper":
        kind = shortened(repr(config["model_type"]), 40)
        raise ModelError(f"{folder / CONFIG}: model_type is {kind}, not 'whisper'")
    if config.get("scale_embedding") or config.get("activation_function", "gelu") != "gelu":
        raise ModelError(
            f"{folder / CONFIG}: scaled embeddings and activations other than gelu are not "
            "supported"
        )
    path, tensors = _hugging_face_tensors(folder)
    named = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    if len(named) < len(tensors):
        raise ModelError(f"{path}: tensors have equal names but for 'model.'; copy it again")
    projection = named.pop(PROJECTION, None)  # written by old versions, though it is tied
    if projection is not None and not torch.equal(projection, named.get(EMBEDDING, projection[:0])):
        raise ModelError(f"{path}: {PROJECTION} differs from {EMBEDDING}: this is not supported")
    source = SourceTensors(path, named)
    weights = from_scheme(source, HUGGING_FACE)
    source.finish()
    keys = ("encoder_attention_heads", "decoder_attention_heads")
    heads = [_heads(folder / CONFIG, key, config.get(key)) for key in keys]
    return checkpoint(path, weights, *heads)


def read_openai(path: Path) -> WhisperCheckpoint:
    """The model of a file `NAME.pt` as OpenAI publishes them.

    Raises:
        ModelError: it cannot be read, is damaged, or no Whisper model.
    """
    content = _read_pickle(path)
    dims, tensors = content.get("dims"), content.get("model_state_dict")
    if not isinstance(dims, dict) or not isinstance(tensors, dict):
        raise ModelError(
            f"{path}: no Whisper model of OpenAI: 'dims' or 'model_state_dict' is missing"
        )
    source = SourceTensors(path, _checked_tensors(path, tensors))
    weights = from_scheme(source, OPENAI)
    source.finish()
    heads = [_heads(path, key, dims.get(key)) for key in ("n_audio_head", "n_text_head")]
    return checkpoint(path, weights, *heads)


def read_json(path: Path) -> dict[str, Any]:
    """The keys and values of a JSON file.

    Raises:
        ModelError: it cannot be read, or is no JSON, or holds something else.
    """
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{path}: is missing; copy it from the same model") from None
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, RecursionError):
        raise ModelError(f"{path}: not JSON, or damaged; copy it again") from None
    if not isinstance(values, dict):
        raise ModelError(f"{path}: holds no keys and values; copy it again")
    return values


def _heads(path: Path, key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelError(f"{path}: {key} must be a number of at least 1, got {value!r}")
    return value


def hugging_face_weights(folder: Path) -> Path | None:
    """The weights that a Hugging Face folder is opened with: a file, or the index of several.

    Where there are several, safetensors come first: they are the same weights in other formats.
    """
    names = (name + end for name in (SAFETENSORS, PICKLE) for end in ("", INDEX))
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _hugging_face_tensors(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """The tensors of a folder by name, and the file that they come from, or its index."""
    path = hugging_face_weights(folder)
    if path is None:
        raise ModelError(
            f"{folder}: no weights: {SAFETENSORS} or {PICKLE}, or an index of several, is missing"
        )
    return path, dict(_sharded(path)) if path.name.endswith(INDEX) else _read_weights(path)


def _sharded(index: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of several files, which must be those that the index names."""
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise ModelError(f"{index}: its 'weight_map' is missing or damaged; copy it again")
    for shard in sorted(set(names.values())):
        if Path(shard).name != shard:
            raise ModelError(f"{index}: {shard!r} is not the name of a file beside it")
        tensors = _read_weights(index.parent / shard)
        listed = {name for name, file in names.items() if file == shard}
        if listed != tensors.keys():
            different = shortened(", ".join(sorted(listed ^ tensors.keys())), 200)
            raise ModelError(
                f"{index.parent / shard}: is not as {index.name} has it: {different}; copy it again"
            )
        yield from tensors.items()


def _read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of one file of weights."""
    _check_beginning(path)
    if path.suffix != ".safetensors":
        return _checked_tensors(path, _read_pickle(path))
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise unreadable(path, error) from None
    except (SafetensorError, ValueError) as error:
        raise ModelError(
            f"{path}: damaged or cut off, or no safetensors file ({first_line(error)}); copy it "
            "again"
        ) from None


def _read_pickle(path: Path) -> dict[Any, Any]:
    """What a file of `torch.save` holds, if that is a dictionary of tensors and plain values.

    The file is mapped, not read: no tensor is larger than the file, whatever its header says.
    """
    begin = _check_beginning(path)
    if begin.startswith(b"\x80"):
        raise ModelError(
            f"{path}: a pickle in the format of torch before 1.6, which is refused: opening one "
            "can run any program; convert it to safetensors"
        )
    if not begin.startswith(b"PK\3\4"):
        raise ModelError(f"{path}: no file of torch.save, or damaged; copy it again")
    if not zipfile.is_zipfile(path):
        raise ModelError(f"{path}: damaged or cut off: its end is missing; copy it again")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # what a damaged pickle can raise is not known
        raise ModelError(
            f"{path}: cannot be read as weights of torch: {shortened(first_line(error), 200)}"
        ) from None
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds no named weights")
    return content


def _check_beginning(path: Path) -> bytes:
    """The first bytes of a file of weights, which must hold something of its own.

    Raises:
        ModelError: it cannot be read, is empty, or only a pointer of Git LFS.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(len(LFS_POINTER))
    except FileNotFoundError:
        raise ModelError(f"{path}: is missing; copy it from the same model") from None
    except OSError as error:
        raise unreadable(path, error) from None
    if not begin:
        raise ModelError(f"{path}: is empty; copy it again")
    if begin == LFS_POINTER:
        raise ModelError(
            f"{path}: only a pointer of Git LFS to the weights; fetch them with: git lfs pull"
        )
    return begin


def _checked_tensors(path: Path, content: dict[Any, Any]) -> dict[str, Tensor]:
    """`content`, if it is nothing but named tensors."""
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ModelError(f"{path}: {shortened(repr(name), 80)} is no tensor")
        if tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise ModelError(f"{path}: {name} is no plain tensor")
    return content
