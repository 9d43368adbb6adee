"""What a scorer is: the search adds up scorers and knows nothing else.

Rows: the search holds N = B x R rows, R rows for each of B utterances, contiguous by utterance
(R is 1 before the first label and the beam afterwards). `parents` maps new rows to old ones; an
utterance that has finished simply has no row among them any more.
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor


class Scorer(Protocol):
    """Adds increments of log probability to hypotheses."""

    partial: bool
    """True: scores only candidates it is given, after the full scorers (CTC prefix scores)."""

    def start(self, memory: Tensor, memory_lengths: Tensor) -> Any:
        """The state of one empty hypothesis for each utterance; memory (B, M, D), lengths (B,)."""
        ...

    def score(self, state: Any, candidates: Tensor | None) -> Tensor:
        """Increments of log probability for the next label.

        Args:
            state: of N rows.
            candidates: (N, K) label ids, or None for all labels.

        Returns:
            (N, K), or (N, V) where `candidates` is None. Column EOS is not read: `finish` is.
        """
        ...

    def advance(self, state: Any, parents: Tensor, tokens: Tensor) -> Any:
        """The state of the rows (N',) that append `tokens` to the rows `parents`."""
        ...

    def finish(self, state: Any) -> Tensor:
        """(N,) what ending each hypothesis here adds."""
        ...
