"""The weights of a module as a safetensors file; no pickle is ever read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from asr.errors import ConfigError, ModelError
from asr.folders import CONFIG, WEIGHTS
from asr.model.int8 import dequantised

#: What weights are stored as; int8: see `asr.model.int8`.
StoredDtype = Literal["float32", "float16", "bfloat16", "int8"]
#: Those that models can compute in.
DTYPES: dict[StoredDtype, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
#: What weights are loaded as: float32, or the type that they are stored in.
LoadedDtype = Literal["float32", "stored"]
#: What modules draw their first weights with.
_RANDOM_FILLS = (
    torch.Tensor.uniform_,
    torch.Tensor.normal_,
    nn.init.uniform_,
    nn.init.normal_,
    nn.init.kaiming_uniform_,
)


class Uninitialised(TorchFunctionMode):
    """Within this context modules are built without drawing weights, which `fill` gives them then.

    To draw them takes far longer than to read them. Building on torch's "meta" device would too: it
    imports compilers for two seconds, and buffers that no file holds would have to be made again.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Leaves a tensor as it is where it would be filled with random numbers."""
        kwargs = kwargs or {}
        if func in _RANDOM_FILLS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def write_weights(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Writes tensors as `model.safetensors`.

    Raises:
        OSError: it cannot be written, as where the disk is full.
    """
    try:
        save_file(dict(weights), folder / WEIGHTS)
    except SafetensorError as error:
        reason = re.search(r"\(os error (\d+)\)", str(error))
        if reason is None:
            raise
        number = int(reason[1])
        raise OSError(number, os.strerror(number)) from None
    (folder / WEIGHTS).chmod(0o644)  # safetensors keeps it from everyone else


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The tensors of `model.safetensors`, as they are stored; those in 8 bits as float32.

    Raises:
        ModelError: the file cannot be read as safetensors, or is damaged.
    """
    path = folder / WEIGHTS
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: cannot be read as safetensors: {error}") from None
    return dequantised(weights, path)


def fill(
    model: nn.Module, weights: Mapping[str, Tensor], folder: Path, dtype: LoadedDtype = "float32"
) -> None:
    """Gives a module the weights that were read from `folder`.

    Args:
        dtype: "float32", or "stored": each tensor keeps the type that it is stored in; float64
            becomes float32, the widest type that models compute in.

    Raises:
        ModelError: they do not fit, or are to be kept in a type that models cannot compute in;
            every such tensor is named.
        ConfigError: there is no such `dtype`.
    """
    if dtype not in ("float32", "stored"):
        raise ConfigError(f"dtype must be 'float32' or 'stored', got {dtype!r}")
    if mismatches := weight_mismatches(model, weights):
        raise ModelError(f"{folder / WEIGHTS}: does not fit {CONFIG}: " + "; ".join(mismatches))
    if dtype == "stored":
        weights = _computable(model, weights, folder)
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        if name in weights:
            wanted = weights[name].dtype if dtype == "stored" else tensor.dtype
            # A copy in any case: the weights may be a file that is mapped, which others may change.
            tensor.data = weights[name].to(wanted, copy=True)


def _computable(model: nn.Module, weights: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """The weights in types that the model can compute in.

    Raises:
        ModelError: a tensor has another type, such as int8 or float8.
    """
    expected = model.state_dict()
    floating = {name for name, tensor in expected.items() if tensor.is_floating_point()}
    wrong = [
        f"{name} is {str(tensor.dtype).removeprefix('torch.')}"
        for name, tensor in weights.items()
        if name in floating and tensor.dtype not in (*DTYPES.values(), torch.float64)
    ]
    if wrong:
        raise ModelError(
            f"{folder / WEIGHTS}: only {', '.join(DTYPES)} can be kept as stored; load the model "
            "with dtype='float32': " + "; ".join(wrong)
        )
    return {
        name: tensor.float() if tensor.dtype == torch.float64 else tensor
        for name, tensor in weights.items()
    }


def weight_mismatches(model: nn.Module, weights: Mapping[str, Tensor]) -> list[str]:
    """What keeps `weights` from fitting `model`, one sentence a tensor."""
    wanted = unique_weights(model)
    mismatches = [f"{name} is missing" for name in wanted if name not in weights]
    mismatches += [f"{name} is not part of the model" for name in weights if name not in wanted]
    mismatches += [
        f"{name} is {tuple(weights[name].shape)}, the model wants {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    return mismatches


def unique_weights(model: nn.Module) -> dict[str, Tensor]:
    """The state dict without second names of tied tensors, which safetensors refuses."""
    seen: dict[int, str] = {}
    state = model.state_dict()
    return {n: t for n, t in state.items() if seen.setdefault(t.data_ptr() or id(t), n) == n}
