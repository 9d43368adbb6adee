"""Weights stored in 8 bits: a matrix as integers and a scale for each row.

They take a quarter of the space of float32, and become float32 again when they are read. Vectors
(norms, biases, the statistics of the features) are stored as float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from asr.errors import ModelError

#: Behind the name of a quantised tensor: the name of its scales, (rows,) float32.
SCALES = ".int8_scales"
#: The largest integer; -128 is not used, so that the range is symmetric.
LARGEST = 127


def quantised(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of two and more dimensions as int8, with their scales; the others as float32.

    The scale of a row maps its largest absolute value to 127: an error is at most half a scale.

    Raises:
        ModelError: a matrix holds NaN or infinity.
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        tensor = tensor.detach().float().cpu()
        if tensor.dim() < 2:
            stored[name] = tensor.contiguous()
            continue
        rows = tensor.flatten(1)
        scales = (rows.abs().amax(1) / LARGEST).clamp(min=torch.finfo(torch.float32).tiny)
        if not bool(scales.isfinite().all()):
            raise ModelError(f"{name} holds NaN or infinity, which 8 bits cannot store")
        integers = (rows / scales[:, None]).round()
        stored[name] = integers.to(torch.int8).view(tensor.shape)
        stored[name + SCALES] = scales
    return stored


def dequantised(weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """What `quantised` stored, as float32; tensors that were not quantised stay as they are.

    Raises:
        ModelError: integers and scales do not belong together, or one of them is missing; `path`
            is the file that they are from.
    """
    plain = {name: tensor for name, tensor in weights.items() if not name.endswith(SCALES)}
    for name in weights.keys() - plain.keys():
        tensor, scales = plain.get(name.removesuffix(SCALES)), weights[name]
        if tensor is None or tensor.dtype != torch.int8 or scales.shape != tensor.shape[:1]:
            raise ModelError(f"{path}: damaged: {name} does not fit {name.removesuffix(SCALES)}")
        rows = tensor.flatten(1).float() * scales.float()[:, None]
        plain[name.removesuffix(SCALES)] = rows.view(tensor.shape)
    if unscaled := [name for name, tensor in plain.items() if tensor.dtype == torch.int8]:
        raise ModelError(f"{path}: damaged: {unscaled[0]} is in 8 bits and has no scales")
    return plain
