"""Hotwords: phrases that score more than the model gives them, where the sound supports them."""

from __future__ import annotations

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
#: The same for attention, in models without CTC.
SUPPORTED_BY_ATTENTION = -6.0


@dataclass(frozen=True)
class HotwordState:
    """The place of each row in the phrases (N,), and its state of what labels need support of:
    CTC or attention, None without it.
    """

    places: Tensor
    ctc: Any
    attention: Any = None


class HotwordScorer:
    """Adds 1 for each letter of a phrase, times the phrase's weight, where a phrase is complete.

    The letters are counted as they come, so that a hypothesis lives to say the whole phrase, and
    taken back from one that does not (see `PhraseTree`). A label that CTC does not support, given
    the labels before it, is no part of any phrase: phrases are found in the sound, not put into it.
    Where there is no CTC, attention must support it.

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
    ) -> None:
        self.tree = tree
        self.ctc = ctc
        self.attention = None if ctc else attention
        self.max_gain = 2 * tree.most
        self._on: dict[torch.device, tuple[Tensor, Tensor, Tensor]] = {}

    def start(self, memory: Tensor, memory_lengths: Tensor) -> HotwordState:
        """A word may begin."""
        places = torch.full_like(memory_lengths, self.tree.start)
        ctc = self.ctc.start(memory, memory_lengths) if self.ctc else None
        attention = self.attention.start(memory, memory_lengths) if self.attention else None
        return HotwordState(places, ctc, attention)

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, HotwordState]:
        """See `PrefixScorer`: a walk through the labels, which attention need not support."""
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
        attention = None
        if self.attention:
            _, attention = self.attention.start_with_prefix(memory, memory_lengths, tokens, lengths)
        return scores, HotwordState(places, ctc, attention)

    def score(self, state: HotwordState, candidates: Tensor | None) -> Tensor:
        """What each label is worth, (N, V) or (N, K)."""
        support = None
        if self.ctc:
            support = self.ctc.score(state.ctc, candidates) - SUPPORTED
        elif self.attention:
            support = self.attention.score(state.attention, candidates) - SUPPORTED_BY_ATTENTION
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
        credits, begins_word, broken = self._tables(device)
        unsupported = (support < 0) & (credits[after % self.tree.size] > 0)
        begins = begins_word.expand(len(after), -1) if labels is None else begins_word[labels]
        broken = broken[places % self.tree.size].gather(1, begins)
        return broken.where(unsupported, worth), after.masked_fill(unsupported, ROOT)

    def advance(self, state: HotwordState, parents: Tensor, tokens: Tensor) -> HotwordState:
        """Reads the labels."""
        ctc, attention, support = None, None, None
        if self.ctc:
            ctc = self.ctc.advance(state.ctc, parents, tokens)
            least = torch.finfo(ctc.psi.dtype).min
            before = state.ctc.psi[parents].clamp(min=least)
            support = (ctc.psi.clamp(min=least) - before)[:, None] - SUPPORTED
        elif self.attention:
            attention = self.attention.advance(state.attention, parents, tokens)
            scores = self.attention.score(state.attention, None)[parents, tokens]
            support = scores[:, None] - SUPPORTED_BY_ATTENTION
        _, after = self._read(state.places[parents], tokens[:, None], support)
        return HotwordState(after[:, 0], ctc, attention)

    def finish(self, state: HotwordState) -> Tensor:
        """What was lent to a phrase that is not complete is taken back, (N,)."""
        return self._tables(state.places.device)[2][state.places % self.tree.size, 1]

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
