"""Two systems on the same utterances: which is better, how sure that is, and what changed.

The test is MAPSSWE, the matched-pairs sentence-segment word error test (Gillick and Cox 1989,
"Some statistical issues in the comparison of speech recognition algorithms"). Utterances are cut
into segments between which both systems are right, `BUFFER` words or more in succession, so that
errors in one hardly depend on those in another. Over the segments with errors, the mean difference
of the counts of errors, divided by its standard error, is about normal if the systems are equally
good.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from asr.errors import ManifestError, shortened
from asr.evaluate.error_rate import Counts, Scored, total
from asr.evaluate.interval import Interval, difference_interval, rate_interval
from asr.evaluate.results import Results, alike
from asr.evaluate.scoring import difference_of

#: So many words that both systems get right divide segments.
BUFFER = 2
#: Below this probability the difference is called significant.
LEVEL = 0.05
#: Fewer segments than this and the statistic is not near enough to normal.
FEWEST_SEGMENTS = 50


@dataclass(frozen=True)
class Mapsswe:
    """The test. `mean` is the difference (second - first) in errors a segment, `z` the statistic,
    `p` the probability (two-sided) of one so large between systems that are equally good.
    """

    segments: int
    mean: float
    z: float
    p: float

    @property
    def significant(self) -> bool:
        """Whether chance is an unlikely reason."""
        return self.p < LEVEL


@dataclass(frozen=True)
class Pair:
    """One utterance by both systems."""

    first: Scored
    second: Scored

    @property
    def change(self) -> int:
        """How many errors more the second has."""
        return self.second.words.errors - self.first.words.errors


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same utterances, in the order of the first."""

    pairs: tuple[Pair, ...]
    test: Mapsswe
    difference: Interval | None
    """Of the error rate, second - first, by bootstrap over speakers."""
    language: str | None = None
    """Of the texts, where it is known."""

    @property
    def first(self) -> Counts:
        """All edits of the first system."""
        return total(one.first.words for one in self.pairs)

    @property
    def second(self) -> Counts:
        """All edits of the second system."""
        return total(one.second.words for one in self.pairs)

    @property
    def better(self) -> list[Pair]:
        """The utterances in which the second has fewer errors, the most first."""
        return sorted((one for one in self.pairs if one.change < 0), key=lambda one: one.change)

    @property
    def worse(self) -> list[Pair]:
        """Those in which it has more, the most first."""
        return sorted((one for one in self.pairs if one.change > 0), key=lambda one: -one.change)

    @property
    def rephrased(self) -> int:
        """Utterances with other text and as many errors."""
        same = (one for one in self.pairs if one.change == 0)
        return sum(one.first.hypothesis != one.second.hypothesis for one in same)

    def intervals(self) -> tuple[Interval | None, Interval | None]:
        """Those of each system's own error rate."""
        speakers = [one.first.speaker for one in self.pairs]
        sides = [[one.first.words for one in self.pairs], [one.second.words for one in self.pairs]]
        return rate_interval(sides[0], speakers), rate_interval(sides[1], speakers)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; rates are fractions, differences are second - first."""
        first, second = self.first, self.second
        rates = first.rate, second.rate
        known = None if rates[0] is None or rates[1] is None else rates[1] - rates[0]
        spread = self.difference
        return {
            "language": self.language,
            "utterances": len(self.pairs),
            "words": first.length,
            "wer": list(rates),
            "wer_intervals": [[one.low, one.high] if one else None for one in self.intervals()],
            "errors": [first.errors, second.errors],
            "difference": known,
            "difference_interval": [spread.low, spread.high] if spread else None,
            "interval_over": spread.units if spread else None,
            "test": {"name": "MAPSSWE", **vars(self.test), "significant": self.test.significant},
            "better": [_changed(one) for one in self.better],
            "worse": [_changed(one) for one in self.worse],
            "rephrased": self.rephrased,
        }


def compare(first: Results, second: Results) -> Comparison:
    """Compares two evaluations of the same utterances, in any order.

    Results that do not name their normaliser are written by the other's.

    Raises:
        ManifestError: they are of no utterances, not of the same or not of one language, were
            scored differently, or the references differ.
        DependencyError: as `alike`.
    """
    if not first.scored and not second.scored:
        raise ManifestError("there is no utterance to compare by; measure both on some recordings")
    first, second = alike(first, second)
    others = {one.id: one for one in second.scored}
    lone = [one.id for one in first.scored if one.id not in others]
    lone += sorted(set(others) - {one.id for one in first.scored})
    if lone:
        raise ManifestError(
            f"{len(lone)} utterances are in one of the two only, as '{lone[0]}': evaluate both "
            "systems on the same manifest"
        )
    pairs = tuple(Pair(one, others[one.id]) for one in first.scored)
    for pair in pairs:
        if pair.first.reference != pair.second.reference:
            differ = difference_of(first.normalizer, second.normalizer)
            said, other = (shortened(one.reference, 60) for one in (pair.first, pair.second))
            raise ManifestError(
                f"'{pair.first.id}' has different references: '{said}' and '{other}'; evaluate "
                "both systems on the same manifest, with normalisers that are alike"
                f"{differ and f' (here {differ})'}"
            )
    spread = difference_interval(
        [one.second.words for one in pairs],
        [one.first.words for one in pairs],
        [one.first.speaker for one in pairs],
    )
    language = first.normalizer.language if first.normalizer else None
    return Comparison(pairs, mapsswe(pairs), spread, language)


def mapsswe(pairs: Sequence[Pair]) -> Mapsswe:
    """The test; where there are fewer than two segments, or no difference, p is 1.

    Where all segments have the same difference, there is no variance to divide by: then p is that
    of the sign test, the chance that all fall on one side, and z is what has that p.
    """
    found = [segment for pair in pairs for segment in segments(pair)]
    change = np.array([second - first for first, second in found], float)
    mean = float(change.mean()) if len(change) else 0.0
    spread = float(change.std(ddof=1)) if len(change) > 1 else 0.0
    if len(change) < 2 or not change.any():
        return Mapsswe(len(change), mean, 0.0, 1.0)
    if spread == 0.0:
        p = max(2.0 ** (1 - len(change)), 1e-300)
        return Mapsswe(len(change), mean, math.copysign(NormalDist().inv_cdf(p / 2), mean), p)
    z = mean / (spread / math.sqrt(len(change)))
    return Mapsswe(len(change), mean, z, math.erfc(abs(z) / math.sqrt(2)))


def segments(pair: Pair) -> list[tuple[int, int]]:
    """The errors of both systems in each segment that has some."""
    places = list(zip(_by_place(pair.first), _by_place(pair.second), strict=True))
    found: list[tuple[int, int]] = []
    errors, right = (0, 0), BUFFER
    for place, (first, second) in enumerate(places):
        if first or second:
            errors = errors[0] + first, errors[1] + second
            right = 0
        elif place % 2:  # a word, which both have
            right += 1
        if right == BUFFER and any(errors):
            found.append(errors)
            errors = 0, 0
    return [*found, errors] if any(errors) else found


def _by_place(one: Scored) -> list[int]:
    """Errors before the first word of the reference, in it, before the second, ..., behind all."""
    counts = [0] * (2 * len(one.reference.split()) + 1)
    for edit in one.edits:
        if edit.kind == "insertion":
            counts[2 * edit.at_reference] += 1
        elif edit.kind != "hit":
            counts[2 * edit.at_reference + 1] += 1
    return counts


def _changed(pair: Pair) -> dict[str, Any]:
    return {
        "id": pair.first.id,
        "errors": [pair.first.words.errors, pair.second.words.errors],
        "reference": pair.first.reference,
        "hypotheses": [pair.first.hypothesis, pair.second.hypothesis],
    }


def side_by_side(pair: Pair) -> list[tuple[str, str, str]]:
    """Columns (reference, first hypothesis, second hypothesis), "-" for no word.

    What is wrong is in capitals. Where a language has none, the columns still show it.
    """
    sides = [_columns(pair.first), _columns(pair.second)]
    said = pair.first.reference.split()
    found: list[tuple[str, str, str]] = []
    for place in range(len(said) + 1):
        added = [side[place][0] for side in sides]
        for row in range(max(map(len, added))):
            first, second = (one[row] if row < len(one) else "-" for one in added)
            found.append(("-", first, second))
        if place < len(said):
            found.append((said[place], sides[0][place][1], sides[1][place][1]))
    return found


def _columns(one: Scored) -> list[tuple[list[str], str]]:
    """Of each word of the reference, and of its end: insertions before it, and its hypothesis."""
    count = len(one.reference.split()) + 1
    added: list[list[str]] = [[] for _ in range(count)]
    words = ["-"] * count
    for edit in one.edits:
        if edit.kind == "insertion":
            added[edit.at_reference].append(edit.hypothesis.upper())
        elif edit.kind != "deletion":
            words[edit.at_reference] = (
                edit.hypothesis if edit.kind == "hit" else edit.hypothesis.upper()
            )
    return list(zip(added, words, strict=True))
