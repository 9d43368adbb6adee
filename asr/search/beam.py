"""The search: label-synchronous beam search over a list of weighted scorers, batched.

A step adds one label to every open hypothesis:

1. Full scorers score all labels. Where there are partial scorers (CTC) too, the best
   `pre_beam x beam` labels of each hypothesis go on to them, otherwise the best `beam`.
2. The best `beam` extensions of each utterance stay open; the states follow their parents.
3. Every open hypothesis could also end. An ending counts if it is among the best `beam` of the
   extensions and endings of its utterance together, so that with beam 1 a hypothesis ends where
   ending is likelier than every label: greedy search.
4. An utterance is done when its `nbest`-th ending is no worse than anything that the open
   hypotheses can become: as no label adds more than the scorers' `max_gain` (0 for log
   probabilities), nothing is lost by stopping there. It leaves the batch. Where scores can grow
   that proof rarely comes, and hypotheses that are `give_up` behind are not waited for.

No hypothesis has more labels than its utterance has memory frames, than the configuration allows,
or than a scorer can take. None holds a forbidden label (`Labels.forbidden`).

Equal scores: an ending before an extension, what ended first before what ended later, the better
parent before the worse, the lower label before the higher.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from asr.errors import ModelError
from asr.search.config import SearchConfig
from asr.search.forced_prefix import prefix_rows, start_with_prefix
from asr.search.protocol import AllowedLabels, NBest, SearchResult, WeightedScorer
from asr.text.tokenizer import Labels
from asr.types import Hypothesis


@dataclass(frozen=True)
class _Open:
    """The open hypotheses: R rows for each utterance that is still searched."""

    utterances: list[int]
    prefix: Tensor  # (N,) which of the utterance's prefixes each goes on from
    tokens: Tensor  # (N, U) labels so far, behind the prefix
    scores: Tensor  # (S, N) float64, of each scorer, not weighted
    states: list[Any]  # of each scorer

    @property
    def labels(self) -> int:
        """Number of labels of every hypothesis, its prefix left out."""
        return self.tokens.shape[1]


@dataclass(frozen=True)
class _Extensions:
    """The best extensions of each of B utterances by one label, best first."""

    parents: Tensor  # (B, W) rows of the hypotheses that are extended
    tokens: Tensor  # (B, W)
    scores: Tensor  # (S, B, W) float64, with the new label
    totals: Tensor  # (B, W) weighted sums; -inf: not possible


class _Beams(Sequence[list[tuple[tuple[int, ...], float]]]):
    """`SearchResult.beams`, read when asked for: most searches are not continued, and need not
    wait for a device.
    """

    def __init__(
        self, trail: list[_Open], utterance: int, prefixes: list[tuple[int, ...]], weights: Tensor
    ) -> None:
        self.steps = [rows for rows in trail if utterance in rows.utterances]
        self.utterance, self.prefixes, self.weights = utterance, prefixes, weights

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[n] for n in range(*place.indices(len(self)))]
        rows = self.steps[place]
        width = len(rows.prefix) // len(rows.utterances)
        first = rows.utterances.index(self.utterance) * width
        own = slice(first, first + width)
        totals = (rows.scores[:, own] * self.weights[:, None]).sum(0).tolist()
        labels = zip(rows.prefix[own].tolist(), rows.tokens[own].tolist(), totals, strict=True)
        beam = [((*self.prefixes[n], *tokens), total) for n, tokens, total in labels]
        possible = [(tokens, total) for tokens, total in beam if total > -math.inf]
        return possible or [(prefix, -math.inf) for prefix in self.prefixes]


class BeamSearch:
    """One search: what does not change from step to step, and the steps."""

    def __init__(
        self,
        scorers: list[WeightedScorer],
        config: SearchConfig,
        memory_lengths: Tensor,
        labels: Labels,
        prefixes: list[list[tuple[int, ...]]],
    ) -> None:
        self.config = config
        self.labels = labels
        self.prefixes = prefixes
        self.allowed: AllowedLabels | None = None  # known when scorers tell their vocabulary
        self.memory_lengths = memory_lengths
        self.names = [weighted.name for weighted in scorers]
        self.scorers = [weighted.scorer for weighted in scorers]
        weights = [weighted.weight for weighted in scorers]
        self.weights = torch.tensor(weights, dtype=torch.float64, device=memory_lengths.device)
        self.max_gain = sum(w.weight * w.scorer.max_gain for w in scorers)
        partial = [place for place, scorer in enumerate(self.scorers) if scorer.partial]
        full = [place for place, scorer in enumerate(self.scorers) if not scorer.partial]
        # Without a full scorer nobody proposes candidates: the partial ones score every label.
        self.full, self.partial = (full, partial) if full else (partial, [])
        limits = [config.max_labels, *(scorer.max_labels for scorer in self.scorers)]
        limit = min((most for most in limits if most is not None), default=math.inf)
        self.limits = [
            max(0, min(limit, frames) - len(some[0]))  # labels behind the prefix
            for frames, some in zip(memory_lengths.tolist(), prefixes, strict=True)
        ]
        self.best = [NBest(config.nbest) for _ in self.limits]

    def run(self, memory: Tensor) -> list[SearchResult]:
        """Searches utterances of at least one frame each."""
        rows = self._start(memory)
        trail = list[_Open]()
        while rows.utterances:
            trail.append(replace(rows, states=[]))
            rows = self._step(rows)
        impossible = dict.fromkeys(self.names, -math.inf)
        return [
            SearchResult(
                best.hypotheses or [Hypothesis(some[0], -math.inf, impossible)],
                _Beams(trail, utterance, some, self.weights),
                len(some[0]),
            )
            for utterance, (best, some) in enumerate(zip(self.best, self.prefixes, strict=True))
        ]

    def _start(self, memory: Tensor) -> _Open:
        """The prefixes of each utterance."""
        prefix, tokens, counts = prefix_rows(self.prefixes, memory.device)
        scores = self.weights.new_zeros(len(self.scorers), len(tokens))
        if not tokens.shape[1]:
            states = [scorer.start(memory, self.memory_lengths) for scorer in self.scorers]
        else:
            states = []
            for place, scorer in enumerate(self.scorers):
                scores[place], state = start_with_prefix(
                    scorer, memory, self.memory_lengths, tokens, counts
                )
                states.append(state)
        return _Open(
            utterances=list(range(len(memory))),
            prefix=prefix.clamp(min=0),
            tokens=tokens[:, :0],
            scores=scores.masked_fill(prefix < 0, -math.inf),
            states=states,
        )

    def _step(self, rows: _Open) -> _Open:
        """Collects endings, drops the utterances that are done and extends the others."""
        extensions = self._extend(rows)
        best_open = self._end(rows, extensions)
        left = [
            place
            for place, utterance in enumerate(rows.utterances)
            if self._can_improve(utterance, best_open[place], rows.labels)
        ]
        return self._advance(rows, extensions, left)

    def _can_improve(self, utterance: int, best_open: float, labels: int) -> bool:
        """Whether an extension whose parent has `labels` labels may yet enter the n-best list."""
        if best_open == -math.inf:
            return False
        # What the extension may still take: labels up to the limit, and the ending.
        left = self.limits[utterance] - labels
        gain = min(self.max_gain * left, self.config.give_up) if self.max_gain else 0.0
        bound = best_open + gain
        return bound > self.best[utterance].bar

    def _extend(self, rows: _Open) -> _Extensions:
        """The extensions that stay open. Rules that prune hypotheses belong here, on `totals`."""
        labels, scores = self._candidates(rows)
        count, width = len(rows.utterances), labels.shape[1]
        totals = self._weighted(scores).view(count, -1)
        at_limit = [self.limits[utterance] <= rows.labels for utterance in rows.utterances]
        if any(at_limit):
            totals[torch.tensor(at_limit, device=totals.device)] = -math.inf
        totals, order = totals.sort(dim=1, descending=True, stable=True)
        beam = self.config.beam
        first = torch.arange(0, labels.numel(), labels.numel() // count, device=order.device)
        chosen = order[:, :beam] + first[:, None]  # places in the flat (N, K)
        return _Extensions(
            parents=chosen // width,
            tokens=labels.flatten()[chosen],
            scores=scores.flatten(1)[:, chosen],
            totals=totals[:, :beam],
        )

    def _candidates(self, rows: _Open) -> tuple[Tensor, Tensor]:
        """Labels (N, K) worth a look, and the scores (S, N, K) of the hypotheses with them."""
        scores_of_all = {
            place: self.scorers[place].score(rows.states[place], None) for place in self.full
        }
        if self.allowed is None:
            self.allowed = self._allowed(scores_of_all)
        proposals = {place: self.allowed.of(full) for place, full in scores_of_all.items()}
        beams = self.config.pre_beam if self.partial else 1.0
        labels = _best(self._together(proposals), math.ceil(beams * self.config.beam))
        scores = rows.scores.new_empty(len(self.scorers), *labels.shape)
        for place, proposal in proposals.items():
            scores[place] = proposal.gather(1, labels)
        labels = labels + self.allowed.first
        for place in self.partial:
            scores[place] = self.scorers[place].score(rows.states[place], labels)
        return labels, scores.add_(rows.scores[:, :, None])

    def _allowed(self, scores: dict[int, Tensor]) -> AllowedLabels:
        """The labels that may be added, of those that scorers gave `scores` (N, V)."""
        sizes = {self.names[place]: full.shape[1] for place, full in scores.items()}
        vocabulary, *others = set(sizes.values())
        if others:
            raise ModelError(f"scorers must know the same labels, but their numbers are {sizes}")
        return AllowedLabels.among(vocabulary, self.labels, self.weights.device)

    def _together(self, proposals: dict[int, Tensor]) -> Tensor:
        """The weighted sum (N, W) of the full scorers' `proposals` (N, W) for allowed labels."""
        first, *others = proposals.items()
        if not others:
            return first[1]  # one weight alone changes no order
        total = first[1] * self.weights[first[0]]
        for place, proposal in others:
            total = total + proposal * self.weights[place]
        return total

    def _weighted(self, scores: Tensor) -> Tensor:
        """The weighted sum (...) of the scores (S, ...) of all scorers."""
        return (scores * self.weights.view(-1, *[1] * (scores.dim() - 1))).sum(0)

    def _end(self, rows: _Open, extensions: _Extensions) -> list[float]:
        """Enters the endings that count; returns the best extension's total of each utterance."""
        scores = rows.scores.clone()
        for place, scorer in enumerate(self.scorers):
            scores[place] += scorer.finish(rows.states[place])
        totals = self._weighted(scores).view(len(rows.utterances), -1)
        rivals = torch.cat([extensions.totals, totals], dim=1)
        if rivals.shape[1] > self.config.beam:
            least = rivals.topk(self.config.beam, dim=1).values[:, -1:]
            totals = totals.masked_fill(totals < least, -math.inf)
        # The only wait for the device in a step where nothing ends.
        table = torch.cat([extensions.totals[:, :1], totals], dim=1).tolist()
        if any(math.isnan(total) for line in table for total in line):
            self._name_nan(torch.cat([extensions.scores.flatten(1), scores], dim=1))
        counted = [
            (place * totals.shape[1] + rank, utterance, total)
            for place, utterance in enumerate(rows.utterances)
            for rank, total in enumerate(table[place][1:])
            if total > self.best[utterance].bar
        ]
        if counted:
            chosen = [row for row, _, _ in counted]
            tokens, parts = rows.tokens[chosen].tolist(), scores[:, chosen].T.tolist()
            prefixes = rows.prefix[chosen].tolist()
            for (_, utterance, total), prefix, labels, part in zip(
                counted, prefixes, tokens, parts, strict=True
            ):
                named = dict(zip(self.names, part, strict=True))
                labels = (*self.prefixes[utterance][prefix], *labels)
                self.best[utterance].add(Hypothesis(labels, total, named))
        return [line[0] for line in table]

    def _name_nan(self, scores: Tensor) -> None:
        """Raises: some of the scores (S, ...) are NaN."""
        bad = [name for name, row in zip(self.names, scores, strict=True) if row.isnan().any()]
        raise ModelError(
            f"scores of {' and '.join(bad)} are NaN: the model's weights or the memory are damaged"
        )

    def _advance(self, rows: _Open, extensions: _Extensions, left: list[int]) -> _Open:
        """The extensions of the utterances at the places `left` become the open hypotheses."""
        parents, tokens, scores = extensions.parents, extensions.tokens, extensions.scores
        if len(left) < len(rows.utterances):
            parents, tokens, scores = parents[left], tokens[left], scores[:, left]
        parents, tokens = parents.flatten(), tokens.flatten()
        states = [
            scorer.advance(state, parents, tokens)
            for scorer, state in zip(self.scorers, rows.states, strict=True)
            if left
        ]
        return _Open(
            utterances=[rows.utterances[place] for place in left],
            prefix=rows.prefix[parents],
            tokens=torch.cat([rows.tokens[parents], tokens[:, None]], dim=1),
            scores=scores.flatten(1),
            states=states,
        )


def _best(scores: Tensor, count: int) -> Tensor:
    """The places (N, K) of the `count` greatest of each row of (N, V), in ascending order.

    Of equal values the first are taken, which `topk` alone does not promise.
    """
    if count >= scores.shape[1]:
        return torch.arange(scores.shape[1], device=scores.device).expand(len(scores), -1)
    if scores.is_cuda:  # a stable sort costs less there than waiting to hear of ties
        return scores.sort(dim=1, descending=True, stable=True).indices[:, :count].sort(1).values
    values, places = scores.topk(count, dim=1)
    if bool(((scores >= values[:, -1:]).sum(1) > count).any()):
        places = scores.sort(dim=1, descending=True, stable=True).indices[:, :count]
    return places.sort(dim=1).values
