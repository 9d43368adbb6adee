"""Scores of language models: one from outside, the decoder's own, and a reward for length.

The sum that the search maximises is (Meng et al. 2021, "Internal language model estimation")

    log p(y | x)  +  lm_weight log p_lm(y)  -  ilm_weight log p_ilm(y)  +  length_reward |y|

where p(y | x) is attention and CTC as ever, p_lm a language model trained on text (shallow fusion,
Gulcehre et al. 2015), and p_ilm what the decoder has learnt of the language of its transcripts,
which is taken out because p_lm knows it better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asr.lm.protocol import LanguageModel
from asr.model.states import per_row
from asr.search.attention import AttentionScorer, AttentionState
from asr.search.forced_prefix import gather_prefix
from asr.text.tokenizer import Labels

#: The internal language model gives no label less than this: where it is certain that a label
#: cannot come and is wrong, the label would win by that alone.
ILM_FLOOR = -10.0


@dataclass(frozen=True)
class LMState:
    """The language model after the last label of each row, and its log probabilities there."""

    lm: Any
    log_probs: Tensor  # (N, V)
    empty: Tensor  # (N,) whether there is no label yet


class LanguageModelScorer:
    """Scores labels and endings by a language model, which knows texts only, not the sound.

    An empty text costs nothing: texts are never empty, but sounds are, and a language model that
    had a say in that would find words in noise.

    Args:
        lm: the language model. It begins texts with `labels.end`, as it was trained: `labels.start`
            is what the decoder needs, such as a language or a task, and no part of a text.
        labels: of the tokenizer of both.
    """

    partial = False
    max_gain = 0.0
    max_labels: int | None = None

    def __init__(self, lm: LanguageModel, labels: Labels) -> None:
        self.lm = lm
        self.labels = labels

    def start(self, memory: Tensor, memory_lengths: Tensor) -> LMState:
        """An empty text for each utterance."""
        first = torch.full_like(memory_lengths, self.labels.end)
        log_probs, state = self.lm.step(first, self.lm.initial_state(len(memory)))
        return LMState(state, log_probs, torch.ones_like(first, dtype=torch.bool))

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, LMState]:
        """See `PrefixScorer`: all labels at once."""
        fed = torch.nn.functional.pad(tokens, (1, 0), value=self.labels.end)
        log_probs, state = self.lm.prime(fed, counts + 1)
        scores, last = gather_prefix(log_probs, tokens, counts)
        return scores.sum(1), LMState(state, last, per_row(counts, tokens) == 0)

    def score(self, state: LMState, candidates: Tensor | None) -> Tensor:
        """Log probabilities of the next label, (N, V) or those of `candidates` (N, K)."""
        return state.log_probs if candidates is None else state.log_probs.gather(1, candidates)

    def advance(self, state: LMState, parents: Tensor, tokens: Tensor) -> LMState:
        """One step for the rows `parents`, fed `tokens`, both (N',)."""
        log_probs, lm = self.lm.step(tokens, self.lm.reorder(state.lm, parents))
        return LMState(lm, log_probs, torch.zeros_like(tokens, dtype=torch.bool))

    def finish(self, state: LMState) -> Tensor:
        """Log probability of the end, (N,); 0 where no label came before it."""
        return state.log_probs[:, self.labels.end].masked_fill(state.empty, 0.0)


class InternalLMScorer(AttentionScorer):
    """Takes out what the decoder predicts without sound: minus its log probabilities over a memory
    of one frame of zeros (Meng et al. 2021, whose zero-out this is, for any decoder).

    It adds to scores, so that a search with it is stopped by `SearchConfig.give_up` alone.
    """

    max_gain = -ILM_FLOOR

    def start(self, memory: Tensor, memory_lengths: Tensor) -> AttentionState:
        """The decoder behind the start, without sound."""
        return super().start(*_no_sound(memory, memory_lengths))

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, AttentionState]:
        """See `PrefixScorer`: one pass of the decoder over all labels."""
        scores, state = self._prime(*_no_sound(memory, memory_lengths), tokens, counts)
        return _negated(scores).sum(1), state

    def score(self, state: AttentionState, candidates: Tensor | None) -> Tensor:
        """Minus log probabilities of the next label, (N, V) or those of `candidates` (N, K)."""
        return _negated(super().score(state, candidates))

    def finish(self, state: AttentionState) -> Tensor:
        """Minus the log probability of the end, (N,)."""
        return _negated(super().finish(state))


class LengthScorer:
    """Adds 1 for each label: what a language model, to which all labels cost, makes too short."""

    partial = True  # it proposes no labels
    max_gain = 1.0
    max_labels: int | None = None

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary

    def start(self, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        """No label yet: the state is 0 for each row."""
        return memory.new_zeros(len(memory))

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `PrefixScorer`: their number."""
        return per_row(counts, tokens).double(), memory.new_zeros(len(tokens))

    def score(self, state: Tensor, candidates: Tensor | None) -> Tensor:
        """Ones, (N, V) or (N, K)."""
        width = self.vocabulary if candidates is None else candidates.shape[1]
        return state.new_ones(len(state), width)

    def advance(self, state: Tensor, parents: Tensor, tokens: Tensor) -> Tensor:
        """Nothing to remember."""
        return state[parents]

    def finish(self, state: Tensor) -> Tensor:
        """An ending adds nothing."""
        return state


def _no_sound(memory: Tensor, memory_lengths: Tensor) -> tuple[Tensor, Tensor]:
    """One frame of zeros for each utterance."""
    return memory.new_zeros(len(memory), 1, memory.shape[2]), torch.ones_like(memory_lengths)


def _negated(log_probs: Tensor) -> Tensor:
    return -log_probs.clamp(min=ILM_FLOOR)
