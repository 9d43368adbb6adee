"""Labels that repeat: loops of one or several labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asr.model.states import per_row
from asr.search.forced_prefix import start_with_prefix
from asr.search.protocol import Scorer

#: Stands in a history for labels before the first.
NONE = -1


class Repeats:
    """Finds which label would complete a round: the last n labels once more, or several times.

    Args:
        rounds: for n = 1, 2 ... how many times the n labels must come again, at least once.
    """

    def __init__(self, rounds: Sequence[int]) -> None:
        self.longest = len(rounds)
        self.history = max(n * (1 + times) for n, times in enumerate(rounds, 1))
        """How many labels must be known."""
        # The label in question is one of the n x rounds that must equal those n places before.
        most = max(n * times for n, times in enumerate(rounds, 1)) - 1
        back = torch.arange(1, most + 1)
        sizes, times = torch.arange(1, self.longest + 1)[:, None], torch.tensor(rounds)[:, None]
        self._asked = back < sizes * times  # (P, most)
        self._last = (self.history - back).expand(self.longest, -1).masked_fill(~self._asked, 0)
        self._before = (self._last - sizes).masked_fill(~self._asked, 0)
        self._first = self.history + 1 - (sizes * (1 + times))[:, 0]  # (P,) of all the rounds
        self._tables: dict[torch.device, tuple[Tensor, ...]] = {}

    def start(self, rows: int, device: torch.device) -> Tensor:
        """The history (rows, `history`) of empty hypotheses."""
        return torch.full((rows, self.history), NONE, dtype=torch.long, device=device)

    def after(self, tokens: Tensor, counts: Tensor) -> Tensor:
        """The history of given labels, the first `counts` (N,) of each row of `tokens` (N, U)."""
        empty = self.start(len(tokens), tokens.device)
        places = counts[:, None] + torch.arange(self.history, device=tokens.device)
        return torch.cat([empty, tokens], dim=1).gather(1, places)

    def extended(self, history: Tensor, parents: Tensor, tokens: Tensor) -> Tensor:
        """The histories of the rows `parents` (N',), each with its label of `tokens`."""
        return torch.cat([history[parents, 1:], tokens[:, None]], dim=1)

    def completions(self, history: Tensor) -> tuple[Tensor, Tensor]:
        """The label that would complete the rounds of each length.

        Returns:
            labels (N, P), of n = 1 ... P the one of n labels ago (0 where there is none), and
            whether it would complete its rounds (N, P).
        """
        last, before, not_asked, first = self._on(history.device)
        same = (history[:, last] == history[:, before]) | not_asked
        labels = history.flip(1)[:, : self.longest]
        complete = history.gather(1, first.expand(len(history), -1)) != NONE
        return labels.clamp(min=0), same.all(2) & complete

    def _on(self, device: torch.device) -> tuple[Tensor, ...]:
        """The tables of places, there once and not copied in each step."""
        if device not in self._tables:
            tables = self._last, self._before, ~self._asked, self._first
            self._tables[device] = tuple(table.to(device) for table in tables)
        return self._tables[device]


def forbid(scores: Tensor, candidates: Tensor | None, labels: Tensor, bad: Tensor) -> Tensor:
    """`scores` with -inf for some labels.

    Args:
        scores: (N, V) of all labels, or (N, K) of the `candidates` (N, K).
        labels: (N, P). bad: (N, P) or (N, K, P), whether the label is forbidden.
    """
    if candidates is None:
        hit = torch.zeros_like(scores, dtype=torch.uint8)
        hit = hit.scatter_reduce(1, labels, bad.to(torch.uint8), "amax").bool()
    else:
        bad = bad if bad.dim() == 3 else bad[:, None]
        hit = ((candidates[:, :, None] == labels[:, None]) & bad).any(2)
    return scores.masked_fill(hit, -torch.inf)


@dataclass(frozen=True)
class RepeatState:
    """The state of a scorer, and the last labels of each row (N, H)."""

    inner: Any
    history: Tensor


#: Without CTC the same labels may stand so often in a row ...
MOST_COPIES = 4
#: ... but two or three copies are enough where this many labels would have to be remembered.
_REMEMBERED = 64
_LONGEST = _REMEMBERED // 3


class RepeatLimited:
    """A scorer that forbids loops by counting, for models without CTC.

    The same 1 to 12 labels stand at most four times in a row, up to 16 three times, up to 21 twice.
    Speech that repeats itself more often than that is cut too: the price of having no CTC.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.partial = scorer.partial
        self.max_gain = scorer.max_gain
        self.max_labels = scorer.max_labels
        lengths = range(1, _LONGEST + 1)
        self.repeats = Repeats([min(MOST_COPIES, _REMEMBERED // n - 1) for n in lengths])

    def start(self, memory: Tensor, memory_lengths: Tensor) -> RepeatState:
        """An empty hypothesis for each utterance."""
        inner = self.scorer.start(memory, memory_lengths)
        return RepeatState(inner, self.repeats.start(len(memory), memory.device))

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, RepeatState]:
        """See `PrefixScorer`: what is decided stands, however often."""
        scores, inner = start_with_prefix(self.scorer, memory, memory_lengths, tokens, counts)
        return scores, RepeatState(inner, self.repeats.after(tokens, per_row(counts, tokens)))

    def score(self, state: RepeatState, candidates: Tensor | None) -> Tensor:
        """The scorer's own, and -inf for labels that would go on with a loop."""
        scores = self.scorer.score(state.inner, candidates)
        return forbid(scores, candidates, *self.repeats.completions(state.history))

    def advance(self, state: RepeatState, parents: Tensor, tokens: Tensor) -> RepeatState:
        """The scorer's own, with the labels."""
        inner = self.scorer.advance(state.inner, parents, tokens)
        return RepeatState(inner, self.repeats.extended(state.history, parents, tokens))

    def finish(self, state: RepeatState) -> Tensor:
        """The scorer's own."""
        return self.scorer.finish(state.inner)
