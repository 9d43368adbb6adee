"""A scorer that others go by too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from asr.search.forced_prefix import start_with_prefix
from asr.search.protocol import Scorer


class SharedScorer:
    """A scorer that remembers its last answers.

    In each step the search asks all its scorers the same, with the same tensors. Scorers that go by
    this one each keep a state of it; the first that is asked computes, the others are given the
    same objects, which nobody may change. Make one for each search: it holds on to what it was
    asked last.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.partial = scorer.partial
        self.max_gain = scorer.max_gain
        self.max_labels = scorer.max_labels
        self._last: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def start(self, memory: Tensor, memory_lengths: Tensor) -> Any:
        """See `Scorer.start`."""
        return self._once("start", self.scorer.start, memory, memory_lengths)

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, Any]:
        """See `PrefixScorer`."""

        def compute(*args: Tensor) -> tuple[Tensor, Any]:
            return start_with_prefix(self.scorer, *args)

        return self._once("prefix", compute, memory, memory_lengths, tokens, counts)

    def score(self, state: Any, candidates: Tensor | None) -> Tensor:
        """See `Scorer.score`."""
        return self.scorer.score(state, candidates)

    def advance(self, state: Any, parents: Tensor, tokens: Tensor) -> Any:
        """See `Scorer.advance`."""
        return self._once("advance", self.scorer.advance, state, parents, tokens)

    def finish(self, state: Any) -> Tensor:
        """See `Scorer.finish`."""
        return self.scorer.finish(state)

    def _once(self, name: str, compute: Callable[..., Any], *args: Any) -> Any:
        before, result = self._last.get(name, ((), None))
        if not before or any(arg is not last for arg, last in zip(args, before, strict=True)):
            result = compute(*args)
            self._last[name] = (args, result)
        return result
