"""Estimating n-gram models: modified Kneser-Ney smoothing, interpolated (Chen and Goodman 1998).

With adjusted counts a (the count at the highest order, below it the number of different labels
that an n-gram is seen behind), for w behind h, and h' as in `asr.lm.ngram`:

    p(w | h) = (a(h w) - D(a(h w))) / a(h *) + g(h) p(w | h')
    g(h)     = sum over w of D(a(h w)) / a(h *)

so that a back-off model which holds p for all n-grams seen, and backoff g, is the same model.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

from asr.errors import ManifestError
from asr.lm.counts import NGramOrder, count
from asr.lm.ngram import NGram
from asr.lm.pruning import pruned
from asr.text import Labels


def estimate(
    texts: Sequence[np.ndarray], vocabulary: int, labels: Labels, order: int, prune: float = 0.0
) -> NGram:
    """A model of texts of labels (without the end), which never hold `labels.blank`.

    Args:
        order: the longest n-grams; they may turn out shorter where texts are.
        prune: see `NGramConfig`.

    Raises:
        ManifestError: there are no texts.
    """
    if not len(texts):
        raise ManifestError("language model: there is no text to count n-grams in")
    levels = count(texts, vocabulary, order, labels.end)
    estimates = kneser_ney(levels, labels.blank)
    kept = pruned(levels, estimates, prune)
    return tree(levels, estimates, kept, vocabulary, labels.blank)


def kneser_ney(levels: Sequence[NGramOrder], blank: int | None) -> list[np.ndarray]:
    """The probabilities (n,) float64 of all n-grams of all levels."""
    possible = _not_blank(len(levels[0].words), blank)
    lower = possible / possible.sum()
    estimates: list[np.ndarray] = []
    for place, level in enumerate(levels):
        contexts = len(levels[place - 1].words) if place else 1
        discounts = _discounts(level.adjusted)[np.minimum(level.adjusted, 3)]
        totals = np.bincount(level.parents, level.adjusted, contexts)
        freed = np.bincount(level.parents, discounts, contexts)
        weights = np.divide(freed, totals, out=np.ones(contexts), where=totals > 0)
        below = estimates[-1][level.suffixes] if place else lower
        kept = (level.adjusted - discounts) / np.maximum(totals, 1)[level.parents]
        estimates.append(kept + weights[level.parents] * below)
    return estimates


def tree(
    levels: Sequence[NGramOrder],
    estimates: Sequence[np.ndarray],
    kept: Sequence[np.ndarray],
    size: int,
    blank: int | None,
) -> NGram:
    """The model of the `kept` n-grams (masks), with backoffs that make it add up to 1."""
    possible = _not_blank(size, blank)
    numbers = possible.cumsum() * possible  # the nodes of the labels; blank has none
    words = [possible.nonzero()[0]]
    parents = [np.zeros(len(words[0]), dtype=np.int64)]
    probs = [estimates[0][possible]]
    filled = len(words[0]) + 1
    for level, estimate_of_level, mask in zip(levels[1:], estimates[1:], kept[1:], strict=True):
        parents.append(numbers[level.parents[mask]])
        words.append(level.words[mask])
        probs.append(estimate_of_level[mask])
        numbers = np.zeros(len(level.words), dtype=np.int64)
        numbers[mask] = np.arange(filled, filled + len(words[-1]))
        filled += len(words[-1])
    ngram = NGram(
        size,
        torch.from_numpy(np.concatenate(parents)),
        torch.from_numpy(np.concatenate(words)),
        torch.from_numpy(np.log(np.concatenate(probs))),
        torch.zeros(filled - 1),
    )
    _renew_backoffs(ngram)
    return ngram


def _renew_backoffs(ngram: NGram) -> None:
    """Sets the backoffs to what the n-grams that are left leave, the shorter contexts first."""
    levels = ngram.levels()
    for start, end in pairwise(levels[2:]):
        nodes = slice(start - 1, end - 1)
        parents, words = ngram.parents[nodes].long(), ngram.words[nodes].long()
        seen = ngram.log_probs[start:end].double().exp()
        unseen = ngram.log_prob(ngram._suffix[parents], words).double().exp()
        contexts = torch.unique_consecutive(parents)
        low, high = int(contexts[0]), int(contexts[-1]) + 1
        left = torch.ones(2, high - low, dtype=torch.float64)
        left[0].index_add_(0, parents - low, seen, alpha=-1)
        left[1].index_add_(0, parents - low, unseen, alpha=-1)
        # Where (nearly) all labels are known, what is left is rounding, and has no effect.
        sound = (left > 1e-6).all(0)
        ratio = torch.where(sound, left[0] / left[1].clamp(min=1e-6), 1.0)
        ngram.backoffs[contexts] = ratio.log().float()[contexts - low]


def _not_blank(size: int, blank: int | None) -> np.ndarray:
    """A mask (size,) of the labels that a text may hold."""
    possible = np.ones(size, dtype=bool)
    if blank is not None:
        possible[blank] = False
    return possible


def _discounts(adjusted: np.ndarray) -> np.ndarray:
    """What is taken from n-grams seen 0, 1, 2, 3 or more times."""
    one, two, three, four = (float((adjusted == times).sum()) for times in (1, 2, 3, 4))
    usual = np.array([0.0, 0.5, 1.0, 1.5])
    if not (one and two and three):
        return usual  # a text too short to tell
    common = one / (one + 2 * two)
    discounts = np.array([1 - 2 * common * two / one, 2 - 3 * common * three / two])
    discounts = np.array([0.0, *discounts, 3 - 4 * common * four / three])
    return np.where((discounts >= 0) & (discounts <= np.arange(4)), discounts, usual)
