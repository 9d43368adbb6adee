"""The Transformer attention decoder (Vaswani et al. 2017), pre-norm, with rotary positions.

Stepping keeps the keys and values of earlier labels in a tree that the hypotheses of an utterance
share, and those of the memory once per utterance: following a hypothesis copies nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from asr.config import TypedConfig
from asr.model.attention import Attention, memory_mask, within
from asr.model.label_cache import LabelCache
from asr.model.layers import Dropout, damp, initialise, log_softmax, rotate
from asr.model.protocols import Decoder
from asr.model.registry import register_decoder
from asr.model.states import per_row


class TransformerDecoderConfig(TypedConfig):
    """The sizes of the decoder.

    Attributes:
        layers: blocks of self-attention, attention to the memory, and feed-forward.
        dim: width of a label's vector; a multiple of `heads`.
        heads: of each attention.
        ff: inner width of the feed-forward modules.
        dropout: share of the activations that is set to zero in training.
        tie_embedding: one matrix for the labels that go in and the logits that come out.
    """

    type: Literal["transformer"] = "transformer"
    layers: int = Field(default=6, ge=1)
    dim: int = Field(default=256, ge=2)
    heads: int = Field(default=4, ge=1)
    ff: int = Field(default=1024, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    tie_embedding: bool = False


@dataclass(frozen=True)
class DecoderState:
    """N hypotheses of B utterances, N / B rows each.

    `labels` holds the keys and values of the labels so far, `memory` for each layer the keys and
    values (B, H, M, d) of the memory, `mask` (B, 1, 1, M) its real frames, or None where all are.
    """

    labels: LabelCache
    memory: tuple[tuple[Tensor, Tensor], ...]
    mask: Tensor | None


@register_decoder("transformer", TransformerDecoderConfig)
class TransformerDecoder(Decoder):
    """Embedding, `layers` blocks of self-attention, attention to the memory, feed-forward."""

    layers: Sequence[DecoderLayer]  # a ModuleList, which would be typed as any modules

    def __init__(self, config: TransformerDecoderConfig, vocabulary: int, memory_dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, config.dim)
        self.scale = config.dim**0.5
        self.dropout = Dropout(config.dropout)
        layers = nn.ModuleList(DecoderLayer(config, memory_dim) for _ in range(config.layers))
        self.layers = layers  # type: ignore[assignment]
        self.norm = nn.LayerNorm(config.dim)
        self.to_logits = nn.Linear(config.dim, vocabulary)
        self.apply(initialise)
        damp([end for layer in self.layers for end in layer.branch_ends()])
        nn.init.normal_(self.embedding.weight, std=config.dim**-0.5)
        if config.tie_embedding:
            self.to_logits.weight = self.embedding.weight

    def forward(self, tokens: Tensor, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        """See `Decoder.forward`."""
        labels, mask = self._embed(tokens), memory_mask(memory_lengths, memory.shape[1])
        for layer in self.layers:
            labels = layer(labels, memory, mask)
        return self.to_logits(self.norm(labels))

    def attention(self, tokens: Tensor, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        """See `Decoder.attention`."""
        labels, mask = self._embed(tokens), memory_mask(memory_lengths, memory.shape[1])
        weights = []
        for layer in self.layers:
            weights.append(layer.memory_weights(labels, memory, mask))
            labels = layer(labels, memory, mask)
        return torch.stack(weights, dim=1)

    def initial_state(self, memory: Tensor, memory_lengths: Tensor) -> DecoderState:
        """See `Decoder.initial_state`."""
        first = self.layers[0].self_attention
        head_dim = first.to_query.out_features // first.heads
        labels = LabelCache.empty(len(self.layers), len(memory), first.heads, memory, head_dim)
        projected = tuple(layer.memory_attention.keys_values(memory) for layer in self.layers)
        mask = within(memory_lengths, memory.shape[1])
        return DecoderState(labels, projected, None if mask.all() else mask[:, None, None])

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """See `Decoder.step`."""
        # (B, R, D): the rows of an utterance stand where its labels would, and attend in one go
        rows = self._embed(tokens).unflatten(0, (len(state.memory[0][0]), -1))
        labels = state.labels.extended()
        past, mask = labels.nodes, labels.mask()
        # All rows stand at the same position: rotating (1, 0) gives its cosines and sines.
        basis = past.new_zeros(1, past.shape[-1])
        basis[:, : past.shape[-1] // 2] = 1.0
        turn = rotate(basis, state.labels.labels)
        for layer, nodes, memory in zip(self.layers, past, state.memory, strict=True):
            rows = layer.step(rows, turn, nodes, mask, memory, state.mask)
        log_probs = log_softmax(self.to_logits(self.norm(rows.flatten(0, 1))))
        return log_probs, replace(state, labels=labels)

    def prime(
        self,
        tokens: Tensor,
        counts: Tensor,
        memory: Tensor,
        memory_lengths: Tensor,
        since: int = 0,
    ) -> tuple[Tensor, DecoderState]:
        """See `Decoder.prime`. One pass; rows are moved to end together: only distances count."""
        state = self.initial_state(memory, memory_lengths)
        utterances, size = len(memory), tokens.shape[1]
        places = torch.arange(size, device=tokens.device)
        shift = size - per_row(counts, tokens)[:, None]
        rows = self._embed(tokens.gather(1, (places - shift).clamp(min=0)))
        real = places >= shift
        # A gap sees itself, so that nothing is NaN.
        past = real[:, None] & (places <= places[:, None])
        past = (past | torch.eye(size, dtype=torch.bool, device=past.device))[:, None]
        nodes = []
        for layer, keys_values in zip(self.layers, state.memory, strict=True):
            rows, node = layer.prime(rows, past, keys_values, state.mask)
            nodes.append(node.unflatten(0, (utterances, -1)))
        back = (places + shift).clamp(max=size - 1)[:, since:, None]
        rows = rows.gather(1, back.expand(-1, -1, rows.shape[-1]))
        log_probs = log_softmax(self.to_logits(self.norm(rows)))
        cache = LabelCache.of(torch.stack(nodes), real.unflatten(0, (utterances, -1)))
        return log_probs, replace(state, labels=cache)

    def reorder(self, state: DecoderState, parents: Tensor) -> DecoderState:
        """See `Decoder.reorder`."""
        utterances, rows, _ = state.labels.past.shape
        if len(parents) % utterances == 0:
            kept = parents[:: len(parents) // utterances] // rows
            if torch.equal(kept, torch.arange(utterances, device=kept.device)):
                return replace(state, labels=state.labels.reordered(parents, None))
        kept = torch.unique_consecutive(parents // rows)
        memory = tuple((keys[kept], values[kept]) for keys, values in state.memory)
        mask = None if state.mask is None else state.mask[kept]
        return DecoderState(state.labels.reordered(parents, kept), memory, mask)

    def _embed(self, tokens: Tensor) -> Tensor:
        return self.dropout(self.embedding(tokens) * self.scale)


class DecoderLayer(nn.Module):
    """Self-attention over the labels, attention to the memory, feed-forward, all residual."""

    def __init__(self, config: TransformerDecoderConfig, memory_dim: int) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(config.dim)
        self.self_attention = Attention(config.dim, config.heads)
        self.memory_norm = nn.LayerNorm(config.dim)
        self.memory_attention = Attention(config.dim, config.heads, memory_dim)
        self.ff_norm = nn.LayerNorm(config.dim)
        self.widen = nn.Linear(config.dim, config.ff)
        self.narrow = nn.Linear(config.ff, config.dim)
        self.dropout = Dropout(config.dropout)

    def branch_ends(self) -> list[nn.Linear]:
        """The last linear layer of each residual branch."""
        return [self.self_attention.to_output, self.memory_attention.to_output, self.narrow]

    def forward(self, labels: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Labels (B, U, D) over memory (B, M, D) with mask (B, 1, 1, M)."""
        labels = self._self_attend(labels)
        keys, values = self.memory_attention.keys_values(memory)
        return self._rest(labels, keys, values, mask)

    def memory_weights(self, labels: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """The weights (B, H, U, M) with which the labels look at the memory."""
        query = self.memory_attention.query(self.memory_norm(self._self_attend(labels)))
        keys, _ = self.memory_attention.keys_values(memory)
        return self.memory_attention.weights(query, keys, mask)

    def step(
        self,
        labels: Tensor,
        turn: Tensor,
        nodes: Tensor,
        past: Tensor | None,
        memory: tuple[Tensor, Tensor],
        mask: Tensor | None,
    ) -> Tensor:
        """One label for each of R hypotheses, (B, R, D).

        Args:
            labels: (B, R, D).
            turn: (1, d), cosine and sine of the angles by which their position turns them.
            nodes: (B, S, 2, H, d) keys and values of labels; those of `labels` are written into
                the last R.
            past: (B, 1, R, S) what to add to scores of nodes, None for nothing.
            memory: keys and values (B, H, M, d). mask: (B, 1, 1, M) its real frames.
        """
        normed, rows = self.self_norm(labels), labels.shape[1]
        keys, values = self.self_attention.keys_values(normed)
        nodes[:, -rows:, 0] = _turned(keys, turn).transpose(1, 2)
        nodes[:, -rows:, 1] = values.transpose(1, 2)
        query = _turned(self.self_attention.query(normed), turn)
        keys, values = nodes.permute(2, 0, 3, 1, 4).unbind(0)
        labels = labels + self.self_attention.attend(query, keys, values, past)
        return self._rest(labels, *memory, mask)

    def prime(
        self, labels: Tensor, past: Tensor, memory: tuple[Tensor, Tensor], mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Many labels (N, U, D) of N hypotheses; `past` (N, 1, U, U) says who sees whom.

        Returns:
            labels (N, U, D), and their nodes (N, U, 2, H, d) as `step` writes them.
        """
        normed = self.self_norm(labels)
        keys, values = self.self_attention.keys_values(normed)
        keys, query = rotate(keys), rotate(self.self_attention.query(normed))
        labels = labels + self.self_attention.attend(query, keys, values, past)
        nodes = torch.stack((keys.transpose(1, 2), values.transpose(1, 2)), dim=2)
        # the hypotheses of an utterance stand where its labels would, as in `step`
        together = labels.unflatten(0, (len(memory[0]), -1)).flatten(1, 2)
        return self._rest(together, *memory, mask).reshape(labels.shape), nodes

    def _self_attend(self, labels: Tensor) -> Tensor:
        normed = self.self_norm(labels)
        keys, values = self.self_attention.keys_values(normed)
        query = rotate(self.self_attention.query(normed))
        mixed = F.scaled_dot_product_attention(query, rotate(keys), values, is_causal=True)
        mixed = self.self_attention.to_output(mixed.transpose(1, 2).flatten(2))
        return labels + self.dropout(mixed)

    def _rest(self, labels: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        query = self.memory_attention.query(self.memory_norm(labels))
        labels = labels + self.dropout(self.memory_attention.attend(query, keys, values, mask))
        inner = self.dropout(F.relu(self.widen(self.ff_norm(labels))))
        return labels + self.dropout(self.narrow(inner))


def _turned(heads: Tensor, turn: Tensor) -> Tensor:
    """`rotate` for heads (..., d) that all stand at the position of `turn` (1, d)."""
    cos, sin = turn.chunk(2, dim=-1)
    left, right = heads.chunk(2, dim=-1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)
