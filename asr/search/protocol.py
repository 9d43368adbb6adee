"""What a scorer is: the search adds up scorers and knows nothing else.

Rows: the search holds N = B x R rows, R rows for each of B utterances, contiguous by utterance
(R is 1 before the first label and grows to the beam). `parents` maps new rows to old ones; an
utterance that has finished simply has no row among them any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


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
