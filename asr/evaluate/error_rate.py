"""Word and character error rates, counted as jiwer counts them (Levenshtein alignment)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Counts:
    """Edit operations that turn references into hypotheses; `length` counts reference items."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    length: int = 0

    @property
    def errors(self) -> int:
        """All edit operations."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Errors per reference item; None where there is none and still something was inserted."""
        if self.length == 0:
            return None if self.errors else 0.0
        return self.errors / self.length

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.length + other.length,
        )


@dataclass(frozen=True)
class Scored:
    """One utterance: its normalised texts and what they differ by."""

    id: str
    reference: str
    hypothesis: str
    words: Counts = field(default_factory=Counts)
    characters: Counts = field(default_factory=Counts)
    speaker: str | None = None
    seconds: float = 0.0


def score(
    id: str, reference: str, hypothesis: str, speaker: str | None = None, seconds: float = 0.0
) -> Scored:
    """Counts the edits of one utterance; both texts are normalised already."""
    return Scored(
        id,
        reference,
        hypothesis,
        words=count_words(reference, hypothesis),
        characters=count_characters(reference, hypothesis),
        speaker=speaker,
        seconds=seconds,
    )


def count_words(reference: str, hypothesis: str) -> Counts:
    """Edits between words; an empty reference makes every word of the hypothesis an insertion."""
    import jiwer

    if not reference.split():  # jiwer refuses empty references
        return Counts(insertions=len(hypothesis.split()))
    found = jiwer.process_words(reference, hypothesis)
    length = found.hits + found.substitutions + found.deletions
    return Counts(found.substitutions, found.deletions, found.insertions, length)


def count_characters(reference: str, hypothesis: str) -> Counts:
    """Edits between characters, spaces included."""
    import jiwer

    if not reference.strip():
        return Counts(insertions=len(hypothesis.strip()))
    found = jiwer.process_characters(reference, hypothesis)
    length = found.hits + found.substitutions + found.deletions
    return Counts(found.substitutions, found.deletions, found.insertions, length)


def total(counts: Iterable[Counts]) -> Counts:
    """The sum of many counts."""
    return sum(counts, Counts())
