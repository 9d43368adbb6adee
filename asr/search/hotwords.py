"""Hotwords: phrases that score more than the model gives them, where the sound supports them.

CTC tells whether a label is in the sound, so what CTC supports may be boosted without a bound.
Attention does not: behind the speech, and in loops, it supports labels that nobody said. In models
without CTC a boost therefore makes up only for what the labels of a phrase are behind the best
label, added up over the phrase. So hypotheses never score more than attention's best labels
would, and writing on behind the speech gains nothing, whatever the weight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asr.model.states import per_row
from asr.search.ctc import CachedCTCScorer
from asr.search.phrases import ROOT, PhraseTree
from asr.search.shared import SharedScorer

#: The least log probability, given the prefix, that CTC must give a label of a phrase.
SUPPORTED = -8.0
#: In models without CTC, how far a label of a phrase may be behind the best label in attention's
#: log probability.
MOST_BEHIND = 4.0


@dataclass(frozen=True)
class HotwordState:
    """The place of each row in the phrases (N,), and the state of the scorer that must support
    labels: `ctc`, else `attention`; None for both where labels need no support.

    With attention, `best` (N,) is its log probability of the best label or the end, `share` (N,)
    how much of the worth at a place has been lent, from 0 to 1, and `spare` (N,) how much more may
    be: how far the labels of the phrase were behind the best ones.
    """

    places: Tensor
    ctc: Any
    attention: Any = None
    best: Tensor | None = None
    share: Tensor | None = None
    spare: Tensor | None = None


class HotwordScorer:
    """Adds 1 for each letter of a phrase, times the phrase's weight, where a phrase is complete.

    The letters are counted as they come, so that a hypothesis lives to say the whole phrase, and
    taken back from one that does not (see `PhraseTree`). A label that CTC does not support, given
    the labels before it, is no part of any phrase: phrases are found in the sound, not put into it.
    Where there is no CTC, attention must support it, and bounds what it adds.

    Args:
        tree: the phrases.
        ctc: of the same search; None in a model without CTC.
        attention: used where there is no CTC; without both nothing limits the boost.
        weight: of this scorer in the sum, for that bound.

    It proposes no labels (`partial`): those that neither attention nor a language model considers
    are not found either.
    """

    partial = True
    max_labels: int | None = None

    def __init__(
        self,
        tree: PhraseTree,
        ctc: CachedCTCScorer | None,
        attention: SharedScorer | None = None,
        weight: float = 1.0,
    ) -> None:
        self.tree = tree
        self.ctc = ctc
        self.attention = None if ctc else attention
        self.weight = weight
        self.max_gain = 2 * tree.most
        self._on: dict[torch.device, tuple[Tensor, Tensor, Tensor]] = {}
        silent = [label for label, piece in enumerate(tree.pieces) if not piece]
        self._silent = torch.tensor(silent, dtype=torch.long)

    def start(self, memory: Tensor, memory_lengths: Tensor) -> HotwordState:
        """A word may begin."""
        places = torch.full_like(memory_lengths, self.tree.start)
        ctc = self.ctc.start(memory, memory_lengths) if self.ctc else None
        if not self.attention:
            return HotwordState(places, ctc)
        attention = self.attention.start(memory, memory_lengths)
        best = self._best(attention)
        return HotwordState(places, ctc, attention, best, *_nothing_lent(places))

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, HotwordState]:
        """See `PrefixScorer`: a walk through the labels, which attention need not support and does
        not bound.
        """
        lengths, counts = counts, per_row(counts, tokens)
        places, ctc, ctc_scores = torch.full_like(counts, self.tree.start), None, None
        scores = torch.zeros(len(tokens), dtype=torch.float64, device=tokens.device)
        if self.ctc:
            psi, ctc = self.ctc.trace(memory, memory_lengths, tokens, lengths)
            ctc_scores = psi.clamp(min=torch.finfo(psi.dtype).min).diff(dim=1)
        for place, labels in enumerate(tokens.unbind(1)):
            scored = None if ctc_scores is None else ctc_scores[:, place, None] - SUPPORTED
            worth, after = self._read(places, labels[:, None], scored)
            real = place < counts
            scores = scores + worth[:, 0].where(real, torch.zeros_like(scores))
            places = after[:, 0].where(real, places)
        if not self.attention:
            return scores, HotwordState(places, ctc)
        _, attention = self.attention.start_with_prefix(memory, memory_lengths, tokens, lengths)
        best = self._best(attention)
        return scores, HotwordState(places, ctc, attention, best, *_nothing_lent(places))

    def score(self, state: HotwordState, candidates: Tensor | None) -> Tensor:
        """What each label is worth, (N, V) or (N, K)."""
        if self.attention:
            log_probs = self.attention.score(state.attention, candidates)
            return self._bounded(state, candidates, log_probs)[0]
        support = self.ctc.score(state.ctc, candidates) - SUPPORTED if self.ctc else None
        return self._read(state.places, candidates, support)[0]

    def _read(
        self, places: Tensor, labels: Tensor | None, support: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What labels (N, K), or all, are worth at places (N,), and the places after them.

        Args:
            support: (N, K) below 0 for those without support; None: all have it.
        """
        device = places.device
        if labels is None:
            worth, after = (part.to(device) for part in self.tree.rows(places.tolist()))
        else:
            worth, after = self.tree.pairs(places, labels)
        if support is None:
            return worth, after
        unsupported = (support < 0) & (self._tables(device)[0][after % self.tree.size] > 0)
        broken = self._broken(places, labels)
        return broken.where(unsupported, worth), after.masked_fill(unsupported, ROOT)

    def _broken(self, places: Tensor, labels: Tensor | None) -> Tensor:
        """What it is worth (N, K) that labels go on with no phrase; at most 0."""
        _, begins_word, broken = self._tables(places.device)
        begins = begins_word.expand(len(places), -1) if labels is None else begins_word[labels]
        return broken[places % self.tree.size].gather(1, begins)

    def _best(self, attention: Any) -> Tensor:
        """The log probability (N,) of attention's best label or its end.

        Labels that write nothing do not count: none but the end may stand in a text.
        """
        assert self.attention is not None
        log_probs = self.attention.score(attention, None)
        silent = self._silent.to(log_probs.device)
        best = log_probs.index_fill(1, silent, -math.inf).amax(1)
        return torch.maximum(best, self.attention.finish(attention))

    def _bounded(
        self, state: HotwordState, labels: Tensor | None, log_probs: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What labels (N, K) are worth, as attention bounds it by their `log_probs` (N, K).

        Returns:
            the worth, and place, share and spare after the labels, all (N, K).
        """
        assert state.best is not None
        assert state.share is not None
        assert state.spare is not None
        behind = (state.best[:, None] - log_probs).double()
        behind = behind.nan_to_num(nan=math.inf, posinf=math.inf).clamp(min=0.0)
        worth, after = self._read(state.places, labels, MOST_BEHIND - behind)
        broken = self._broken(state.places, labels)
        lent = -broken * state.share[:, None]  # and taken back, to lend it anew
        full = worth - broken
        most = state.spare[:, None] + behind / self.weight
        worth = torch.minimum(full - lent, most)
        in_phrase = self._tables(after.device)[0][after % self.tree.size] > 0
        share = ((worth + lent) / full).where(in_phrase & (full > 0), torch.ones_like(full))
        return worth, after, share, (most - worth).where(in_phrase, torch.zeros_like(most))

    def advance(self, state: HotwordState, parents: Tensor, tokens: Tensor) -> HotwordState:
        """Reads the labels."""
        if self.attention:
            attention = self.attention.advance(state.attention, parents, tokens)
            log_probs = self.attention.score(state.attention, None)[parents, tokens][:, None]
            rows, best = _rows(state, parents), self._best(attention)
            _, places, share, spare = self._bounded(rows, tokens[:, None], log_probs)
            return HotwordState(places[:, 0], None, attention, best, share[:, 0], spare[:, 0])
        ctc, support = None, None
        if self.ctc:
            ctc = self.ctc.advance(state.ctc, parents, tokens)
            least = torch.finfo(ctc.psi.dtype).min
            before = state.ctc.psi[parents].clamp(min=least)
            support = (ctc.psi.clamp(min=least) - before)[:, None] - SUPPORTED
        _, after = self._read(state.places[parents], tokens[:, None], support)
        return HotwordState(after[:, 0], ctc)

    def finish(self, state: HotwordState) -> Tensor:
        """What was lent to a phrase that is not complete is taken back, (N,)."""
        broken = self._tables(state.places.device)[2][state.places % self.tree.size, 1]
        return broken if state.share is None else broken * state.share

    def _tables(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Credits, which labels begin words, and what broken phrases are worth, on the device."""
        if device not in self._on:
            tree = self.tree
            self._on[device] = (
                tree.credits.to(device),
                tree.begins_word.long().to(device),
                tree.broken_worth.to(device),
            )
        return self._on[device]


def _nothing_lent(places: Tensor) -> tuple[Tensor, Tensor]:
    """`share` and `spare` of rows that attention has not bounded yet."""
    return torch.ones_like(places, dtype=torch.float64), torch.zeros_like(places).double()


def _rows(state: HotwordState, rows: Tensor) -> HotwordState:
    """Some rows of a state, without those of CTC or attention."""
    bounds = state.best, state.share, state.spare
    return HotwordState(
        state.places[rows], None, None, *(None if part is None else part[rows] for part in bounds)
    )
