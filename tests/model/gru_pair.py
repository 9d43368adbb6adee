"""A recurrent encoder and decoder, as small as can be: proof that the protocols take them.

They are registered like any other, so a `ModelConfig` can name them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from asr.config import TypedConfig
from asr.errors import ModelError
from asr.model import FULL_CONTEXT, ChunkContext, Decoder, StreamingEncoder
from asr.model.attention import within
from asr.model.registry import register_decoder, register_encoder


class GruConfig(TypedConfig):
    type: Literal["test-gru"] = "test-gru"
    dim: int = 16


@dataclass(frozen=True)
class GruEncoderState:
    features: Tensor
    hidden: Tensor


@register_encoder("test-gru", GruConfig)
class GruEncoder(StreamingEncoder):
    """Stacks pairs of features and runs a unidirectional GRU: it streams by its state alone."""

    def __init__(self, config: GruConfig, mels: int, feature_seconds: float) -> None:
        super().__init__()
        self.dim, self.mels = config.dim, mels
        self.frame_seconds = 2 * feature_seconds
        self.gru = nn.GRU(2 * mels, config.dim, batch_first=True)

    def forward(
        self, features: Tensor, lengths: Tensor, context: ChunkContext = FULL_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        self.check_context(context)
        size = features.shape[1] // 2
        if not size:
            return features.new_zeros(len(features), 0, self.dim), lengths // 2
        pairs = features[:, : 2 * size].unflatten(1, (size, 2)).flatten(2)
        return self.gru(pairs)[0], lengths // 2

    def check_context(self, context: ChunkContext) -> None:
        if context.chunk is not None and context.left:
            raise ModelError("a GRU remembers everything to its left; use left=0")

    def needed(self, frames: int) -> int:
        return 2 * frames

    def initial_state(self, batch: int, context: ChunkContext) -> GruEncoderState:
        hidden = torch.zeros(batch, self.dim)
        return GruEncoderState(torch.zeros(batch, 0, self.mels), hidden)

    def step(
        self, features: Tensor, state: GruEncoderState, final: bool
    ) -> tuple[Tensor, GruEncoderState]:
        waiting = torch.cat((state.features, features), dim=1)
        size = waiting.shape[1] // 2
        if not size:
            return waiting.new_zeros(len(waiting), 0, self.dim), replace(state, features=waiting)
        pairs = waiting[:, : 2 * size].unflatten(1, (size, 2)).flatten(2)
        memory, hidden = self.gru(pairs, state.hidden[None])
        return memory, GruEncoderState(waiting[:, 2 * size :], hidden[0])


@dataclass(frozen=True)
class GruDecoderState:
    hidden: Tensor
    memory: Tensor
    mask: Tensor


@register_decoder("test-gru", GruConfig)
class GruDecoder(Decoder):
    """A GRU cell with dot attention (Luong et al. 2015)."""

    def __init__(self, config: GruConfig, vocabulary: int, memory_dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, config.dim)
        self.cell = nn.GRUCell(config.dim, memory_dim)
        self.to_logits = nn.Linear(2 * memory_dim, vocabulary)

    def forward(self, tokens: Tensor, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        state = self.initial_state(memory, memory_lengths)
        logits = []
        for label in tokens.unbind(1):
            step, state = self._predict(label, state)
            logits.append(step)
        return torch.stack(logits, dim=1)

    def initial_state(self, memory: Tensor, memory_lengths: Tensor) -> GruDecoderState:
        mask = within(memory_lengths, memory.shape[1])
        return GruDecoderState(memory.new_zeros(len(memory), memory.shape[2]), memory, mask)

    def step(self, tokens: Tensor, state: GruDecoderState) -> tuple[Tensor, GruDecoderState]:
        logits, state = self._predict(tokens, state)
        return logits.log_softmax(dim=-1), state

    def reorder(self, state: GruDecoderState, parents: Tensor) -> GruDecoderState:
        rows = len(state.hidden) // len(state.memory)
        kept = torch.unique_consecutive(parents // rows)
        return GruDecoderState(state.hidden[parents], state.memory[kept], state.mask[kept])

    def _predict(self, tokens: Tensor, state: GruDecoderState) -> tuple[Tensor, GruDecoderState]:
        hidden = self.cell(self.embedding(tokens), state.hidden)
        queries = hidden.unflatten(0, (len(state.memory), -1))
        scores = queries @ state.memory.transpose(1, 2)
        scores = scores.masked_fill(~state.mask[:, None], -1e9).softmax(dim=-1)
        mixed = (scores @ state.memory).flatten(0, 1)
        return self.to_logits(torch.cat((hidden, mixed), dim=-1)), replace(state, hidden=hidden)
