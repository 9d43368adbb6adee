"""No more text than the sound can hold, and not much less, for models without CTC.

An attention decoder that has lost its place writes on until nothing more fits, or ends after the
first words of a long utterance: as log probabilities only add up, "to" and the end can be likelier
than a whole paragraph. How many letters an utterance can have, and how many are to be expected,
follows from its sound (`asr.transcribe.files.speech`). A hypothesis with more than it can have is
not cut but dropped as a whole: neither it nor anything that continues it can win. Where no other is
left, the search has no hypothesis. One that ends with fewer than are expected loses for each
letter that is missing, much as the coverage penalty of Wu et al. (2016) does it by attention.
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

#: What the end of a hypothesis loses, in log probability, for each letter that is missing.
MISSING_LETTER = 0.1


@dataclass(frozen=True)
class SpeechLimit:
    """How many letters an utterance may have.

    Attributes:
        expected, most: (B,) how many are expected, and possible, in each utterance of a search.
        letters: (V,) how many letters each label writes.
        spoken: (V,) how many it may stand for, as digits and abbreviations are spoken like more.
            All on the device of the search.
    """

    expected: Tensor
    most: Tensor
    letters: Tensor
    spoken: Tensor


@dataclass(frozen=True)
class SpeechLimitState:
    """The state of a scorer, and how many letters each row should and may still write, (N,)."""

    inner: Any
    missing: Tensor
    left: Tensor

    def after(self, inner: Any, spoken: Tensor, letters: Tensor) -> SpeechLimitState:
        """With the scorer's next state, and so many letters (N,) more."""
        return SpeechLimitState(inner, self.missing - spoken, self.left - letters)


class SpeechLimitedScorer:
    """A scorer that gives -inf to hypotheses with too many letters, and less to ends after too few.

    All else is the scorer's own.

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
        limit = self.limit
        if len(memory) != len(limit.most):
            raise ModelError(
                f"a search of {len(memory)} utterances has limits for {len(limit.most)}: "
                "there must be one for each"
            )
        inner = self.scorer.start(memory, memory_lengths)
        return SpeechLimitState(inner, limit.expected, limit.most)

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, SpeechLimitState]:
        """See `PrefixScorer`; the letters of the prefix count."""
        scores, inner = start_with_prefix(self.scorer, memory, memory_lengths, tokens, counts)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        padding = places >= per_row(counts, tokens)[:, None]
        limit = self.limit
        spoken, letters = (
            each[tokens].masked_fill(padding, 0.0).sum(1) for each in (limit.spoken, limit.letters)
        )
        expected, most = (per_row(bound, tokens) for bound in (limit.expected, limit.most))
        return scores, SpeechLimitState(inner, expected, most).after(inner, spoken, letters)

    def score(self, state: SpeechLimitState, candidates: Tensor | None) -> Tensor:
        """The scorer's own, and -inf behind too many letters."""
        scores = self.scorer.score(state.inner, candidates)
        return scores.masked_fill((state.left < 0)[:, None], -math.inf)

    def advance(self, state: SpeechLimitState, parents: Tensor, tokens: Tensor) -> SpeechLimitState:
        """The scorer's own, with the letters of the labels."""
        inner = self.scorer.advance(state.inner, parents, tokens)
        rows = SpeechLimitState(None, state.missing[parents], state.left[parents])
        return rows.after(inner, self.limit.spoken[tokens], self.limit.letters[tokens])

    def finish(self, state: SpeechLimitState) -> Tensor:
        """The scorer's own, less what missing letters cost, and -inf behind too many."""
        missing = state.missing.clamp(min=0.0)
        ending = self.scorer.finish(state.inner) - MISSING_LETTER * missing
        return ending.masked_fill(state.left < 0, -math.inf)
