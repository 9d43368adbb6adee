"""Guided attention (Tachibana et al. 2018): looking far from the diagonal costs something."""

from __future__ import annotations

import torch
from torch import Tensor

from asr.model.attention import within

#: How far from the diagonal is far, as a part of the utterance.
WIDTH = 0.2


def guided_attention_loss(weights: Tensor, labels: Tensor, frames: Tensor) -> Tensor:
    """Summed over labels: the attention of each, weighted by how far off it is (0 to 1).

    Only the first head of each layer is guided: others are free to look where they like.

    Args:
        weights: (B, layers, H, U, M), with gradient.
        labels, frames: (B,) how many of them each row has; 0 labels: a row that is padding.
    """
    rows, places = weights.shape[3:]
    down = (torch.arange(rows, device=weights.device) + 0.5) / labels.clamp(min=1)[:, None]
    right = (torch.arange(places, device=weights.device) + 0.5) / frames.clamp(min=1)[:, None]
    off = 1 - torch.exp(-((right[:, None] - down[:, :, None]) ** 2) / (2 * WIDTH**2))
    off = off * within(labels, rows)[:, :, None]
    return (weights[:, :, 0].float().mean(dim=1) * off).sum()
