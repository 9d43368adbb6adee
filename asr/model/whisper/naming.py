"""One set of names for Whisper's tensors: from those of CTranslate2, Hugging Face and OpenAI.

The names are those of `WhisperEncoder` and `WhisperDecoder`, behind `encoder.` and `decoder.`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from asr.errors import ModelError, shortened


class SourceTensors:
    """The tensors of a file by its own names, each of which is taken once."""

    def __init__(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        self.path = path
        self.tensors = dict(tensors)

    def take(self, name: str) -> Tensor:
        """The tensor of that name, which is not there any more then.

        Raises:
            ModelError: there is none, or it is no array of floating-point numbers.
        """
        if name not in self.tensors:
            raise ModelError(
                f"{self.path}: {name} is missing; not a Whisper model, or damaged: copy it again"
            )
        tensor = self.tensors.pop(name)
        if not tensor.is_floating_point() or not tensor.numel() or not tensor.dim():
            raise ModelError(
                f"{self.path}: {name} is {tensor.dtype} of shape {tuple(tensor.shape)}, where "
                "floating-point numbers should be; copy it again"
            )
        return tensor

    def joined(self, first: str, second: str) -> Tensor:
        """The tensors of these names, one behind the other along their first dimension.

        Raises:
            ModelError: as `take`, or their shapes differ.
        """
        tensors = self.take(first), self.take(second)
        if tensors[0].shape != tensors[1].shape:
            shapes = " and ".join(str(tuple(tensor.shape)) for tensor in tensors)
            raise ModelError(
                f"{self.path}: {first} and {second} have different shapes, {shapes}; copy it again"
            )
        return torch.cat(tensors)

    def parts(self, name: str, count: int) -> tuple[Tensor, ...]:
        """The tensor of that name, cut into `count` equal parts along its first dimension.

        Raises:
            ModelError: as `take`, or it cannot be cut so.
        """
        tensor = self.take(name)
        if len(tensor) % count:
            raise ModelError(
                f"{self.path}: {name} has the shape {tuple(tensor.shape)}, which is not {count} "
                "equal parts; copy it again"
            )
        return tensor.chunk(count)

    def layers(self, pattern: str) -> int:
        """How many layers there are, whose names begin with `pattern`, which holds a number."""
        matches = (re.match(pattern, name) for name in self.tensors)
        return len({match[1] for match in matches if match})

    def finish(self) -> None:
        """Refuses tensors that nobody took.

        Raises:
            ModelError: there are some.
        """
        if self.tensors:
            names = shortened(", ".join(sorted(self.tensors)), 200)
            raise ModelError(
                f"{self.path}: {len(self.tensors)} tensors are no part of a Whisper model: {names}"
            )


@dataclass(frozen=True)
class Scheme:
    """What a format calls the parts of a model, where every projection has its own tensors."""

    layers: str
    self_attention: str
    memory_attention: str
    query: str
    key: str
    value: str
    output: str
    self_norm: str
    memory_norm: str
    ff_norm: str
    widen: str
    narrow: str
    positions: str
    embedding: str
    encoder_norm: str
    decoder_norm: str


OPENAI = Scheme(
    layers="blocks",
    self_attention="attn",
    memory_attention="cross_attn",
    query="query",
    key="key",
    value="value",
    output="out",
    self_norm="attn_ln",
    memory_norm="cross_attn_ln",
    ff_norm="mlp_ln",
    widen="mlp.0",
    narrow="mlp.2",
    positions="positional_embedding",
    embedding="token_embedding.weight",
    encoder_norm="ln_post",
    decoder_norm="ln",
)
HUGGING_FACE = Scheme(
    layers="layers",
    self_attention="self_attn",
    memory_attention="encoder_attn",
    query="q_proj",
    key="k_proj",
    value="v_proj",
    output="out_proj",
    self_norm="self_attn_layer_norm",
    memory_norm="encoder_attn_layer_norm",
    ff_norm="final_layer_norm",
    widen="fc1",
    narrow="fc2",
    positions="embed_positions.weight",
    embedding="embed_tokens.weight",
    encoder_norm="layer_norm",
    decoder_norm="layer_norm",
)


def from_scheme(source: SourceTensors, scheme: Scheme) -> dict[str, Tensor]:
    """Our names and shapes, of a file with OpenAI's or Hugging Face's.

    Raises:
        ModelError: a tensor is missing.
    """
    ours: dict[str, Tensor] = {}

    def both(name: str, theirs: str) -> None:
        ours[f"{name}.weight"] = source.take(f"{theirs}.weight")
        ours[f"{name}.bias"] = source.take(f"{theirs}.bias")

    def attention(name: str, theirs: str) -> None:
        both(f"{name}.to_query", f"{theirs}.{scheme.query}")
        both(f"{name}.to_output", f"{theirs}.{scheme.output}")
        key, value = f"{theirs}.{scheme.key}", f"{theirs}.{scheme.value}"
        ours[f"{name}.to_keys_values.weight"] = source.joined(f"{key}.weight", f"{value}.weight")
        # Keys have no bias: it would add the same to the scores of all of them.
        bias = source.take(f"{value}.bias")
        ours[f"{name}.to_keys_values.bias"] = torch.cat([torch.zeros_like(bias), bias])

    both("encoder.conv1", "encoder.conv1")
    both("encoder.conv2", "encoder.conv2")
    both("encoder.norm", f"encoder.{scheme.encoder_norm}")
    both("decoder.norm", f"decoder.{scheme.decoder_norm}")
    ours["decoder.embedding.weight"] = source.take(f"decoder.{scheme.embedding}")
    for half in ("encoder", "decoder"):
        ours[f"{half}.positions"] = source.take(f"{half}.{scheme.positions}")
        for number in range(source.layers(rf"{half}\.{scheme.layers}\.(\d+)\.")):
            name, theirs = f"{half}.layers.{number}", f"{half}.{scheme.layers}.{number}"
            both(f"{name}.self_norm", f"{theirs}.{scheme.self_norm}")
            attention(f"{name}.self_attention", f"{theirs}.{scheme.self_attention}")
            if half == "decoder":
                both(f"{name}.memory_norm", f"{theirs}.{scheme.memory_norm}")
                attention(f"{name}.memory_attention", f"{theirs}.{scheme.memory_attention}")
            both(f"{name}.ff_norm", f"{theirs}.{scheme.ff_norm}")
            both(f"{name}.widen", f"{theirs}.{scheme.widen}")
            both(f"{name}.narrow", f"{theirs}.{scheme.narrow}")
    return ours


def from_ctranslate2(source: SourceTensors) -> dict[str, Tensor]:
    """Our names and shapes, of a file with CTranslate2's, which joins projections of one input.

    Raises:
        ModelError: a tensor is missing, or cannot be cut into the projections that it joins.
    """
    ours: dict[str, Tensor] = {}

    def both(name: str, theirs: str) -> None:
        ours[f"{name}.weight"] = source.take(f"{theirs}/weight")
        ours[f"{name}.bias"] = source.take(f"{theirs}/bias")

    def norm(name: str, theirs: str) -> None:
        ours[f"{name}.weight"] = source.take(f"{theirs}/layer_norm/gamma")
        ours[f"{name}.bias"] = source.take(f"{theirs}/layer_norm/beta")

    def self_attention(name: str, theirs: str) -> None:
        for kind in ("weight", "bias"):
            query, key, value = source.parts(f"{theirs}/linear_0/{kind}", 3)
            ours[f"{name}.to_query.{kind}"] = query
            ours[f"{name}.to_keys_values.{kind}"] = torch.cat([key, value])
        both(f"{name}.to_output", f"{theirs}/linear_1")

    both("encoder.conv1", "encoder/conv1")
    both("encoder.conv2", "encoder/conv2")
    norm("encoder.norm", "encoder")
    norm("decoder.norm", "decoder")
    ours["decoder.embedding.weight"] = source.take("decoder/embeddings/weight")
    for half in ("encoder", "decoder"):
        ours[f"{half}.positions"] = source.take(f"{half}/position_encodings/encodings")
        for number in range(source.layers(rf"{half}/layer_(\d+)/")):
            name, theirs = f"{half}.layers.{number}", f"{half}/layer_{number}"
            norm(f"{name}.self_norm", f"{theirs}/self_attention")
            self_attention(f"{name}.self_attention", f"{theirs}/self_attention")
            if half == "decoder":
                norm(f"{name}.memory_norm", f"{theirs}/attention")
                both(f"{name}.memory_attention.to_query", f"{theirs}/attention/linear_0")
                both(f"{name}.memory_attention.to_keys_values", f"{theirs}/attention/linear_1")
                both(f"{name}.memory_attention.to_output", f"{theirs}/attention/linear_2")
            norm(f"{name}.ff_norm", f"{theirs}/ffn")
            both(f"{name}.widen", f"{theirs}/ffn/linear_0")
            both(f"{name}.narrow", f"{theirs}/ffn/linear_1")
    return ours
