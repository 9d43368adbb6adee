"""Where the errors of an evaluation are: by kind, by length, by speaker, by words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from asr.evaluate.classes import KINDS, Known, kinds_of
from asr.evaluate.error_rate import Counts, Scored, total
from asr.evaluate.interval import Interval, rate_interval
from asr.evaluate.reliability import Reliability, reliability_of

#: Utterances are told apart by length at these seconds.
LENGTHS = (0.0, 2.0, 4.0, 8.0, 16.0, 30.0, float("inf"))
#: Rows of the lists of words.
TOP = 20


@dataclass(frozen=True)
class KindCount:
    """The errors of one kind. `words` is how many words of the reference are of that kind, None
    where the kind is not one of words.
    """

    name: str
    meaning: str
    errors: int
    utterances: int
    words: int | None

    @property
    def rate(self) -> float | None:
        """Which share of the words of this kind is wrong."""
        return self.errors / self.words if self.words else None


@dataclass(frozen=True)
class Group:
    """Some utterances together."""

    name: str
    utterances: int
    seconds: float
    counts: Counts
    interval: Interval | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "utterances": self.utterances,
            "seconds": round(self.seconds, 2),
            "words": self.counts.length,
            "errors": self.counts.errors,
            "wer": self.counts.rate,
            "wer_interval": [self.interval.low, self.interval.high] if self.interval else None,
        }


@dataclass(frozen=True)
class Breakdown:
    """All of it; `kinds` are those that there are, `confidence` is None where none is known."""

    kinds: tuple[KindCount, ...]
    lengths: tuple[Group, ...]
    speakers: tuple[Group, ...]
    substitutions: tuple[tuple[str, str, int], ...]
    deletions: tuple[tuple[str, int], ...]
    insertions: tuple[tuple[str, int], ...]
    confidence: Reliability | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; rates are fractions."""
        return {
            "error_kinds": [{**vars(one), "rate": one.rate} for one in self.kinds],
            "by_length": [one.to_dict() for one in self.lengths],
            "by_speaker": [one.to_dict() for one in self.speakers],
            "top_substitutions": [list(one) for one in self.substitutions],
            "top_deletions": [list(one) for one in self.deletions],
            "top_insertions": [list(one) for one in self.insertions],
            "confidence": self.confidence.to_dict() if self.confidence else None,
        }


def breakdown(scored: Sequence[Scored], known: Known) -> Breakdown:
    """Takes an evaluation apart."""
    edits = [edit for one in scored for edit in one.edits]
    swapped = Counter(
        (edit.reference, edit.hypothesis) for edit in edits if edit.kind == "substitution"
    )
    missing = Counter(edit.reference for edit in edits if edit.kind == "deletion")
    added = Counter(edit.hypothesis for edit in edits if edit.kind == "insertion")
    return Breakdown(
        kinds=_kinds(scored, known),
        lengths=by_length(scored),
        speakers=by_speaker(scored),
        substitutions=tuple((*pair, count) for pair, count in _top(swapped)),
        deletions=tuple(_top(missing)),
        insertions=tuple(_top(added)),
        confidence=reliability_of(scored),
    )


def _kinds(scored: Sequence[Scored], known: Known) -> tuple[KindCount, ...]:
    """The kinds that have errors, or words in the references."""
    found = [kinds_of(one, known) for one in scored]
    counts = []
    for kind in KINDS:
        errors = sum(len(one.get(kind.name, ())) for one in found)
        words = None
        if kind.of_words is not None:
            edits = ((edit, one) for one in scored for edit in one.edits if edit.reference)
            words = sum(kind.of_words(edit.reference, one, known) for edit, one in edits)
        if errors or words:
            utterances = sum(kind.name in one for one in found)
            counts.append(KindCount(kind.name, kind.meaning, errors, utterances, words))
    return tuple(counts)


def by_length(scored: Sequence[Scored]) -> tuple[Group, ...]:
    """Short and long utterances apart."""
    groups = []
    for low, high in pairwise(LENGTHS):
        some = [one for one in scored if low <= one.seconds < high]
        name = f"{low:g} to {high:g} s" if high < float("inf") else f"{low:g} s and more"
        if some:
            groups.append(_group(name, some, [one.speaker for one in some]))
    return tuple(groups)


def by_speaker(scored: Sequence[Scored]) -> tuple[Group, ...]:
    """Each speaker; first who adds most to the error rate: has most errors above the average.

    Intervals are over utterances. Empty where no speakers are known. Utterances without one are
    together.
    """
    groups: dict[str, list[Scored]] = {}
    for one in scored:
        groups.setdefault(one.speaker or "(not known)", []).append(one)
    if not any(one.speaker for one in scored):
        return ()
    found = [_group(name, some, [None] * len(some)) for name, some in groups.items()]
    average = total(one.counts for one in found).rate or 0.0
    return tuple(
        sorted(found, key=lambda one: (average * one.counts.length - one.counts.errors, one.name))
    )


def _group(name: str, scored: Sequence[Scored], speakers: Sequence[str | None]) -> Group:
    counts = [one.words for one in scored]
    seconds = sum(one.seconds for one in scored)
    return Group(name, len(scored), seconds, total(counts), rate_interval(counts, speakers))


def _top(counts: Counter[Any]) -> list[tuple[Any, int]]:
    """The most frequent, and of those equally frequent the first in order."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP]
