"""Hotwords: phrases that score more than the model gives them, where CTC supports them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asr.model.states import per_row
from asr.search.ctc import CachedCTCScorer
from asr.search.phrases import ROOT, PhraseTree

#: The least log probability, given the prefix, that CTC must give a label of a phrase.
SUPPORTED = -8.0


@dataclass(frozen=True)
class HotwordState:
    """Where each row is in the phrases (N,), and its state of CTC, None without CTC."""

    nodes: Tensor
    ctc: Any


class HotwordScorer:
    """Adds 1 for each letter of a phrase, times the phrase's weight, where a phrase is complete.

    The letters are counted as they come, so that a hypothesis lives to say the whole phrase, and
    taken back from one that does not (see `PhraseTree`). A label that CTC does not support, given
    the labels before it, is no part of any phrase: phrases are found in the sound, not put into it.

    It proposes no labels (`partial`): those that neither attention nor a language model considers
    are not found either.
    """

    partial = True
    max_labels: int | None = None

    def __init__(self, tree: PhraseTree, ctc: CachedCTCScorer | None) -> None:
        self.tree = tree
        self.ctc = ctc
        self.max_gain = 2 * tree.most
        self._on: dict[torch.device, tuple[Tensor, Tensor, Tensor]] = {}

    def start(self, memory: Tensor, memory_lengths: Tensor) -> HotwordState:
        """A word may begin."""
        ctc = self.ctc.start(memory, memory_lengths) if self.ctc else None
        return HotwordState(torch.full_like(memory_lengths, self.tree.start), ctc)

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, HotwordState]:
        """See `PrefixScorer`: a walk through the labels."""
        lengths, counts = counts, per_row(counts, tokens)
        nodes, ctc, ctc_scores = torch.full_like(counts, self.tree.start), None, None
        scores = torch.zeros(len(tokens), dtype=torch.float64, device=tokens.device)
        if self.ctc:
            psi, ctc = self.ctc.trace(memory, memory_lengths, tokens, lengths)
            ctc_scores = psi.clamp(min=torch.finfo(psi.dtype).min).diff(dim=1)
        for place, labels in enumerate(tokens.unbind(1)):
            scored = None if ctc_scores is None else ctc_scores[:, place, None]
            worth, after = self._read(nodes, labels[:, None], scored)
            real = place < counts
            scores = scores + worth[:, 0].where(real, torch.zeros_like(scores))
            nodes = after[:, 0].where(real, nodes)
        return scores, HotwordState(nodes, ctc)

    def score(self, state: HotwordState, candidates: Tensor | None) -> Tensor:
        """What each label is worth, (N, V) or (N, K)."""
        ctc_scores = self.ctc.score(state.ctc, candidates) if self.ctc else None
        if candidates is None:
            labels = torch.arange(len(self.tree.pieces), device=state.nodes.device)
            candidates = labels.expand(len(state.nodes), -1)
        return self._read(state.nodes, candidates, ctc_scores)[0]

    def _read(
        self, nodes: Tensor, labels: Tensor, ctc_scores: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What labels (N, K) are worth at the nodes (N,), and the nodes after them, both (N, K).

        Args:
            ctc_scores: (N, K) their log probabilities by CTC; None without CTC.
        """
        device = nodes.device
        rows = self.tree.rows(nodes.tolist())
        worth, after = (part.to(device).gather(1, labels) for part in rows)
        if ctc_scores is None:
            return worth, after
        credits, begins_word, broken = self._tables(device)
        unsupported = (ctc_scores < SUPPORTED) & (credits[after] > 0)
        broken = broken[nodes].gather(1, begins_word[labels])
        return broken.where(unsupported, worth), after.masked_fill(unsupported, ROOT)

    def advance(self, state: HotwordState, parents: Tensor, tokens: Tensor) -> HotwordState:
        """Reads the labels."""
        ctc, ctc_scores = None, None
        if self.ctc:
            ctc = self.ctc.advance(state.ctc, parents, tokens)
            least = torch.finfo(ctc.psi.dtype).min
            before = state.ctc.psi[parents].clamp(min=least)
            ctc_scores = (ctc.psi.clamp(min=least) - before)[:, None]
        _, after = self._read(state.nodes[parents], tokens[:, None], ctc_scores)
        return HotwordState(after[:, 0], ctc)

    def finish(self, state: HotwordState) -> Tensor:
        """What was lent to a phrase that is not complete is taken back, (N,)."""
        return self._tables(state.nodes.device)[2][state.nodes, 1]

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
