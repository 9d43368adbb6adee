"""Leaving out the n-grams that a model hardly misses (Stolcke 1998, "Entropy-based pruning").

Without h w, p(w | h) becomes a(h) p(w | h'), and a(h), what is left for all labels that are not
known behind h, grows. The loss is the relative entropy between the two, times the probability of
h. That is taken from the counts: the lower orders of a Kneser-Ney model are no estimate of it
(Chelba et al. 2010).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asr.lm.counts import NGramOrder


def pruned(
    levels: Sequence[NGramOrder], estimates: Sequence[np.ndarray], threshold: float
) -> list[np.ndarray]:
    """A mask (n,) for each level of the n-grams to keep: those whose loss reaches `threshold`.

    The single labels stay, and every n-gram that a longer one begins with.
    """
    labels = levels[0].counts.sum()
    kept = [np.ones(len(level.words), dtype=bool) for level in levels]
    if threshold <= 0:
        return kept
    needed = np.zeros(len(levels[-1].words), dtype=bool)
    for place in range(len(levels) - 1, 0, -1):
        level, below = levels[place], levels[place - 1]
        lower = estimates[place - 1][level.suffixes]
        loss = _loss(level, estimates[place], lower, below.counts / labels)
        kept[place] = needed | (loss >= threshold)
        needed = np.zeros(len(below.words), dtype=bool)
        needed[level.parents[kept[place]]] = True
    return kept


def _loss(
    level: NGramOrder, probs: np.ndarray, lower: np.ndarray, contexts: np.ndarray
) -> np.ndarray:
    """The loss (n,) in nats for each label of text.

    Args:
        probs: p(w | h). lower: p(w | h'). contexts: how probable each h is.
    """
    parents = level.parents
    left = np.maximum(1 - np.bincount(parents, probs, len(contexts)), 1e-12)[parents]
    left_lower = np.maximum(1 - np.bincount(parents, lower, len(contexts)), 1e-12)[parents]
    before = np.log(left / left_lower)
    after = np.log((left + probs) / (left_lower + lower))
    change = probs * (np.log(lower) + after - np.log(probs)) + left * (after - before)
    return -contexts[parents] * change
