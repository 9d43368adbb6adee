"""Time stamps as Whisper was trained to write them: before and behind each part of a text.

The rules are those of Whisper (Radford et al. 2022; `ApplyTimestampRules` of its program):

1. The first label is a time stamp of at most `LATEST_FIRST` seconds.
2. A time stamp follows each part of the text; behind it comes the time stamp of the next part, or
   the end.
3. Times do not decrease, and the end of a part is later than its start.
4. A time stamp is written where all of them together are likelier than the likeliest label of text
   and than the end: probability is spread over neighbouring times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asr.errors import ModelError
from asr.model.states import per_row
from asr.search.forced_prefix import start_with_prefix
from asr.search.protocol import Scorer
from asr.text.tokenizer import Labels

#: Latest time of the first label, in seconds.
LATEST_FIRST = 1.0


@dataclass(frozen=True)
class TimestampState:
    """The state of a scorer, and what the rules look at.

    `log_probs` (N, V) and `ending` (N,) are the scorer's, with the rules. `last` and `before` (N,)
    say whether the last label and the one before it are time stamps, True where there is none.
    `least` (N,) is the first time stamp that may follow, counted from that of 0 seconds.
    """

    inner: Any
    log_probs: Tensor
    ending: Tensor
    last: Tensor
    before: Tensor
    least: Tensor


class TimestampScorer:
    """A full scorer that gives -inf to labels that break the rules; all else is the scorer's own.

    Args:
        scorer: the scorer whose log probabilities decide whether a time stamp is due: attention.
        labels: they must write time stamps (`Labels.with_timestamps`).

    Raises:
        ModelError: they do not.
    """

    partial = False

    def __init__(self, scorer: Scorer, labels: Labels) -> None:
        if labels.timestamps is None or not labels.writes_timestamps:
            raise ModelError("these labels write no time stamps; see Labels.with_timestamps")
        self.scorer = scorer
        self.timestamps = labels.timestamps
        self.never = [label for label in labels.forbidden if label not in self.timestamps]
        self.max_gain = scorer.max_gain
        self.max_labels = scorer.max_labels

    def start(self, memory: Tensor, memory_lengths: Tensor) -> TimestampState:
        """An empty hypothesis for each utterance."""
        inner = self.scorer.start(memory, memory_lengths)
        none = torch.ones_like(memory_lengths, dtype=torch.bool)
        return self._state(inner, none, none, torch.zeros_like(memory_lengths), empty=none)

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, TimestampState]:
        """See `PrefixScorer`: what is decided stands."""
        scores, inner = start_with_prefix(self.scorer, memory, memory_lengths, tokens, counts)
        counts = per_row(counts, tokens)
        last = before = torch.ones_like(counts, dtype=torch.bool)
        least = torch.zeros_like(counts)
        for place, labels in enumerate(tokens.unbind(1)):
            real = place < counts
            after = self._after(last, least, labels)
            before = last.where(real, before)
            last, least = after[0].where(real, last), after[1].where(real, least)
        return scores, self._state(inner, last, before, least, empty=counts == 0)

    def score(self, state: TimestampState, candidates: Tensor | None) -> Tensor:
        """The scorer's own, and -inf for labels that break the rules."""
        return state.log_probs if candidates is None else state.log_probs.gather(1, candidates)

    def advance(self, state: TimestampState, parents: Tensor, tokens: Tensor) -> TimestampState:
        """The scorer's own, with the labels."""
        inner = self.scorer.advance(state.inner, parents, tokens)
        before = state.last[parents]
        last, least = self._after(before, state.least[parents], tokens)
        return self._state(inner, last, before, least, empty=torch.zeros_like(last))

    def finish(self, state: TimestampState) -> Tensor:
        """The scorer's own, and -inf where a time stamp is due."""
        return state.ending

    def _after(self, last: Tensor, least: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """`last` and `least` behind labels (N,), given those before them."""
        places = tokens - self.timestamps.first
        is_stamp = (places >= 0) & (places < self.timestamps.count)
        # The second one of a pair may be equal to the first; the next one is later.
        later = places + last.long()
        return is_stamp, later.where(is_stamp, least)

    def _state(
        self, inner: Any, last: Tensor, before: Tensor, least: Tensor, empty: Tensor
    ) -> TimestampState:
        """The rules, applied to what the scorer gives all labels and the end."""
        first, count = self.timestamps.first, self.timestamps.count
        log_probs, ending = self.scorer.score(inner, None), self.scorer.finish(inner)
        never = torch.tensor(self.never, dtype=torch.long, device=log_probs.device)
        log_probs = log_probs.index_fill(1, never, -torch.inf)
        stamps = log_probs[:, first : first + count]  # a view
        places = torch.arange(count, device=stamps.device)
        latest = round(LATEST_FIRST / self.timestamps.seconds)
        stamps.masked_fill_(
            (places < least[:, None])
            | (last & before & ~empty)[:, None]
            | (empty[:, None] & (places > latest)),
            -torch.inf,
        )
        texts = [log_probs[:, :first], log_probs[:, first + count :]]
        for text in texts:
            text.masked_fill_(((last & ~before) | empty)[:, None], -torch.inf)
        rivals = [ending, *(text.amax(1) for text in texts if text.shape[1])]
        due = (stamps.logsumexp(1) > torch.stack(rivals).amax(0)) | empty
        for text in texts:
            text.masked_fill_(due[:, None], -torch.inf)
        return TimestampState(
            inner, log_probs, ending.masked_fill(due, -torch.inf), last, before, least
        )
