"""How a recurrent decoder looks at the memory: one class for each way of scoring frames.

All have one interface. `prepare` projects the memory once per utterance; calling gives what each
hypothesis takes from it. R hypotheses of an utterance share its memory and are looked up together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asr.model.attention import Attention


@dataclass(frozen=True)
class AttentionMemory:
    """The memory of B utterances as an attention needs it.

    `keys` and `values` have the batch first; `mask` (B, M) is True for real frames.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor

    def of(self, kept: Tensor) -> AttentionMemory:
        """That of the utterances `kept` (B',)."""
        return AttentionMemory(self.keys[kept], self.values[kept], self.mask[kept])


class MemoryAttention(nn.Module):
    """Takes a weighted mean of the memory; a subclass says how frames are scored."""

    heads = 1
    width: int
    """Of what a hypothesis takes from the memory."""
    looks_back = False
    """Whether the weights of the label before are needed."""

    def __init__(self, memory_dim: int) -> None:
        super().__init__()
        self.width = memory_dim

    def prepare(self, memory: Tensor, mask: Tensor) -> AttentionMemory:
        """Of memory (B, M, D) with at least one frame."""
        return AttentionMemory(self.keys(memory), memory, mask)

    def forward(
        self, query: Tensor, memory: AttentionMemory, before: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What R hypotheses of each utterance take from its memory.

        Args:
            query: (B, R, Q).
            before: (B, R, M) the weights of the label before, if `looks_back`.

        Returns:
            (B, R, `width`), and the weights (B, H, R, M).
        """
        scores = self.scores(query, memory, before).float()
        weights = _softmax(scores, memory.mask[:, None])
        return weights.to(memory.values.dtype) @ memory.values, weights[:, None]

    def keys(self, memory: Tensor) -> Tensor:
        """What queries are compared with, (B, M, K)."""
        return memory

    def scores(self, query: Tensor, memory: AttentionMemory, before: Tensor) -> Tensor:
        """How well each frame suits, (B, R, M)."""
        raise TypeError(f"{type(self).__name__} scores no frames")


class FixedVector(MemoryAttention):
    """No attention: the final states of the encoder are all that is known of the sound
    (Sutskever et al. 2014). They are its last frame and, of a direction from the end to the
    start, its first: every label gets both, whatever was said.
    """

    def __init__(self, memory_dim: int) -> None:
        super().__init__(memory_dim)
        self.width = 2 * memory_dim

    def prepare(self, memory: Tensor, mask: Tensor) -> AttentionMemory:
        """See `MemoryAttention.prepare`."""
        last = (mask.sum(dim=1) - 1).clamp(min=0)
        rows = torch.arange(len(memory), device=memory.device)
        ends = torch.cat((memory[rows, last], memory[:, 0]), dim=-1)[:, None]
        return AttentionMemory(ends, ends, mask)

    def forward(
        self, query: Tensor, memory: AttentionMemory, before: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `MemoryAttention.forward`; it looks at no frame: there are no heads."""
        rows = query.shape[1]
        weights = query.new_zeros(len(query), 0, rows, memory.mask.shape[1])
        return memory.values.expand(-1, rows, -1), weights


class Additive(MemoryAttention):
    """v . tanh(W q + V m) (Bahdanau et al. 2015)."""

    def __init__(self, query_dim: int, memory_dim: int, dim: int) -> None:
        super().__init__(memory_dim)
        self.to_query = nn.Linear(query_dim, dim)
        self.to_keys = nn.Linear(memory_dim, dim, bias=False)
        self.to_score = nn.Linear(dim, 1, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """(B, M, K)."""
        return self.to_keys(memory)

    def scores(self, query: Tensor, memory: AttentionMemory, before: Tensor) -> Tensor:
        """See `MemoryAttention.scores`."""
        inner = self.to_query(query)[:, :, None] + memory.keys[:, None]
        return self.to_score(torch.tanh(inner))[..., 0]


class Location(Additive):
    """Additive, which also sees where the label before looked: v . tanh(W q + V m + U f), f the
    convolution of the earlier weights (Chorowski et al. 2015).
    """

    looks_back = True

    def __init__(
        self, query_dim: int, memory_dim: int, dim: int, filters: int, kernel: int
    ) -> None:
        super().__init__(query_dim, memory_dim, dim)
        self.convolution = nn.Conv1d(1, filters, kernel, padding=kernel // 2, bias=False)
        self.to_place = nn.Linear(filters, dim, bias=False)

    def scores(self, query: Tensor, memory: AttentionMemory, before: Tensor) -> Tensor:
        """See `MemoryAttention.scores`."""
        convolved = self.convolution(before.flatten(0, 1)[:, None]).transpose(1, 2)
        places = self.to_place(convolved).unflatten(0, before.shape[:2])
        inner = self.to_query(query)[:, :, None] + memory.keys[:, None] + places
        return self.to_score(torch.tanh(inner))[..., 0]


class Dot(MemoryAttention):
    """q . m (Luong et al. 2015), scaled by the root of the width (Vaswani et al. 2017).

    A query of another width than the memory is projected to it.
    """

    def __init__(self, query_dim: int, memory_dim: int) -> None:
        super().__init__(memory_dim)
        self.to_query: nn.Linear | None = None
        if query_dim != memory_dim:
            self.to_query = nn.Linear(query_dim, memory_dim, bias=False)

    def scores(self, query: Tensor, memory: AttentionMemory, before: Tensor) -> Tensor:
        """See `MemoryAttention.scores`."""
        query = query if self.to_query is None else self.to_query(query)
        return query @ memory.keys.transpose(1, 2) * memory.keys.shape[-1] ** -0.5


class General(MemoryAttention):
    """q W m (Luong et al. 2015), scaled as `Dot`."""

    def __init__(self, query_dim: int, memory_dim: int) -> None:
        super().__init__(memory_dim)
        self.to_keys = nn.Linear(memory_dim, query_dim, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """(B, M, K)."""
        return self.to_keys(memory)

    def scores(self, query: Tensor, memory: AttentionMemory, before: Tensor) -> Tensor:
        """See `MemoryAttention.scores`."""
        return query @ memory.keys.transpose(1, 2) * memory.keys.shape[-1] ** -0.5


class MultiHead(MemoryAttention):
    """Several scaled dot products, each over values of its own (Vaswani et al. 2017)."""

    def __init__(self, query_dim: int, memory_dim: int, heads: int) -> None:
        super().__init__(memory_dim)
        self.heads = heads
        self.width = query_dim
        self.attention = Attention(query_dim, heads, memory_dim)

    def prepare(self, memory: Tensor, mask: Tensor) -> AttentionMemory:
        """See `MemoryAttention.prepare`; keys and values are (B, H, M, d)."""
        return AttentionMemory(*self.attention.keys_values(memory), mask)

    def forward(
        self, query: Tensor, memory: AttentionMemory, before: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `MemoryAttention.forward`."""
        split = self.attention.query(query)
        scores = (split @ memory.keys.transpose(-2, -1)).float() * split.shape[-1] ** -0.5
        weights = _softmax(scores, memory.mask[:, None, None])
        mixed = weights.to(memory.values.dtype) @ memory.values
        return self.attention.to_output(mixed.transpose(1, 2).flatten(2)), weights


def _softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Weights in float32; an utterance without frames gets zeros."""
    return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1).nan_to_num()
