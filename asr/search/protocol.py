"""What goes into a search and what comes out: scorers, the labels it may use, results.

The search adds up scorers and knows nothing else of a model.

Rows: the search holds N = B x R rows, R rows for each of B utterances, contiguous by utterance
(R is 1 before the first label and grows to the beam). `parents` maps new rows to old ones; an
utterance that has finished simply has no row among them any more.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from asr.errors import ModelError
from asr.text.tokenizer import Labels
from asr.types import Hypothesis


class Scorer(Protocol):
    """Adds increments of log probability to hypotheses."""

    partial: bool
    """True: scores the candidates that the full scorers propose (CTC prefix scores). Where there
    is no full scorer it is asked for all labels, as a full one is."""

    max_gain: float
    """The most that one label, or the ending, can add: 0 for log probabilities. The search stops
    early only where this proves that nothing better can come; inf is allowed and always safe."""

    max_labels: int | None
    """The most labels of a hypothesis that it can score; None where there is no limit."""

    def start(self, memory: Tensor, memory_lengths: Tensor) -> Any:
        """The state of one empty hypothesis for each utterance.

        memory is (B, M, D), memory_lengths (B,), each at least 1.
        """
        ...

    def score(self, state: Any, candidates: Tensor | None) -> Tensor:
        """Increments of log probability for the next label.

        Args:
            state: of N rows.
            candidates: (N, K) label ids, or None for all labels.

        Returns:
            (N, K), or (N, V) where `candidates` is None. The columns of `Labels.forbidden` are not
            read: no hypothesis holds them, and `finish` scores the ending. -inf forbids a label.
        """
        ...

    def advance(self, state: Any, parents: Tensor, tokens: Tensor) -> Any:
        """The state of the rows (N',) that append `tokens` to the rows `parents`.

        A row whose score is already -inf may be among them, with any label; its scores are
        ignored, but must not be NaN.
        """
        ...

    def finish(self, state: Any) -> Tensor:
        """(N,) what ending each hypothesis here adds."""
        ...


@dataclass(frozen=True)
class WeightedScorer:
    """A scorer, the name of its score in a `Hypothesis`, and its weight in the sum (0 or more).

    Weight 0 removes the scorer, and what it would cost.
    """

    name: str
    scorer: Scorer
    weight: float


@dataclass(frozen=True)
class AllowedLabels:
    """A slice of the vocabulary, from the first allowed label on, with gaps.

    A slice of scores is a view and costs nothing; only where forbidden labels lie between allowed
    ones must scores be copied.
    """

    first: int
    count: int
    gaps: Tensor
    """(G,) the forbidden labels within the slice, counted from `first`."""

    @classmethod
    def among(cls, vocabulary: int, labels: Labels, device: torch.device) -> AllowedLabels:
        """All labels below `vocabulary` that are not `labels.forbidden`.

        Raises:
            ModelError: there are none, or the end is not among the vocabulary.
        """
        forbidden = labels.forbidden
        if labels.end >= vocabulary:
            raise ModelError(
                f"the end of a text is label {labels.end}, but the scorers know {vocabulary} "
                "labels only: model and tokenizer do not belong together"
            )
        first, last = 0, vocabulary - 1
        while first in forbidden:
            first += 1
        while last in forbidden:
            last -= 1
        if first > last:
            raise ModelError(f"none of the {vocabulary} labels may stand in a hypothesis")
        gaps = sorted(label - first for label in forbidden if first < label < last)
        return cls(first, last + 1 - first, torch.tensor(gaps, dtype=torch.long, device=device))

    def of(self, scores: Tensor) -> Tensor:
        """The scores (N, `count`) of the slice, -inf in the gaps, of scores (N, V)."""
        scores = scores[:, self.first : self.first + self.count]
        return scores.index_fill(1, self.gaps, -torch.inf) if len(self.gaps) else scores


class NBest:
    """Keeps the `size` best hypotheses, best first; of equal scores the one that came first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.hypotheses: list[Hypothesis] = []

    @property
    def bar(self) -> float:
        """A score must be above this to enter."""
        return self.hypotheses[-1].score if len(self.hypotheses) == self.size else -math.inf

    def add(self, hypothesis: Hypothesis) -> None:
        """Enters `hypothesis`, and drops the worst where there are more than `size`."""
        insort(self.hypotheses, hypothesis, key=lambda entered: -entered.score)
        del self.hypotheses[self.size :]


@dataclass(frozen=True)
class SearchResult:
    """The result of a search for one utterance.

    `hypotheses` are finished, best first. `beams` are the open ones behind each label that was
    added, from the prefixes on, which have `prefix_length` labels: their labels and their score.
    """

    hypotheses: list[Hypothesis]
    beams: Sequence[list[tuple[tuple[int, ...], float]]]
    prefix_length: int

    def open_after(self, labels: int, margin: float = math.inf) -> tuple[tuple[int, ...], ...]:
        """The hypotheses that were open when they had so many labels.

        A search over more memory may go on from them: it stands where this one stood. Those that
        were `margin` worse than the best are left out.
        """
        beam = self.beams[labels - self.prefix_length]
        least = max(score for _, score in beam) - margin
        return tuple(tokens for tokens, score in beam if score >= least)
