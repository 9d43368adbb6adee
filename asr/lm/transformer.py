"""A Transformer language model: the attention decoder, with nothing to attend to but the labels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from asr.lm.protocol import NeuralLanguageModel
from asr.model.transformer_decoder import (
    DecoderState,
    TransformerDecoder,
    TransformerDecoderConfig,
)


class TransformerConfig(TransformerDecoderConfig):
    """As that of the decoder, smaller by default."""

    type: Literal["transformer"] = "transformer"
    layers: int = 4


class _NoMemory(nn.Module):
    """Stands where the decoder attends to the memory, and finds nothing there."""

    def query(self, inputs: Tensor) -> Tensor:
        return inputs

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        return memory, memory

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        return query.new_zeros(1)


class Transformer(NeuralLanguageModel):
    """`asr.model.transformer_decoder.TransformerDecoder` without a memory."""

    def __init__(self, config: TransformerConfig, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.decoder = TransformerDecoder(config, vocabulary, memory_dim=1)
        for layer in self.decoder.layers:
            layer.memory_norm = nn.Identity()  # type: ignore[assignment]
            layer.memory_attention = _NoMemory()  # type: ignore[assignment]

    def forward(self, tokens: Tensor) -> Tensor:
        """See `NeuralLanguageModel.forward`."""
        return self.decoder(tokens, *self._memory(len(tokens)))

    def initial_state(self, batch: int) -> DecoderState:
        """See `LanguageModel.initial_state`."""
        return self.decoder.initial_state(*self._memory(batch))

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """See `LanguageModel.step`. Every text must have as many rows as every other."""
        return self.decoder.step(tokens, state)

    def prime(self, tokens: Tensor, counts: Tensor) -> tuple[Tensor, DecoderState]:
        """See `LanguageModel.prime`."""
        return self.decoder.prime(tokens, counts, *self._memory(len(counts)))

    def reorder(self, state: DecoderState, parents: Tensor) -> DecoderState:
        """See `LanguageModel.reorder`."""
        return self.decoder.reorder(state, parents)

    def _memory(self, batch: int) -> tuple[Tensor, Tensor]:
        """One frame of nothing for each text: it counts the texts."""
        weight = self.decoder.embedding.weight
        lengths = torch.ones(batch, dtype=torch.long, device=weight.device)
        return weight.new_zeros(batch, 1, 1), lengths
