"""Scorers that other scorers use too: each call is computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from asr.search.forced_prefix import start_with_prefix
from asr.search.protocol import Scorer


class LastResults:
    """The result of the last call of each method, returned again for the same arguments.

    In each step the search calls all its scorers with the same tensors. Scorers that use another
    one each keep a state of it; the first call computes, the others get the same objects, which
    nobody may change. Only the last arguments and results are kept: make one for each search.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def of(self, name: str, compute: Callable[..., Any], *args: Any) -> Any:
        """`compute(*args)`, or its result where the last call of `name` had the same objects."""
        before, result = self._last.get(name, ((), None))
        if not before or any(arg is not last for arg, last in zip(args, before, strict=True)):
            result = compute(*args)
            self._last[name] = (args, result)
        return result


class SharedScorer:
    """A scorer that others use too; see `LastResults`. Make one for each search.

    Args:
        scorer: the scorer.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.partial = scorer.partial
        self.max_gain = scorer.max_gain
        self.max_labels = scorer.max_labels
        self._last = LastResults()

    def start(self, memory: Tensor, memory_lengths: Tensor) -> Any:
        """See `Scorer.start`."""
        return self._last.of("start", self.scorer.start, memory, memory_lengths)

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, Any]:
        """See `PrefixScorer`."""
        return self._last.of(
            "prefix", start_with_prefix, self.scorer, memory, memory_lengths, tokens, counts
        )

    def score(self, state: Any, candidates: Tensor | None) -> Tensor:
        """See `Scorer.score`."""
        return self.scorer.score(state, candidates)

    def advance(self, state: Any, parents: Tensor, tokens: Tensor) -> Any:
        """See `Scorer.advance`."""
        return self._last.of("advance", self.scorer.advance, state, parents, tokens)

    def finish(self, state: Any) -> Tensor:
        """See `Scorer.finish`."""
        return self.scorer.finish(state)
