"""Word and character error rates, counted as jiwer counts them (Levenshtein alignment)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from asr.evaluate.alignment import Edit, aligned
from asr.types import Word


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
class Written:
    """The texts of an utterance as the model writes texts, and the edits between them.

    Case, punctuation and digits count here, as far as the model's own normaliser keeps them.
    """

    reference: str
    hypothesis: str
    words: Counts
    characters: Counts


@dataclass(frozen=True)
class Scored:
    """One utterance: its texts, written by the scoring normaliser, and what they differ by.

    `hypothesis_words` have the times of the words, and are empty where those are not known.
    `names` are the words of the reference that are names, as far as its capitals tell. The sound
    is the file `audio`, or `seconds` of it from `start` on; `audio` is None where it is in no file.
    """

    id: str
    reference: str
    hypothesis: str
    words: Counts = field(default_factory=Counts)
    characters: Counts = field(default_factory=Counts)
    speaker: str | None = None
    seconds: float = 0.0
    edits: tuple[Edit, ...] = ()
    hypothesis_words: tuple[Word, ...] = ()
    names: tuple[str, ...] = ()
    audio: str | None = None
    start: float | None = None
    written: Written | None = None
    """The texts as the model writes them; None where they are the same or not known."""


def score(
    id: str,
    reference: str,
    hypothesis: str,
    speaker: str | None = None,
    seconds: float = 0.0,
    hypothesis_words: tuple[Word, ...] = (),
) -> Scored:
    """Counts the edits of one utterance; both texts are normalised already."""
    edits = aligned(reference, hypothesis)
    return Scored(
        id,
        reference,
        hypothesis,
        words=counted(edits),
        characters=count_characters(reference, hypothesis),
        speaker=speaker,
        seconds=seconds,
        edits=edits,
        hypothesis_words=hypothesis_words,
    )


def count_written(reference: str, hypothesis: str) -> Written:
    """Counts the edits between texts as they were written."""
    words, characters = count_words(reference, hypothesis), count_characters(reference, hypothesis)
    return Written(reference, hypothesis, words, characters)


def counted(edits: Iterable[Edit]) -> Counts:
    """How many edits of each kind there are."""
    kinds = Counter(edit.kind for edit in edits)
    wrong = kinds["substitution"], kinds["deletion"]
    return Counts(*wrong, kinds["insertion"], kinds["hit"] + sum(wrong))


def count_words(reference: str, hypothesis: str) -> Counts:
    """Edits between words; an empty reference makes every word of the hypothesis an insertion."""
    return counted(aligned(reference, hypothesis))


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


def number_of(number: int, noun: str) -> str:
    """So many of something, for people: `1 word`, `2,000 words`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(rate: float | None, digits: int = 2) -> str:
    """A fraction in per cent, as people read it; "-" where there is none."""
    return "-" if rate is None else f"{100 * rate:.{digits}f} %"
