"""Small Whisper models in every format, written by code that shares nothing with the readers."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

MELS, DIM, HEADS, FF, FRAMES, LABELS, VOCABULARY = 8, 8, 2, 12, 10, 6, 13
LAYERS = {"encoder": 1, "decoder": 2}


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of the small model by our names."""
    expected: dict[str, tuple[int, ...]] = {
        "encoder.conv1.weight": (DIM, MELS, 3),
        "encoder.conv1.bias": (DIM,),
        "encoder.conv2.weight": (DIM, DIM, 3),
        "encoder.conv2.bias": (DIM,),
        "encoder.positions": (FRAMES, DIM),
        "decoder.positions": (LABELS, DIM),
        "decoder.embedding.weight": (VOCABULARY, DIM),
    }
    for half, layers in LAYERS.items():
        expected |= {f"{half}.norm.weight": (DIM,), f"{half}.norm.bias": (DIM,)}
        for layer in (f"{half}.layers.{n}" for n in range(layers)):
            linears = {"widen": (FF, DIM), "narrow": (DIM, FF)}
            for kind in ("self", "memory") if half == "decoder" else ("self",):
                expected |= {f"{layer}.{kind}_norm.{end}": (DIM,) for end in ("weight", "bias")}
                for name, rows in (("query", 1), ("keys_values", 2), ("output", 1)):
                    linears[f"{kind}_attention.to_{name}"] = (rows * DIM, DIM)
            expected |= {f"{layer}.ff_norm.{end}": (DIM,) for end in ("weight", "bias")}
            for name, shape in linears.items():
                expected |= {f"{layer}.{name}.weight": shape, f"{layer}.{name}.bias": shape[:1]}
    return expected


def example_weights() -> dict[str, Tensor]:
    """Weights of the small model that are the same everywhere: sines, no random numbers."""
    weights = {}
    for number, (name, shape) in enumerate(shapes().items()):
        count = torch.tensor(shape).prod().item()
        values = torch.sin(torch.arange(count, dtype=torch.float64) * 0.7 + number).float()
        scale, shift = (0.2, 1.0) if "norm.weight" in name else (0.5, 0.0)
        weights[name] = (values * scale + shift).view(shape)
        if name.endswith("keys_values.bias"):
            weights[name][:DIM] = 0.0  # keys have none
    return weights


_HUGGING_FACE = {
    "self_norm": "self_attn_layer_norm",
    "self_attention": "self_attn",
    "memory_norm": "encoder_attn_layer_norm",
    "memory_attention": "encoder_attn",
    "ff_norm": "final_layer_norm",
    "widen": "fc1",
    "narrow": "fc2",
    "to_query": "q_proj",
    "to_keys": "k_proj",
    "to_values": "v_proj",
    "to_output": "out_proj",
    "norm": "layer_norm",
    "embedding": "embed_tokens",
}
_OPENAI = {
    "layers": "blocks",
    "self_norm": "attn_ln",
    "self_attention": "attn",
    "memory_norm": "cross_attn_ln",
    "memory_attention": "cross_attn",
    "ff_norm": "mlp_ln",
    "widen": "mlp.0",
    "narrow": "mlp.2",
    "to_query": "query",
    "to_keys": "key",
    "to_values": "value",
    "to_output": "out",
    "embedding": "token_embedding",
    "positions": "positional_embedding",
}


def _apart(weights: Mapping[str, Tensor], words: Mapping[str, str]) -> dict[str, Tensor]:
    """Weights with other words in their names, keys and values apart."""
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        parts = {name: tensor}
        if "keys_values" in name:
            keys, values = tensor.chunk(2)
            parts = {name.replace("keys_values", "values"): values}
            if name.endswith("weight"):
                parts[name.replace("keys_values", "keys")] = keys
        for ours, part in parts.items():
            named[".".join(words.get(word, word) for word in ours.split("."))] = part.clone()
    return named


def hugging_face_tensors(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    named = _apart(weights, _HUGGING_FACE)
    for half in LAYERS:
        named[f"{half}.embed_positions.weight"] = named.pop(f"{half}.positions")
    return {f"model.{name}": tensor for name, tensor in named.items()}


def openai_tensors(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    named = _apart(weights, _OPENAI)
    for half, last in (("encoder", "ln_post"), ("decoder", "ln")):
        for end in ("weight", "bias"):
            named[f"{half}.{last}.{end}"] = named.pop(f"{half}.norm.{end}")
    return named


def ctranslate2_tensors(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    named: dict[str, Tensor] = {}

    def both(theirs: str, ours: str) -> None:
        for end in ("weight", "bias"):
            named[f"{theirs}/{end}"] = weights[f"{ours}.{end}"]

    def norm(theirs: str, ours: str) -> None:
        named[f"{theirs}/layer_norm/gamma"] = weights[f"{ours}.weight"]
        named[f"{theirs}/layer_norm/beta"] = weights[f"{ours}.bias"]

    both("encoder/conv1", "encoder.conv1")
    both("encoder/conv2", "encoder.conv2")
    named["decoder/embeddings/weight"] = weights["decoder.embedding.weight"]
    for half, layers in LAYERS.items():
        norm(half, f"{half}.norm")
        named[f"{half}/position_encodings/encodings"] = weights[f"{half}.positions"]
        for n in range(layers):
            theirs, ours = f"{half}/layer_{n}", f"{half}.layers.{n}"
            norm(f"{theirs}/self_attention", f"{ours}.self_norm")
            for end in ("weight", "bias"):
                parts = [weights[f"{ours}.self_attention.to_{x}.{end}"] for x in _QKV]
                named[f"{theirs}/self_attention/linear_0/{end}"] = torch.cat(parts)
            both(f"{theirs}/self_attention/linear_1", f"{ours}.self_attention.to_output")
            if half == "decoder":
                norm(f"{theirs}/attention", f"{ours}.memory_norm")
                for place, name in enumerate((*_QKV, "output")):
                    both(f"{theirs}/attention/linear_{place}", f"{ours}.memory_attention.to_{name}")
            norm(f"{theirs}/ffn", f"{ours}.ff_norm")
            both(f"{theirs}/ffn/linear_0", f"{ours}.widen")
            both(f"{theirs}/ffn/linear_1", f"{ours}.narrow")
    return named


_QKV = ("query", "keys_values")
CODES = {
    torch.float32: 0, torch.int8: 1, torch.int16: 2, torch.int32: 3, torch.float16: 4,
    torch.bfloat16: 5,
}  # fmt: skip
ALIAS = ("decoder/projection/weight", "decoder/embeddings/weight")


def model_bin(
    tensors: Mapping[str, Tensor],
    version: int = 6,
    spec: str = "WhisperSpec",
    aliases: tuple[tuple[str, str], ...] = (ALIAS,),
) -> bytes:
    """A model.bin of CTranslate2; the numbers of heads come with it."""
    heads = torch.tensor(HEADS, dtype=torch.int16)
    activation = torch.tensor(3, dtype=torch.int8)
    variables = {
        **tensors,
        "decoder/activation": activation,
        "encoder/num_heads": heads,
        "decoder/num_heads": heads,
    }
    content = struct.pack("<I", version)
    if version >= 2:
        content += _string(spec) + struct.pack("<I", 3)
    content += struct.pack("<I", len(variables))
    for name, tensor in variables.items():
        content += _string(name) + struct.pack(f"<B{tensor.dim()}I", tensor.dim(), *tensor.shape)
        data = tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        if version >= 4:
            content += struct.pack("<BI", CODES[tensor.dtype], len(data))
        else:
            content += struct.pack("<BI", tensor.dtype.itemsize, tensor.numel())
        content += data
    if version >= 3:
        content += struct.pack("<I", len(aliases))
        content += b"".join(_string(name) for alias in aliases for name in alias)
    return content


def _string(text: str) -> bytes:
    return struct.pack("<H", len(text.encode()) + 1) + text.encode() + b"\0"


def quantised(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Matrices and convolutions as int8 with a scale a row, or as int16 with one for all."""
    packed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not name.endswith("weight") or (dtype == torch.int16 and tensor.dim() == 3):
            packed[name] = tensor
            continue
        rows = tensor.flatten(1)
        scale = 127 / rows.abs().amax(1) if dtype == torch.int8 else 1000 / rows.abs().max()
        shaped = scale.view(-1, *[1] * (tensor.dim() - 1))
        packed[name] = (tensor * shaped).round().to(dtype)
        packed[f"{name}_scale"] = scale
    return packed


def write_ctranslate2(folder: Path, content: bytes | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = model_bin(ctranslate2_tensors(example_weights())) if content is None else content
    (folder / "model.bin").write_bytes(content)
    return folder


CONFIG = {
    "model_type": "whisper",
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "activation_function": "gelu",
    "scale_embedding": False,
}


def write_hugging_face(
    folder: Path, tensors: Mapping[str, Tensor] | None = None, shards: int = 0, pickle: bool = False
) -> Path:
    """A Hugging Face folder; with `shards`, in so many files with an index."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    tensors = hugging_face_tensors(example_weights()) if tensors is None else dict(tensors)
    name = "pytorch_model.bin" if pickle else "model.safetensors"
    files = {name: dict(tensors)}
    if shards:
        names, stem = list(tensors), name.partition(".")
        files = {
            f"{stem[0]}-{n}.{stem[2]}": {key: tensors[key] for key in names[n::shards]}
            for n in range(shards)
        }
        listed = {key: file for file, part in files.items() for key in part}
        index = json.dumps({"metadata": {}, "weight_map": listed})
        (folder / f"{name}.index.json").write_text(index)
    for file, part in files.items():
        if pickle:
            torch.save(part, folder / file)
        else:
            save_file(part, folder / file)
    return folder


def write_openai(path: Path, tensors: Mapping[str, Tensor] | None = None) -> Path:
    tensors = openai_tensors(example_weights()) if tensors is None else dict(tensors)
    dims = {"n_mels": MELS, "n_audio_head": HEADS, "n_text_head": HEADS}
    torch.save({"dims": dims, "model_state_dict": tensors}, path)
    return path
