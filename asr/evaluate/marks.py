"""How well a model punctuates and writes capitals: precision and recall of each mark.

Words of both texts are aligned without regard to case and punctuation, and what stands at
corresponding words is compared. A mark at a word that was left out or added has no counterpart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from asr.evaluate.alignment import aligned

#: The marks by the names that results have for them.
MARKS = {"full_stop": ".", "comma": ",", "question_mark": "?"}
CAPITAL = "capital"


@dataclass(frozen=True)
class MarkCounts:
    """How often a mark stands in both texts, in the hypothesis alone, in the reference alone."""

    both: int = 0
    added: int = 0
    missing: int = 0

    def __add__(self, other: MarkCounts) -> MarkCounts:
        return MarkCounts(
            self.both + other.both, self.added + other.added, self.missing + other.missing
        )

    @property
    def in_reference(self) -> int:
        """How often the reference has it."""
        return self.both + self.missing

    @property
    def precision(self) -> float | None:
        """The share of the hypothesis' marks that are right; None where it has none."""
        return self.both / (self.both + self.added) if self.both + self.added else None

    @property
    def recall(self) -> float | None:
        """The share of the reference's marks that were written; None where it has none."""
        return self.both / self.in_reference if self.in_reference else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall; None where neither text has the mark."""
        every = 2 * self.both + self.added + self.missing
        return 2 * self.both / every if every else None

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain values: rates are fractions, null where there is nothing to divide by."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "in_reference": self.in_reference,
        }


def count_marks(pairs: Iterable[tuple[str, str]]) -> dict[str, MarkCounts]:
    """The marks of texts, as they are written, by name: `MARKS` and `CAPITAL`.

    Args:
        pairs: reference and hypothesis of each utterance.
    """
    counts = dict.fromkeys((*MARKS, CAPITAL), MarkCounts())
    for reference, hypothesis in pairs:
        for name, found in _of_texts(reference, hypothesis).items():
            counts[name] += found
    return counts


def _of_texts(reference: str, hypothesis: str) -> dict[str, MarkCounts]:
    ours, theirs = _words(reference), _words(hypothesis)
    counts = dict.fromkeys((*MARKS, CAPITAL), MarkCounts())
    edits = aligned(" ".join(word for word, _ in ours), " ".join(word for word, _ in theirs))
    for edit in edits:
        expected = ours[edit.at_reference][1] if edit.reference else frozenset()
        written = theirs[edit.at_hypothesis][1] if edit.hypothesis else frozenset()
        for name in expected | written:
            counts[name] += MarkCounts(
                both=int(name in expected & written),
                added=int(name in written - expected),
                missing=int(name in expected - written),
            )
    return counts


def _words(text: str) -> list[tuple[str, frozenset[str]]]:
    """The words of a text in small letters without punctuation, and the marks at each.

    Punctuation that stands alone belongs to the word before it.
    """
    words: list[tuple[str, frozenset[str]]] = []
    for form in text.split():
        plain = "".join(character for character in form if character.isalnum())
        behind = form[len(form.rstrip(".,?!…;:\"'»”’)]")) :]
        marks = {name for name, mark in MARKS.items() if mark in behind}
        if plain:
            capital = {CAPITAL} if plain[0].isupper() else set()
            words.append((plain.lower(), frozenset(marks | capital)))
        elif words:
            word, before = words[-1]
            words[-1] = word, before | marks
    return words
