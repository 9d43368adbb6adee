"""Rotary position embedding: attention that depends on distances only (Su et al. 2021).

Because only distances count, a stream may number the frames of each step from zero.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotate(heads: Tensor, start: int = 0) -> Tensor:
    """Turns queries or keys (..., T, d) by angles that grow with their position.

    Args:
        heads: the last dimension d is even.
        start: position of the first of the T frames.
    """
    steps, dim = heads.shape[-2], heads.shape[-1]
    # float32 throughout: bfloat16 cannot tell position 257 from 258
    inverse = 10000.0 ** (-torch.arange(0, dim, 2, device=heads.device).float() / dim)
    angles = torch.arange(start, start + steps, device=heads.device).float()[:, None] * inverse
    cos, sin = angles.cos().to(heads.dtype), angles.sin().to(heads.dtype)
    left, right = heads[..., : dim // 2], heads[..., dim // 2 :]
    return torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)
