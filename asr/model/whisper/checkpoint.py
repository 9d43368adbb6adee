"""A Whisper checkpoint, whatever file it comes from: sizes and weights, every tensor accounted for.

Sizes are those of the tensors; only the number of heads is not to be seen in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from asr.config import parse
from asr.errors import ConfigError, ModelError
from asr.model.whisper.config import WhisperDecoderConfig, WhisperEncoderConfig, WhisperSizes

C = TypeVar("C", bound=WhisperSizes)
_MOST_PROBLEMS = 5
#: The width of each head of every Whisper model, and that of the narrowest model.
HEAD, NARROWEST = 64, 384


@dataclass(frozen=True)
class WhisperCheckpoint:
    """Sizes and weights of a Whisper model.

    Attributes:
        mels: width of the features.
        vocabulary: number of labels.
        weights: by the names of `WhisperEncoder` and `WhisperDecoder` behind `encoder.` and
            `decoder.`, in the type that they are stored in. Where a file mixes types, all are of
            the shortest that holds every one of them.
        integers: the type of weights that the file has quantised, and that are float32 here.
    """

    mels: int
    vocabulary: int
    encoder: WhisperEncoderConfig
    decoder: WhisperDecoderConfig
    weights: dict[str, Tensor]
    integers: torch.dtype | None = None


def checkpoint(
    path: Path, weights: Mapping[str, Tensor], encoder_heads: int, decoder_heads: int
) -> WhisperCheckpoint:
    """The checkpoint of weights that have our names.

    Args:
        path: where they come from, for messages.

    Raises:
        ModelError: shapes do not go together.
    """
    convolution, embedding = weights["encoder.conv1.weight"], weights["decoder.embedding.weight"]
    if convolution.dim() != 3 or embedding.dim() != 2:
        raise ModelError(
            f"{path}: the first convolution is {tuple(convolution.shape)} and the embedding "
            f"{tuple(embedding.shape)}, which is no Whisper model; copy it again"
        )
    mels, vocabulary = convolution.shape[1], embedding.shape[0]
    encoder = _sizes(path, WhisperEncoderConfig, "encoder", weights, encoder_heads)
    decoder = _sizes(path, WhisperDecoderConfig, "decoder", weights, decoder_heads)
    wanted = _shapes(encoder, decoder, mels, vocabulary)
    problems = [
        f"{name} is {tuple(weights[name].shape)}, should be {shape}"
        for name, shape in wanted.items()
        if tuple(weights[name].shape) != shape
    ]
    if problems:
        raise ModelError(
            f"{path}: shapes do not go together: {'; '.join(problems[:_MOST_PROBLEMS])}; "
            "copy it again"
        )
    dtype = reduce(torch.promote_types, {tensor.dtype for tensor in weights.values()})
    cast = {name: tensor.to(dtype) for name, tensor in weights.items()}
    return WhisperCheckpoint(mels, vocabulary, encoder, decoder, cast)


def _sizes(path: Path, cls: type[C], half: str, weights: Mapping[str, Tensor], heads: int) -> C:
    """The sizes of one half of the model."""
    numbers = {name.split(".")[2] for name in weights if name.startswith(f"{half}.layers.")}
    if not numbers:
        raise ModelError(f"{path}: the {half} has no layers; not a Whisper model, or damaged")
    values = {
        "layers": len(numbers),
        "dim": weights[f"{half}.norm.weight"].shape[0],
        "heads": heads,
        "ff": weights[f"{half}.layers.0.widen.weight"].shape[0],
        "positions": weights[f"{half}.positions"].shape[0],
    }
    try:
        sizes = parse(cls, values, f"{path}: {half}")
    except ConfigError as error:
        raise ModelError(str(error)) from None
    if sizes.dim >= NARROWEST and sizes.dim != HEAD * heads:  # any number fits the shapes
        raise ModelError(
            f"{path}: the {half} is {sizes.dim} wide and is said to have {heads} heads; Whisper's "
            f"heads are {HEAD} wide, which makes {sizes.dim / HEAD:g}: copy its configuration again"
        )
    return sizes


def _shapes(
    encoder: WhisperEncoderConfig, decoder: WhisperDecoderConfig, mels: int, vocabulary: int
) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of the modules, by our names.

    Written down here: to build modules without memory, torch imports compilers for two seconds.
    """
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.conv1.weight": (encoder.dim, mels, 3),
        "encoder.conv1.bias": (encoder.dim,),
        "encoder.conv2.weight": (encoder.dim, encoder.dim, 3),
        "encoder.conv2.bias": (encoder.dim,),
        "decoder.embedding.weight": (vocabulary, decoder.dim),
    }

    def linear(name: str, outputs: int, inputs: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs), (outputs,)

    def norm(name: str, dim: int) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (dim,)

    for half, sizes in (("encoder", encoder), ("decoder", decoder)):
        dim = sizes.dim
        shapes[f"{half}.positions"] = (sizes.positions, dim)
        norm(f"{half}.norm", dim)
        seen = {"self": dim} if half == "encoder" else {"self": dim, "memory": encoder.dim}
        for layer in (f"{half}.layers.{number}" for number in range(sizes.layers)):
            for kind, inputs in seen.items():
                norm(f"{layer}.{kind}_norm", dim)
                linear(f"{layer}.{kind}_attention.to_query", dim, dim)
                linear(f"{layer}.{kind}_attention.to_keys_values", 2 * dim, inputs)
                linear(f"{layer}.{kind}_attention.to_output", dim, dim)
            norm(f"{layer}.ff_norm", dim)
            linear(f"{layer}.widen", sizes.ff, dim)
            linear(f"{layer}.narrow", dim, sizes.ff)
    return shapes
