"""Attention scores: log probabilities of the next label and of ending, by the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from asr.errors import ModelError
from asr.model.protocols import Decoder
from asr.search.forced_prefix import gather_prefix
from asr.text.tokenizer import Labels


@dataclass(frozen=True)
class AttentionState:
    """The decoder after the last label of each row, and its log probabilities there."""

    decoder: Any
    log_probs: Tensor  # (N, V)


class AttentionScorer:
    """Scores labels and endings by one step of an attention decoder for each label.

    The step that scores the next label also scores the ending, so `finish` costs nothing.

    Args:
        decoder: the decoder.
        labels: of its tokenizer; a decoder is fed `labels.start` before the first label.
        prompt: what it is fed before the start: text that goes before, which no hypothesis holds.

    Raises:
        ModelError: the decoder cannot take more labels than prompt and start.
    """

    partial = False
    max_gain = 0.0

    def __init__(self, decoder: Decoder, labels: Labels, prompt: Sequence[int] = ()) -> None:
        self.decoder = decoder
        self.labels = labels
        self.fed = (*prompt, *labels.start)
        """The labels before the first one of a hypothesis."""
        self.max_labels: int | None = None
        if decoder.max_labels is not None:
            self.max_labels = decoder.max_labels - len(self.fed)
            if self.max_labels < 1:
                fed = "prompt and start have" if prompt else "the start alone has"
                raise ModelError(
                    f"the decoder takes at most {decoder.max_labels} labels, and {fed} "
                    f"{len(self.fed)}: nothing could follow"
                )

    def start(self, memory: Tensor, memory_lengths: Tensor) -> AttentionState:
        """The decoder behind prompt and start: one step, or one pass over several labels."""
        tokens = self._start_tokens(memory)
        if tokens.shape[1] > 1:
            nothing = torch.zeros_like(memory_lengths)
            state = self._prime(memory, memory_lengths, tokens[:, :0], nothing)[1]
        else:
            first = self.decoder.initial_state(memory, memory_lengths)
            log_probs, decoder = self.decoder.step(tokens[:, 0], first)
            state = AttentionState(decoder, log_probs)
        if not self.labels.never_first:
            return state
        barred = torch.tensor(self.labels.never_first, device=memory.device)
        return replace(state, log_probs=state.log_probs.index_fill(1, barred, -torch.inf))

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, AttentionState]:
        """See `PrefixScorer`: one pass of the decoder over all labels."""
        scores, state = self._prime(memory, memory_lengths, tokens, counts)
        return scores.sum(1), state

    def score(self, state: AttentionState, candidates: Tensor | None) -> Tensor:
        """Log probabilities of the next label, (N, V) or those of `candidates` (N, K)."""
        return state.log_probs if candidates is None else state.log_probs.gather(1, candidates)

    def advance(self, state: AttentionState, parents: Tensor, tokens: Tensor) -> AttentionState:
        """One decoder step for the rows `parents`, fed `tokens`, both (N',)."""
        log_probs, decoder = self.decoder.step(tokens, self.decoder.reorder(state.decoder, parents))
        return AttentionState(decoder, log_probs)

    def finish(self, state: AttentionState) -> Tensor:
        """Log probability of the end, (N,)."""
        return state.log_probs[:, self.labels.end]

    def _start_tokens(self, like: Tensor) -> Tensor:
        """Prompt and start (N, S) for each of the N rows of `like`."""
        start = torch.tensor(self.fed, dtype=torch.long, device=like.device)
        return start.expand(len(like), -1)

    def _prime(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, AttentionState]:
        """Log probabilities (N, U) of labels; arguments as of `PrefixScorer`, and the state."""
        start = self._start_tokens(tokens)
        size = start.shape[1]
        fed = torch.cat([start, tokens], dim=1)
        log_probs, state = self.decoder.prime(
            fed, counts + size, memory, memory_lengths, since=size - 1
        )
        scores, last = gather_prefix(log_probs, tokens, counts)
        return scores, AttentionState(state, last)
