"""CTC prefix scores, without a loop over time.

Let p(t, c) be the posterior of label c in frame t = 1..T of an utterance. For a prefix g

    n_g(t)   is the probability that frames 1..t say g and frame t is not blank,
    b_g(t)   the same where frame t is blank,
    phi(t)   what may come before one more label c: n_g(t) + b_g(t), or b_g(t) alone where c
             repeats the last label of g (a blank must stand between),
    psi(g)   the probability that the utterance begins with g.

Then (Watanabe et al. 2017, "Hybrid CTC/attention architecture for end-to-end speech recognition",
algorithm 2, after Graves 2008)

    psi(g c) = sum over t of phi(t - 1) p(t, c)
    n_gc(t)  = (n_gc(t - 1) + phi(t - 1)) p(t, c)
    b_gc(t)  = (b_gc(t - 1) + n_gc(t - 1)) p(t, blank)

The first line is a product of two vectors, so the scores of all candidates of all rows are one
product and one sum over (N, K, T). The others are linear recurrences of the first order: with
A(t) = sum of log p(s, c) over s <= t, log n_gc(t) is A(t) + the log of the cumulated sum of
exp(log phi(s - 1) - A(s - 1)) over s <= t. Only the rows that survive need them.

Precision. Everything is float64, and log posteriors are floored at FLOOR = -100. Logs of
probabilities that are zero by structure (more labels than frames) are -inf, and since no log
posterior is, no inf - inf arises. The product is taken in linear space after phi is divided by its
maximum; a factor phi that underflows there (below e^-700 of the maximum) stands against a sum of
at least e^-100, so that nothing which float64 could hold is lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from asr.model.states import per_row
from asr.search.shared import LastResults

FLOOR = -100.0
"""Least log posterior: one frame that denies a label costs this much, and not infinitely much."""

_TINIEST = torch.finfo(torch.float64).min
"""Stands for the maximum of nothing but -inf, from which -inf can be subtracted."""


@dataclass(frozen=True)
class Posteriors:
    """What all hypotheses share: the log posteriors of B utterances, a row of time a label."""

    log_probs: Tensor  # (B x V, T), floored; 0 beyond the utterance
    blank_label: int
    blank: Tensor  # (B, T + 1) float64, sums of the blank's log posteriors before each frame
    lengths: Tensor  # (B,)
    beyond: Tensor  # (B, T + 1) bool, positions after which no frame comes

    @classmethod
    def of(cls, log_probs: Tensor, lengths: Tensor, blank: int) -> Posteriors:
        """From log posteriors (B, T, V) and lengths (B,); padding may hold anything."""
        frames = log_probs.shape[1]
        beyond = torch.arange(frames + 1, device=lengths.device) >= lengths[:, None]
        by_label = log_probs.clamp(min=FLOOR).transpose(1, 2)
        by_label = by_label.masked_fill(beyond[:, None, :frames], 0.0).contiguous()
        blanks = _before(by_label[:, blank].double())
        return cls(by_label.flatten(0, 1), blank, blanks, lengths, beyond)

    @property
    def vocabulary(self) -> int:
        """Number of labels V, blank included."""
        return len(self.log_probs) // len(self.lengths)

    def of_labels(self, utterance: Tensor, labels: Tensor) -> Tensor:
        """Log posteriors (..., T) float64 of `labels` (...) in the utterances (...)."""
        rows = (utterance * self.vocabulary + labels).flatten()
        return self.log_probs.index_select(0, rows).double().unflatten(0, labels.shape)

    @cached_property
    def spoken(self) -> Tensor:
        """Logs (B, T) float64 of the probability that a frame is not blank; -inf beyond the end."""
        blank = self.log_probs.unflatten(0, (-1, self.vocabulary))[:, self.blank_label]
        return torch.log1p(-blank.double().exp().clamp(max=1.0))

    @cached_property
    def probs(self) -> Tensor:
        """Posteriors (B, T, V) float64, for scoring all labels at once."""
        by_label = self.log_probs.double().exp().unflatten(0, (-1, self.vocabulary))
        return by_label.transpose(1, 2)


@dataclass(frozen=True)
class PrefixState:
    """The prefixes of N rows: logs of what the module's docstring defines."""

    posteriors: Posteriors
    utterance: Tensor  # (N,)
    last: Tensor  # (N,) the last label, blank for the empty prefix
    phi: Tensor  # (N, T + 1) n + b after t = 0..T frames; -inf where no frame comes after
    blank_phi: Tensor  # (N, T + 1) b alone
    psi: Tensor  # (N,)
    complete: Tensor  # (N,) log probability that the utterance is the prefix and nothing more

    def each(self, rows: int) -> PrefixState:
        """`rows` copies of each row."""
        names = [field.name for field in fields(self)[1:]]
        return replace(self, **{n: getattr(self, n).repeat_interleave(rows, 0) for n in names})

    def where(self, chosen: Tensor, other: PrefixState) -> PrefixState:
        """The rows of this state where `chosen` (N,) is True, of `other` elsewhere."""
        return PrefixState(
            self.posteriors,
            self.utterance,
            self.last.where(chosen, other.last),
            self.phi.where(chosen[:, None], other.phi),
            self.blank_phi.where(chosen[:, None], other.blank_phi),
            self.psi.where(chosen, other.psi),
            self.complete.where(chosen, other.complete),
        )


class CTCPrefixScorer:
    """Scores a label by how much it lowers the CTC probability of the prefix.

    The increments of a hypothesis and of its ending add up to its log probability under CTC.

    Args:
        log_probs: maps memory (B, M, D) to log posteriors (B, M, V), as a CTC head does.
        blank: the id of the blank label.
    """

    partial = True
    max_gain = 0.0
    max_labels: int | None = None

    def __init__(self, log_probs: Callable[[Tensor], Tensor], blank: int) -> None:
        self.log_probs = log_probs
        self.blank = blank

    def start(self, memory: Tensor, memory_lengths: Tensor) -> PrefixState:
        """The empty prefix: certain, and said by frames that are all blank."""
        posteriors = Posteriors.of(self.log_probs(memory), memory_lengths, self.blank)
        utterance = torch.arange(len(memory), device=memory.device)
        nothing = posteriors.blank.masked_fill(posteriors.beyond, -math.inf)
        complete = posteriors.blank.gather(1, memory_lengths[:, None])[:, 0]
        last = torch.full_like(utterance, self.blank)
        psi = torch.zeros_like(complete)
        return PrefixState(posteriors, utterance, last, nothing, nothing, psi, complete)

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, PrefixState]:
        """See `PrefixScorer`: the recursion for each label, but none of the candidates' scores."""
        _, state = self.trace(memory, memory_lengths, tokens, counts)
        return state.psi, state

    def trace(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, PrefixState]:
        """Starts behind given labels; arguments as of `PrefixScorer`.

        Returns:
            psi (N, U + 1), the log probabilities of no label, the first, the first two ...; behind
            the last label of a row it stays the same; and the state.
        """
        state = self.start(memory, memory_lengths).each(len(tokens) // len(memory))
        counts, itself = per_row(counts, tokens), torch.arange(len(tokens), device=memory.device)
        psi = [state.psi]
        for place, labels in enumerate(tokens.unbind(1)):
            state = self.advance(state, itself, labels).where(place < counts, state)
            psi.append(state.psi)
        return torch.stack(psi, dim=1), state

    def score(self, state: PrefixState, candidates: Tensor | None) -> Tensor:
        """log psi(g c) - log psi(g) of the `candidates` (N, K), or of all labels (N, V)."""
        posteriors, utterance = state.posteriors, state.utterance
        weights, top = _linear(state.phi)
        if candidates is None:
            labels = torch.arange(posteriors.vocabulary, device=weights.device)[None]
            psi = _of_all_labels(weights, posteriors, utterance)
        else:
            labels = candidates
            probs = posteriors.of_labels(utterance[:, None].expand_as(labels), labels).exp_()
            psi = probs.mul_(weights[:, None]).sum(2)
        increments = psi.log_() + (top - _finite(state.psi)[:, None])
        return increments.where(labels != state.last[:, None], self._repeat(state)[:, None])

    def _repeat(self, state: PrefixState) -> Tensor:
        """Increment (N,) of the last label, once more."""
        weights, top = _linear(state.blank_phi)
        probs = state.posteriors.of_labels(state.utterance, state.last).exp_()
        psi = probs.mul_(weights).sum(1)
        return psi.log_() + (top[:, 0] - _finite(state.psi))

    def advance(self, state: PrefixState, parents: Tensor, tokens: Tensor) -> PrefixState:
        """The prefixes `parents` (N',), each longer by its label of `tokens` (N',)."""
        posteriors, utterance = state.posteriors, state.utterance[parents]
        repeats = (tokens == state.last[parents])[:, None]
        before = torch.where(repeats, state.blank_phi[parents], state.phi[parents])
        log_probs = posteriors.of_labels(utterance, tokens)
        psi = torch.logsumexp(before[:, :-1] + log_probs, dim=1)
        label = _accumulate(before, _before(log_probs))
        blank = _accumulate(label, posteriors.blank[utterance])
        phi = torch.logaddexp(label, blank)
        complete = phi.gather(1, posteriors.lengths[utterance, None])[:, 0]
        beyond = posteriors.beyond[utterance]
        phi, blank = phi.masked_fill_(beyond, -math.inf), blank.masked_fill_(beyond, -math.inf)
        return PrefixState(posteriors, utterance, tokens, phi, blank, psi, complete)

    def finish(self, state: PrefixState) -> Tensor:
        """Log probability (N,) that no label comes after the prefix."""
        return state.complete - _finite(state.psi)


def _finite(log: Tensor) -> Tensor:
    """`log` as it may be subtracted: a prefix of probability 0 keeps increments of -inf."""
    return log.clamp(min=_TINIEST)


def _linear(log_phi: Tensor) -> tuple[Tensor, Tensor]:
    """exp(log_phi - top) before each frame (N, T), and top (N, 1), the maximum of each row."""
    log_phi = log_phi[:, :-1]
    top = _finite(log_phi.amax(1, keepdim=True))
    return (log_phi - top).exp_(), top


def _before(log_probs: Tensor) -> Tensor:
    """Sums (..., T + 1) of `log_probs` (..., T) before each frame, and of all."""
    return torch.nn.functional.pad(log_probs.cumsum(-1), (1, 0))


def _accumulate(log_source: Tensor, log_stay: Tensor) -> Tensor:
    """Solves x(t) = (x(t - 1) + source(t - 1)) p(t), x(0) = 0, in logs; all (N, T + 1).

    `log_stay` (t) is the sum of log p over the frames up to t.
    """
    sums = torch.logcumsumexp((log_source - log_stay)[:, :-1], dim=1)
    return torch.nn.functional.pad(sums + log_stay[:, 1:], (1, 0), value=-math.inf)


def _of_all_labels(weights: Tensor, posteriors: Posteriors, utterance: Tensor) -> Tensor:
    """sum over t of weights (N, T) times the posteriors of the row's utterance: (N, V)."""
    present = torch.unique_consecutive(utterance)
    whole_batch = len(present) == len(posteriors.lengths)
    probs = posteriors.probs if whole_batch else posteriors.probs[present]
    return torch.bmm(weights.unflatten(0, (len(present), -1)), probs).flatten(0, 1)


class CachedCTCScorer(CTCPrefixScorer):
    """A `CTCPrefixScorer` that others use too; see `LastResults`. Make one for each search.

    Those that use it are CTC's own score, the CTC constraint and hotwords.
    """

    def __init__(self, log_probs: Callable[[Tensor], Tensor], blank: int) -> None:
        super().__init__(log_probs, blank)
        self._last = LastResults()

    def start(self, memory: Tensor, memory_lengths: Tensor) -> PrefixState:
        """See `CTCPrefixScorer.start`."""
        return self._last.of("start", super().start, memory, memory_lengths)

    def trace(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, PrefixState]:
        """See `CTCPrefixScorer.trace`."""
        return self._last.of("trace", super().trace, memory, memory_lengths, tokens, counts)

    def score(self, state: PrefixState, candidates: Tensor | None) -> Tensor:
        """See `CTCPrefixScorer.score`."""
        return self._last.of("score", super().score, state, candidates)

    def advance(self, state: PrefixState, parents: Tensor, tokens: Tensor) -> PrefixState:
        """See `CTCPrefixScorer.advance`."""
        return self._last.of("advance", super().advance, state, parents, tokens)
