"""A CTC head that uses the decoder's vectors of labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Width of the hidden layer, in widths of the memory.
WIDTH = 2
#: Numbers that each label has of its own, beside its vector.
OWN = 16


class TiedCTC(nn.Module):
    """Maps each frame of memory to a vector; logits are its products with the labels' vectors.

    These are the decoder's (tied weights: Press and Wolf 2017), so that few weights are new, and
    rare labels gain by being similar to others. Training CTC does not change them. They share a
    large mean, which tells no label from another and is taken out, and all get the same length.
    Each label also has a few numbers of its own: the blank's vector was never trained to be one.

    Args:
        dim: of the memory.
        label_dim: of the vectors of labels.
        vocabulary: number of labels.
    """

    def __init__(self, dim: int, label_dim: int, vocabulary: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.widen = nn.Linear(dim, WIDTH * dim)
        self.narrow = nn.Linear(WIDTH * dim, label_dim + OWN)
        self.own = nn.Parameter(torch.randn(vocabulary, OWN) / OWN**0.5)

    def forward(self, memory: Tensor, label_vectors: Tensor) -> Tensor:
        """Memory (B, M, D) and the vectors (V, E) of labels to logits (B, M, V)."""
        vectors = label_vectors.detach()
        vectors = F.normalize(vectors - vectors.mean(0), dim=1)
        frames = self.narrow(F.gelu(self.widen(self.norm(memory))))
        return F.linear(frames, torch.cat([vectors, self.own.to(vectors.dtype)], dim=1))
