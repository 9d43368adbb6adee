"""What kind of error each error is. One error may be of several kinds, or of none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from asr.evaluate.alignment import Edit
from asr.evaluate.error_rate import Scored

#: A loop is the same words at least this often in succession ...
LOOP_TIMES = 3
#: ... and at most so many words.
LOOP_WORDS = 6
#: So many words in succession that are missing are a burst.
BURST = 3
#: A word that is this much quieter than the loudest of its segment (dB) is heard in silence.
SILENCE_DB = -30.0


@dataclass(frozen=True)
class Known:
    """What is known of words: the language (None where that is not told), its words for numbers,
    and the words of a training text (None: no text was given).
    """

    language: str | None = None
    numbers: frozenset[str] = frozenset()
    vocabulary: frozenset[str] | None = None

    @classmethod
    def of(cls, language: str | None, vocabulary: frozenset[str] | None = None) -> Known:
        """What there is to know of a language."""
        return cls(language, number_words(language) if language else frozenset(), vocabulary)


@dataclass(frozen=True)
class ErrorClass:
    """A kind of error: `find` gives the places in the edits of an utterance that are of it.

    `of_words` says which words of the reference it is about; None where it is not about some.
    """

    name: str
    meaning: str
    find: Callable[[Scored, Known], set[int]]
    of_words: Callable[[str, Scored, Known], bool] | None = None


def kinds_of(one: Scored, known: Known) -> dict[str, set[int]]:
    """The errors of an utterance by kind: places in its edits. Kinds without errors are left out.

    The hits of a kind of words (numbers, names) are in none.
    """
    found = {kind.name: kind.find(one, known) for kind in KINDS}
    return {name: places for name, places in found.items() if places}


@cache
def number_words(language: str) -> frozenset[str]:
    """The words, alone, that numbers are written with; none where num2words lacks the language."""
    from num2words import num2words

    found: set[str] = set()
    for kind in ("cardinal", "ordinal"):
        for number in (*range(101), 1000, 10**6, 10**9):
            try:
                words = num2words(number, lang=language, to=kind).lower()
            except (NotImplementedError, ArithmeticError, LookupError, TypeError, ValueError):
                continue  # num2words has no ordinal of 0, or of a million, in some languages
            found |= {words} if words.isalpha() else set()
    return frozenset(found | ({"oh", "hundred", "thousand"} if language == "en" else set()))


def _loops(one: Scored, known: Known) -> set[int]:
    words = one.hypothesis.split()
    wrong = {
        edit.at_hypothesis: n
        for n, edit in enumerate(one.edits)
        if edit.hypothesis and _is_wrong(edit)
    }
    found: set[int] = set()
    for begin, end, size in _repeats(words):
        inside = {wrong[place] for place in range(begin, end) if place in wrong}
        if len(inside) >= size:  # what was said so often is no loop
            found |= inside
    return found


def _repeats(words: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """(first, behind the last, words of one time) of what is said `LOOP_TIMES` in succession."""
    for size in range(1, LOOP_WORDS + 1):
        begin = 0
        while begin + LOOP_TIMES * size <= len(words):
            end = begin + size
            while words[begin : begin + size] == words[end : end + size]:
                end += size
            if end - begin >= LOOP_TIMES * size:
                yield begin, end, size
                begin = end
            else:
                begin += 1


def _bursts(one: Scored, known: Known) -> set[int]:
    found: set[int] = set()
    for missing, run in groupby(range(len(one.edits)), lambda n: one.edits[n].kind == "deletion"):
        places = list(run)
        if missing and len(places) >= BURST:
            found |= set(places)
    return found


def _in_silence(one: Scored, known: Known) -> set[int]:
    quiet = {
        place
        for place, word in enumerate(one.hypothesis_words)
        if word.evidence.get("level", 0.0) < SILENCE_DB
    }
    return {
        place
        for place, edit in enumerate(one.edits)
        if edit.kind == "insertion" and (not one.reference or edit.at_hypothesis in quiet)
    }


def _divided(one: Scored, known: Known) -> set[int]:
    found: set[int] = set()
    run: list[int] = []
    for place, edit in enumerate([*one.edits, None]):
        if edit is not None and _is_wrong(edit):
            run.append(place)
            continue
        reference, hypothesis = (
            "".join(getattr(one.edits[n], side) for n in run) for side in _SIDES
        )
        if run and reference == hypothesis:
            found |= set(run)
        run = []
    return found


_SIDES = ("reference", "hypothesis")


def _sound_alike(one: Scored, known: Known) -> set[int]:
    if known.language != "en":
        return set()
    return {
        place
        for place, edit in enumerate(one.edits)
        if edit.kind == "substitution" and _key(edit.reference) == _key(edit.hypothesis)
    }


@cache
def _key(word: str) -> str:
    from jellyfish import metaphone

    return metaphone(word) or word


def _is_number(word: str, one: Scored, known: Known) -> bool:
    return word in known.numbers or word[:1].isdigit()


def _is_name(word: str, one: Scored, known: Known) -> bool:
    return word in one.names


def _is_unknown(word: str, one: Scored, known: Known) -> bool:
    return known.vocabulary is not None and word not in known.vocabulary


def _wrong_words(
    of_words: Callable[[str, Scored, Known], bool],
) -> Callable[[Scored, Known], set[int]]:
    def find(one: Scored, known: Known) -> set[int]:
        return {
            place
            for place, edit in enumerate(one.edits)
            if edit.reference and _is_wrong(edit) and of_words(edit.reference, one, known)
        }

    return find


def _is_wrong(edit: Edit) -> bool:
    return edit.kind != "hit"


KINDS: tuple[ErrorClass, ...] = (
    ErrorClass(
        "loop", f"the same words {LOOP_TIMES} times or more in succession, not said so", _loops
    ),
    ErrorClass("deletion burst", f"{BURST} words or more in succession are missing", _bursts),
    ErrorClass("in silence", "words where it is quiet, or where nothing was said", _in_silence),
    ErrorClass("number", "words of numbers", _wrong_words(_is_number), _is_number),
    ErrorClass("name", "names, by the capitals of the reference", _wrong_words(_is_name), _is_name),
    ErrorClass(
        "out of vocabulary",
        "words that are not in the given text",
        _wrong_words(_is_unknown),
        _is_unknown,
    ),
    ErrorClass(
        "sound-alike", "another word of nearly the same sound (Metaphone key)", _sound_alike
    ),
    ErrorClass("split or joined", "one word as two, or two as one, of the same letters", _divided),
)
