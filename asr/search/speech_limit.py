"""No more text than the sound can hold, for models without CTC.

An attention decoder that has lost its place writes on until nothing more fits. How many letters an
utterance can hold follows from its sound (`asr.transcribe.files.speech`). A hypothesis with more is
not cut but denied as a whole: neither it nor anything that continues it can win. Where no other is
left, the search has no hypothesis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asr.errors import ModelError
from asr.model.states import per_row
from asr.search.forced_prefix import start_with_prefix
from asr.search.protocol import Scorer


@dataclass(frozen=True)
class SpeechLimit:
    """How many letters an utterance may have.

    Attributes:
        most: (B,) of each utterance of a search.
        letters: (V,) how many letters each label writes.
    """

    most: Tensor
    letters: Tensor


@dataclass(frozen=True)
class SpeechLimitState:
    """The state of a scorer, and how many letters each row may still write, (N,)."""

    inner: Any
    left: Tensor


class SpeechLimitedScorer:
    """A scorer that gives -inf to hypotheses with too many letters; all else is the scorer's own.

    Args:
        scorer: the scorer.
        limit: of the utterances of the search.
    """

    def __init__(self, scorer: Scorer, limit: SpeechLimit) -> None:
        self.scorer = scorer
        self.limit = limit
        self.partial = scorer.partial
        self.max_gain = scorer.max_gain
        self.max_labels = scorer.max_labels

    def start(self, memory: Tensor, memory_lengths: Tensor) -> SpeechLimitState:
        """An empty hypothesis for each utterance.

        Raises:
            ModelError: there is not one limit for each.
        """
        inner = self.scorer.start(memory, memory_lengths)
        return SpeechLimitState(inner, self._most(memory))

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, SpeechLimitState]:
        """See `PrefixScorer`; the letters of the prefix count."""
        scores, inner = start_with_prefix(self.scorer, memory, memory_lengths, tokens, counts)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        padding = places >= per_row(counts, tokens)[:, None]
        letters = self._letters(tokens).masked_fill(padding, 0.0).sum(1)
        return scores, SpeechLimitState(inner, per_row(self._most(memory), tokens) - letters)

    def score(self, state: SpeechLimitState, candidates: Tensor | None) -> Tensor:
        """The scorer's own, and -inf behind too many letters."""
        scores = self.scorer.score(state.inner, candidates)
        return scores.masked_fill((state.left < 0)[:, None], -math.inf)

    def advance(self, state: SpeechLimitState, parents: Tensor, tokens: Tensor) -> SpeechLimitState:
        """The scorer's own, with the letters of the labels."""
        inner = self.scorer.advance(state.inner, parents, tokens)
        return SpeechLimitState(inner, state.left[parents] - self._letters(tokens))

    def finish(self, state: SpeechLimitState) -> Tensor:
        """The scorer's own, and -inf behind too many letters."""
        return self.scorer.finish(state.inner).masked_fill(state.left < 0, -math.inf)

    def _letters(self, tokens: Tensor) -> Tensor:
        return self.limit.letters.to(tokens.device)[tokens]

    def _most(self, memory: Tensor) -> Tensor:
        if len(memory) != len(self.limit.most):
            raise ModelError(
                f"a search of {len(memory)} utterances has limits for {len(self.limit.most)}: "
                "there must be one for each"
            )
        return self.limit.most.to(memory.device)
