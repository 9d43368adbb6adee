"""Whisper's decoder (Radford et al. 2022): Transformer blocks, pre-norm, with learned positions.

Stepping keeps keys and values as `asr.model.transformer_decoder` does: those of labels in a tree
that the hypotheses of an utterance share, those of the memory once for each utterance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.errors import ModelError
from asr.model.attention import Attention, memory_mask
from asr.model.label_cache import LabelCache
from asr.model.protocols import Decoder
from asr.model.registry import register_decoder
from asr.model.states import per_row
from asr.model.whisper.config import WhisperDecoderConfig


@dataclass(frozen=True)
class WhisperDecoderState:
    """N hypotheses of B utterances, N / B rows each.

    `labels` holds the keys and values of the labels so far, `gaps` (B,) counts those of its
    positions that hold no label of an utterance (`LabelCache.of`), or is None where there are none.
    `memory` are for each layer the keys and values (B, H, M, d) of the memory, `mask` (B, 1, 1, M)
    its real frames, or None where all are.
    """

    labels: LabelCache
    gaps: Tensor | None
    memory: tuple[tuple[Tensor, Tensor], ...]
    mask: Tensor | None


@register_decoder("whisper", WhisperDecoderConfig)
class WhisperDecoder(Decoder):
    """Embedding and positions, blocks, a layer norm; the embedding also gives the logits."""

    layers: Sequence[WhisperDecoderLayer]  # a ModuleList, which would be typed as any modules

    def __init__(self, config: WhisperDecoderConfig, vocabulary: int, memory_dim: int) -> None:
        super().__init__()
        self.max_labels = config.positions
        self.embedding = nn.Embedding(vocabulary, config.dim)
        self.positions = nn.Parameter(0.01 * torch.randn(config.positions, config.dim))
        layers = nn.ModuleList(
            WhisperDecoderLayer(config, memory_dim) for _ in range(config.layers)
        )
        self.layers = layers  # type: ignore[assignment]
        self.norm = nn.LayerNorm(config.dim)
        nn.init.normal_(self.embedding.weight, std=config.dim**-0.5)

    @property
    def label_vectors(self) -> Tensor:
        """See `Decoder.label_vectors`."""
        return self.embedding.weight

    def forward(self, tokens: Tensor, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        """See `Decoder.forward`.

        Raises:
            ModelError: there are more labels than `max_labels`.
        """
        labels, mask = self._embed_all(tokens), memory_mask(memory_lengths, memory.shape[1])
        for layer in self.layers:
            labels = layer(labels, memory, mask)
        return self._logits(labels)

    def attention(self, tokens: Tensor, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        """See `Decoder.attention`."""
        labels, mask = self._embed_all(tokens), memory_mask(memory_lengths, memory.shape[1])
        weights = []
        for layer in self.layers:
            labels, of_layer = layer.forward_attended(labels, memory, mask)
            weights.append(of_layer)
        return torch.stack(weights, dim=1)

    def forward_attended(
        self, tokens: Tensor, memory: Tensor, memory_lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `Decoder.forward_attended`. One pass."""
        labels, mask = self._embed_all(tokens), memory_mask(memory_lengths, memory.shape[1])
        weights = []
        for number, layer in enumerate(self.layers):
            if number < len(self.layers) // 2:
                labels = layer(labels, memory, mask)
                continue
            labels, of_layer = layer.forward_attended(labels, memory, mask)
            weights.append(of_layer)
        return self._logits(labels), torch.cat(weights, dim=1)

    def initial_state(self, memory: Tensor, memory_lengths: Tensor) -> WhisperDecoderState:
        """See `Decoder.initial_state`."""
        first = self.layers[0].self_attention
        head_dim = first.to_query.out_features // first.heads
        labels = LabelCache.empty(len(self.layers), len(memory), first.heads, memory, head_dim)
        projected = tuple(layer.memory_attention.keys_values(memory) for layer in self.layers)
        mask = memory_mask(memory_lengths, memory.shape[1])
        return WhisperDecoderState(labels, None, projected, None if mask.all() else mask)

    def step(
        self, tokens: Tensor, state: WhisperDecoderState
    ) -> tuple[Tensor, WhisperDecoderState]:
        """See `Decoder.step`.

        Raises:
            ModelError: there are `max_labels` labels already.
        """
        # (B, R, D): the rows of an utterance stand where its labels would, and attend in one go
        rows = self.embedding(tokens).unflatten(0, (len(state.memory[0][0]), -1))
        rows = rows + self._positions(state)
        labels = state.labels.extended()
        mask = labels.mask()
        for layer, nodes, memory in zip(self.layers, labels.nodes, state.memory, strict=True):
            rows = layer.step(rows, nodes, mask, memory, state.mask)
        log_probs = self._logits(rows.flatten(0, 1)).log_softmax(dim=-1)
        return log_probs, replace(state, labels=labels)

    def prime(
        self,
        tokens: Tensor,
        counts: Tensor,
        memory: Tensor,
        memory_lengths: Tensor,
        since: int = 0,
    ) -> tuple[Tensor, WhisperDecoderState]:
        """See `Decoder.prime`. One pass over all labels.

        Raises:
            ModelError: there are more labels than `max_labels`.
        """
        state = self.initial_state(memory, memory_lengths)
        utterances, size = len(memory), tokens.shape[1]
        labels = self._embed_all(tokens)
        nodes = []
        for layer, keys_values in zip(self.layers, state.memory, strict=True):
            labels, node = layer.prime(labels, keys_values, state.mask)
            nodes.append(node)
        # The cache wants the last label of every row at the same position: short rows move there.
        gaps = size - counts
        source = torch.arange(size, device=tokens.device) - per_row(gaps, tokens)[:, None]  # (N, U)
        rows = torch.arange(len(tokens), device=tokens.device)[:, None]
        moved = torch.stack(nodes)[:, rows, source.clamp(min=0)]
        cache = LabelCache.of(
            moved.unflatten(1, (utterances, -1)), (source >= 0).unflatten(0, (utterances, -1))
        )
        log_probs = self._logits(labels[:, since:]).log_softmax(dim=-1)
        return log_probs, replace(state, labels=cache, gaps=gaps if cache.gaps else None)

    def reorder(self, state: WhisperDecoderState, parents: Tensor) -> WhisperDecoderState:
        """See `Decoder.reorder`."""
        utterances, rows, _ = state.labels.past.shape
        kept = torch.unique_consecutive(parents // rows)
        if len(kept) == utterances:
            return replace(state, labels=state.labels.reordered(parents, None))
        memory = tuple((keys[kept], values[kept]) for keys, values in state.memory)
        mask = None if state.mask is None else state.mask[kept]
        labels = state.labels.reordered(parents, kept)
        gaps = None if state.gaps is None else state.gaps[kept]
        return WhisperDecoderState(labels, gaps, memory, mask)

    def _embed_all(self, tokens: Tensor) -> Tensor:
        """Labels (B, U) from the first position on, as vectors (B, U, D)."""
        self._check_room(tokens.shape[1])
        return self.embedding(tokens) + self.positions[: tokens.shape[1]]

    def _positions(self, state: WhisperDecoderState) -> Tensor:
        """The vectors of the positions of the next labels, (D,) or (B, 1, D)."""
        if state.gaps is None:
            self._check_room(state.labels.labels + 1)
            return self.positions[state.labels.labels]
        following = state.labels.labels - state.gaps
        self._check_room(int(following.max()) + 1)
        return self.positions[following][:, None]

    def _logits(self, labels: Tensor) -> Tensor:
        """(..., D) to (..., V), in float32."""
        return F.linear(self.norm(labels), self.embedding.weight).float()

    def _check_room(self, count: int) -> None:
        if count > len(self.positions):
            raise ModelError(
                f"Whisper's decoder takes at most {len(self.positions)} labels, the start counted, "
                f"got {count}; cut the sound or the prompt"
            )


class WhisperDecoderLayer(nn.Module):
    """Self-attention over the labels, attention to the memory, feed-forward, all residual."""

    def __init__(self, config: WhisperDecoderConfig, memory_dim: int) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(config.dim)
        self.self_attention = Attention(config.dim, config.heads)
        self.memory_norm = nn.LayerNorm(config.dim)
        self.memory_attention = Attention(config.dim, config.heads, memory_dim)
        self.ff_norm = nn.LayerNorm(config.dim)
        self.widen = nn.Linear(config.dim, config.ff)
        self.narrow = nn.Linear(config.ff, config.dim)

    def forward(self, labels: Tensor, memory: Tensor, mask: Tensor | None) -> Tensor:
        """Labels (B, U, D) over memory (B, M, D) with mask (B, 1, 1, M)."""
        labels, _ = self._self_attend(labels)
        return self._rest(labels, *self.memory_attention.keys_values(memory), mask)

    def forward_attended(
        self, labels: Tensor, memory: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """`forward`, and the weights (B, H, U, M) with which the labels look at the memory."""
        labels, _ = self._self_attend(labels)
        keys, values = self.memory_attention.keys_values(memory)
        query = self.memory_attention.query(self.memory_norm(labels))
        weights = self.memory_attention.weights(query, keys, mask)
        return self._rest(labels, keys, values, mask), weights

    def step(
        self,
        labels: Tensor,
        nodes: Tensor,
        past: Tensor | None,
        memory: tuple[Tensor, Tensor],
        mask: Tensor | None,
    ) -> Tensor:
        """One label for each of R hypotheses, (B, R, D).

        Args:
            labels: (B, R, D).
            nodes: (B, S, 2, H, d) keys and values of labels; those of `labels` are written into
                the last R.
            past: (B, 1, R, S) what to add to scores of nodes, None for nothing.
            memory: keys and values (B, H, M, d). mask: (B, 1, 1, M) its real frames.
        """
        normed, rows = self.self_norm(labels), labels.shape[1]
        keys, values = self.self_attention.keys_values(normed)
        nodes[:, -rows:, 0] = keys.transpose(1, 2)
        nodes[:, -rows:, 1] = values.transpose(1, 2)
        keys, values = nodes.permute(2, 0, 3, 1, 4).unbind(0)
        query = self.self_attention.query(normed)
        labels = labels + self.self_attention.attend(query, keys, values, past)
        return self._rest(labels, *memory, mask)

    def prime(
        self, labels: Tensor, memory: tuple[Tensor, Tensor], mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Many labels (N, U, D) of N hypotheses, over memory as in `step`.

        Returns:
            labels (N, U, D), and their nodes (N, U, 2, H, d) as `step` writes them.
        """
        labels, nodes = self._self_attend(labels)
        # the hypotheses of an utterance stand where its labels would, as in `step`
        together = labels.unflatten(0, (len(memory[0]), -1)).flatten(1, 2)
        return self._rest(together, *memory, mask).reshape(labels.shape), nodes

    def _self_attend(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (B, U, D) that saw those before them, and their nodes (B, U, 2, H, d)."""
        normed = self.self_norm(labels)
        keys, values = self.self_attention.keys_values(normed)
        query = self.self_attention.query(normed)
        mixed = F.scaled_dot_product_attention(query, keys, values, is_causal=True)
        mixed = self.self_attention.to_output(mixed.transpose(1, 2).flatten(2))
        nodes = torch.stack((keys.transpose(1, 2), values.transpose(1, 2)), dim=2)
        return labels + mixed, nodes

    def _rest(self, labels: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        query = self.memory_attention.query(self.memory_norm(labels))
        labels = labels + self.memory_attention.attend(query, keys, values, mask)
        return labels + self.narrow(F.gelu(self.widen(self.ff_norm(labels))))
