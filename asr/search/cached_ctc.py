"""CTC for several scorers of one search: each thing is computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from asr.search.ctc import CTCPrefixScorer, PrefixState


class CachedCTCScorer(CTCPrefixScorer):
    """A `CTCPrefixScorer` that remembers its last answers.

    In each step the search asks all its scorers the same, with the same tensors. Those that go by
    CTC (its own score, what CTC supports, hotwords) each keep a state of one `CachedCTCScorer`; the
    first that is asked computes, the others are given the same objects, which nobody may change.
    Make one for each search: it holds on to what it was asked last.
    """

    def __init__(self, log_probs: Callable[[Tensor], Tensor], blank: int) -> None:
        super().__init__(log_probs, blank)
        self._last: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def start(self, memory: Tensor, memory_lengths: Tensor) -> PrefixState:
        """See `CTCPrefixScorer.start`."""
        return self._once("start", super().start, memory, memory_lengths)

    def trace(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, PrefixState]:
        """See `CTCPrefixScorer.trace`."""
        return self._once("trace", super().trace, memory, memory_lengths, tokens, counts)

    def score(self, state: PrefixState, candidates: Tensor | None) -> Tensor:
        """See `CTCPrefixScorer.score`."""
        return self._once("score", super().score, state, candidates)

    def advance(self, state: PrefixState, parents: Tensor, tokens: Tensor) -> PrefixState:
        """See `CTCPrefixScorer.advance`."""
        return self._once("advance", super().advance, state, parents, tokens)

    def _once(self, name: str, compute: Callable[..., Any], *args: Any) -> Any:
        before, result = self._last.get(name, ((), None))
        if not before or any(arg is not last for arg, last in zip(args, before, strict=True)):
            result = compute(*args)
            self._last[name] = (args, result)
        return result
