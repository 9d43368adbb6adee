"""Weights in 8 bits: each row of a matrix as integers and one scale.

A quarter of the size of float32. Models compute in float32: the integers become numbers again when
the weights are read. Vectors (norms, biases) and the statistics of the features stay as they are.
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
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        tensor = tensor.detach().float().cpu()
        if tensor.dim() < 2:
            stored[name] = tensor.contiguous()
            continue
        rows = tensor.flatten(1)
        scales = rows.abs().amax(1) / LARGEST
        integers = (rows / scales.clamp(min=torch.finfo(torch.float32).tiny)[:, None]).round()
        stored[name] = integers.to(torch.int8).view(tensor.shape)
        stored[name + SCALES] = scales
    return stored


def dequantised(weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """`weights` with tensors in place of integers and scales; those without scales as they are.

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
