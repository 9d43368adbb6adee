"""Multi-head attention and the masks that say who may see whom (Vaswani et al. 2017)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.model.protocols import ChunkContext


class Attention(nn.Module):
    """The four projections of multi-head attention; callers decide what is cached.

    `query`, `keys_values` and `attend` are separate so that a decoder can project its memory once
    and a stream can keep the keys of earlier frames.
    """

    def __init__(self, dim: int, heads: int, memory_dim: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.to_query = nn.Linear(dim, dim)
        self.to_keys_values = nn.Linear(memory_dim or dim, 2 * dim)
        self.to_output = nn.Linear(dim, dim)

    def query(self, inputs: Tensor) -> Tensor:
        """(B, T, D) -> (B, H, T, d)."""
        return self._split(self.to_query(inputs))

    def keys_values(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) -> keys and values, (B, H, T, d) each."""
        keys, values = self.to_keys_values(inputs).chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """(B, H, T, d) queries over (B, H, S, d) keys -> (B, T, D).

        Args:
            mask: broadcastable to (B, H, T, S), True where the query may look. A query that may
                look nowhere gets zeros.
        """
        mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
        return self.to_output(mixed.transpose(1, 2).flatten(2))

    def weights(self, query: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
        """The attention weights (B, H, T, S) that `attend` would mix with: for pictures."""
        scores = query @ keys.transpose(-2, -1) * query.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return scores.softmax(dim=-1).nan_to_num()

    def _split(self, inputs: Tensor) -> Tensor:
        return inputs.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def within(lengths: Tensor, size: int) -> Tensor:
    """(B, size), True for the frames that a row has; lengths is (B,)."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def memory_mask(memory_lengths: Tensor, size: int) -> Tensor:
    """The mask (B, 1, 1, M) of real memory frames; rows without any see one, as in `visible`."""
    return within(memory_lengths.clamp(min=1), size)[:, None, None]


def visible(lengths: Tensor, size: int, context: ChunkContext) -> Tensor:
    """The mask (B, 1, 1 or size, size) of frames that a frame may see in `context`.

    Frames beyond a row's end see something too: on GPUs a query that sees nothing may be NaN, and
    NaN in the padding is NaN in every gradient.
    """
    if context.chunk is None:
        return within(lengths.clamp(min=1), size)[:, None, None, :]
    mask = within(lengths, size)[:, None, None, :]
    frames = torch.arange(size, device=lengths.device)
    chunk_start = frames // context.chunk * context.chunk
    seen = frames >= (chunk_start - context.left)[:, None]
    seen &= frames < (chunk_start + context.chunk)[:, None]
    return mask & seen | torch.eye(size, dtype=torch.bool, device=lengths.device)
