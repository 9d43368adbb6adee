"""Attention scores: what the decoder says of the next label and of ending here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asr.model.protocols import Decoder
from asr.search.forced_prefix import read_off
from asr.text.tokenizer import EOS


@dataclass(frozen=True)
class AttentionState:
    """The decoder after the last label of each row, and what it said there."""

    decoder: Any
    log_probs: Tensor  # (N, V)


class AttentionScorer:
    """Scores labels and endings by one step of an attention decoder for each label.

    The step that scores the next label also scores the ending, so `finish` costs nothing.
    """

    partial = False
    max_gain = 0.0

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder

    def start(self, memory: Tensor, memory_lengths: Tensor) -> AttentionState:
        """The decoder's first step, fed EOS, which starts a sequence."""
        state = self.decoder.initial_state(memory, memory_lengths)
        first = torch.full((len(memory),), EOS, dtype=torch.long, device=memory.device)
        log_probs, state = self.decoder.step(first, state)
        return AttentionState(state, log_probs)

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, AttentionState]:
        """See `StartsAfter`: one pass of the decoder over all labels."""
        fed = torch.nn.functional.pad(tokens, (1, 0), value=EOS)
        log_probs, state = self.decoder.prime(fed, counts + 1, memory, memory_lengths)
        said, last = read_off(log_probs, tokens, counts)
        return said.sum(1), AttentionState(state, last)

    def score(self, state: AttentionState, candidates: Tensor | None) -> Tensor:
        """Log probabilities of the next label, (N, V) or those of `candidates` (N, K)."""
        return state.log_probs if candidates is None else state.log_probs.gather(1, candidates)

    def advance(self, state: AttentionState, parents: Tensor, tokens: Tensor) -> AttentionState:
        """One decoder step for the rows `parents`, fed `tokens`, both (N',)."""
        log_probs, decoder = self.decoder.step(tokens, self.decoder.reorder(state.decoder, parents))
        return AttentionState(decoder, log_probs)

    def finish(self, state: AttentionState) -> Tensor:
        """Log probability of EOS, (N,)."""
        return state.log_probs[:, EOS]
