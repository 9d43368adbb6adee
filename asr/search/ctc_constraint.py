"""No label without sound: what CTC does not support is not written, whatever other scorers say.

An attention decoder that has lost its place goes round in loops, reads backwards, or writes on
after the speech has ended, and is sure of it. CTC cannot: it reads the frames once, in order. A
hypothesis is a prefix g with probability psi(g) under CTC (see `asr.search.ctc`), and may not be
extended by

1. any label where nothing is left to be said: where the next label, given g, would have to begin
   in a frame that is blank. That is the greatest of phi(t - 1) (1 - p(t, blank)) / psi(g) over the
   frames t. For the first label of an utterance it must be `SPEECH`, later `SOUND`: what has no
   speech gets no words, and text does not run past it.
2. a label that completes a repetition of the last n labels, n up to `LONGEST`, which CTC gives
   less than `REPEATED`, all n labels together. Speech that repeats itself has its frames twice.
3. a label with which the last `STRETCH` labels together get less than `UNSUPPORTED`: a stretch of
   text that is nowhere in the sound, or that was read before (attention that has gone back).

The figures leave room for what is written differently from how it sounds; docs/no-invented-text.md
has the measurements that they come from. Nothing here depends on other utterances, on padding, or
on how many hypotheses there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asr.model.states import per_row
from asr.search.ctc import CachedCTCScorer
from asr.search.forced_prefix import start_with_prefix
from asr.search.protocol import Scorer
from asr.search.repeats import Repeats, forbid

#: Least probability that one frame holds the first label of an utterance.
SPEECH = 0.3
#: Least probability, given the prefix, that one frame begins another label.
SOUND = 0.0025
#: Log probability of the labels of a repetition, below which it is none.
REPEATED = -12.0
#: Labels of a repetition, at most.
LONGEST = 24
#: So many labels ...
STRETCH = 8
#: ... must have this log probability together.
UNSUPPORTED = -60.0

_LOWEST = torch.finfo(torch.float64).min


@dataclass(frozen=True)
class CTCConstraintState:
    """The state of a scorer, of CTC, and CTC's scores of the last labels.

    `history` (N, H) are the last labels, `psi` (N, P + 1) the log probabilities of the prefix
    without its last P, P - 1, ... 0 labels; 0 for those that would be shorter than nothing.
    """

    inner: Any
    ctc: Any
    history: Tensor
    psi: Tensor
    empty: Tensor  # (N,) whether there is no label yet


class CTCConstrainedScorer:
    """A scorer that gives -inf to labels that CTC does not support; all else is the scorer's own.

    Args:
        scorer: the scorer; it may be `ctc` itself, which then costs nothing twice.
        ctc: the scorer by which labels are supported or not.
    """

    def __init__(self, scorer: Scorer, ctc: CachedCTCScorer) -> None:
        self.scorer = scorer
        self.ctc = ctc
        self.partial = scorer.partial
        self.max_gain = scorer.max_gain
        self.max_labels = scorer.max_labels
        self.repeats = Repeats([1] * LONGEST)

    def start(self, memory: Tensor, memory_lengths: Tensor) -> CTCConstraintState:
        """An empty hypothesis for each utterance."""
        ctc = self.ctc.start(memory, memory_lengths)
        inner = ctc if self.scorer is self.ctc else self.scorer.start(memory, memory_lengths)
        history = self.repeats.start(len(memory), memory.device)
        psi = ctc.psi.new_zeros(len(memory), LONGEST + 1)
        return CTCConstraintState(inner, ctc, history, psi, torch.ones_like(memory_lengths).bool())

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, CTCConstraintState]:
        """See `PrefixScorer`: what is decided stands."""
        psi, ctc = self.ctc.trace(memory, memory_lengths, tokens, counts)
        scores, inner = ctc.psi, ctc
        if self.scorer is not self.ctc:
            scores, inner = start_with_prefix(self.scorer, memory, memory_lengths, tokens, counts)
        counts = per_row(counts, tokens)
        before = psi.new_zeros(len(psi), LONGEST)
        places = counts[:, None] + torch.arange(LONGEST + 1, device=psi.device)
        psi = torch.cat([before, psi.clamp(min=_LOWEST)], dim=1).gather(1, places)
        history = self.repeats.after(tokens, counts)
        return scores, CTCConstraintState(inner, ctc, history, psi, counts == 0)

    def score(self, state: CTCConstraintState, candidates: Tensor | None) -> Tensor:
        """The scorer's own, and -inf for labels without support."""
        ctc_scores = self.ctc.score(state.ctc, candidates)
        scores = ctc_scores
        if self.scorer is not self.ctc:
            scores = self.scorer.score(state.inner, candidates)
        unsupported = ctc_scores < (UNSUPPORTED - self._together(state, STRETCH))
        scores = scores.masked_fill(unsupported | ~self._goes_on(state), -math.inf)
        labels, bad = self.repeats.completions(state.history)
        least = REPEATED - (state.psi[:, -1:] - state.psi[:, 1:].flip(1))
        if candidates is None:
            weak = bad & (ctc_scores.gather(1, labels) < least)
        else:
            weak = bad[:, None] & (ctc_scores[:, :, None] < least[:, None])
        return forbid(scores, candidates, labels, weak)

    def _together(self, state: CTCConstraintState, count: int) -> Tensor:
        """What CTC gives the last `count` - 1 labels together (N, 1), in logs."""
        return state.psi[:, -1:] - state.psi[:, -count, None]

    def _goes_on(self, state: CTCConstraintState) -> Tensor:
        """Whether another label may begin somewhere (N, 1)."""
        ctc = state.ctc
        begins = (ctc.phi[:, :-1] + ctc.posteriors.spoken[ctc.utterance]).amax(1)
        least = torch.where(state.empty, math.log(SPEECH), math.log(SOUND))
        return (begins - ctc.psi.clamp(min=_LOWEST) >= least)[:, None]

    def advance(
        self, state: CTCConstraintState, parents: Tensor, tokens: Tensor
    ) -> CTCConstraintState:
        """The scorer's own, with the labels and their scores by CTC."""
        ctc = self.ctc.advance(state.ctc, parents, tokens)
        inner = ctc
        if self.scorer is not self.ctc:
            inner = self.scorer.advance(state.inner, parents, tokens)
        history = self.repeats.extended(state.history, parents, tokens)
        psi = torch.cat([state.psi[parents, 1:], ctc.psi.clamp(min=_LOWEST)[:, None]], dim=1)
        return CTCConstraintState(inner, ctc, history, psi, torch.zeros_like(tokens).bool())

    def finish(self, state: CTCConstraintState) -> Tensor:
        """The scorer's own: every hypothesis may end."""
        return self.scorer.finish(state.inner)
