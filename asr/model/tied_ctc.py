"""A CTC head that uses the decoder's vectors of labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Width of the hidden layer, in widths of the memory.
WIDTH = 2
#: Learned values that are appended to the vector of each label.
OWN = 16


class TiedCTC(nn.Module):
    """Maps each frame of memory to a vector; logits are its products with the labels' vectors.

    The vectors are the decoder's embeddings (tied weights: Press and Wolf 2017). So few weights are
    new, and rare labels gain by being similar to others. Training CTC does not change the vectors.

    The mean of all vectors is subtracted from each, as it is large and does not distinguish labels,
    and each is scaled to length 1. A few learned values for each label (`own`) are appended: the
    decoder never learned a vector for the blank.

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
