"""Whether confidences are what they say: of words with 0.8, are 8 of 10 right?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr.evaluate.error_rate import Scored

#: Bins of equal width.
BINS = 15


@dataclass(frozen=True)
class Bin:
    """The words whose confidence lies from `low` to `high`: their mean confidence, and what
    share of them is right.
    """

    low: float
    high: float
    words: int
    confidence: float
    right: float


@dataclass(frozen=True)
class Reliability:
    """How good the confidences of many words are.

    `ece` is the expected calibration error: how far confidence and share of right words are apart,
    over `BINS` bins of equal width, each counted by its words (Naeini et al. 2015, Guo et al.
    2017). `auc` is the probability that a right word has a higher confidence than a wrong one;
    None where all are right, or all are wrong. `right` is the share of right words.
    """

    words: int
    right: float
    ece: float
    auc: float | None
    bins: tuple[Bin, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "words": self.words,
            "right": self.right,
            "ece": self.ece,
            "auc": self.auc,
            "bins": [vars(one) for one in self.bins],
        }


def reliability(confidences: Sequence[float], right: Sequence[bool]) -> Reliability | None:
    """Compares confidences (each in 0..1) with what was right; None where there are no words."""
    if not len(confidences):
        return None
    sure, hits = np.array(confidences, float), np.array(right, bool)
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    bins = []
    for place in range(BINS):
        here = places == place
        if here.any():
            edges = place / BINS, (place + 1) / BINS
            means = float(sure[here].mean()), float(hits[here].mean())
            bins.append(Bin(*edges, int(here.sum()), *means))
    ece = sum(one.words * abs(one.confidence - one.right) for one in bins) / len(sure)
    return Reliability(len(sure), float(hits.mean()), ece, _auc(sure, hits), tuple(bins))


def judged_words(scored: Iterable[Scored]) -> list[tuple[float | None, Mapping[str, float], bool]]:
    """(confidence, evidence, whether it is right) of each word of the hypotheses, where known."""
    found = []
    for one in scored:
        if not one.hypothesis_words:
            continue
        right = {edit.at_hypothesis: edit.kind == "hit" for edit in one.edits if edit.hypothesis}
        found += [
            (word.confidence, word.evidence, right[place])
            for place, word in enumerate(one.hypothesis_words)
        ]
    return found


def reliability_of(scored: Iterable[Scored]) -> Reliability | None:
    """The same of all words whose confidence is known."""
    known = [(sure, right) for sure, _, right in judged_words(scored) if sure is not None]
    return reliability([sure for sure, _ in known], [right for _, right in known])


def _auc(sure: np.ndarray, hits: np.ndarray) -> float | None:
    """Mann-Whitney: pairs of a right and a wrong word in order, ties half."""
    right, wrong = sure[hits], np.sort(sure[~hits])
    if not len(right) or not len(wrong):
        return None
    below = np.searchsorted(wrong, right, "left")
    upto = np.searchsorted(wrong, right, "right")
    return float((below + upto).sum() / (2 * len(right) * len(wrong)))
