"""Kinds of errors, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asr.evaluate.classes import Known, kinds_of, number_words
from asr.evaluate.error_rate import Scored, score
from asr.evaluate.names import names_in
from asr.types import Word

ENGLISH = Known.of("en")


def wrong(reference: str, hypothesis: str, kind: str, known: Known = ENGLISH) -> list[str]:
    """The errors of a kind, as `said>heard`."""
    return errors(score("x", reference, hypothesis), kind, known)


def errors(one: Scored, kind: str, known: Known = ENGLISH) -> list[str]:
    places = sorted(kinds_of(one, known).get(kind, ()))
    return [f"{one.edits[place].reference}>{one.edits[place].hypothesis}" for place in places]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "count"),
    [
        ("i see", "i see see see see", 3),
        ("to be or not", "to be to be to be to be or not", 6),
        ("no no no never", "no no no never", 0),  # it was said so
        ("no no no no", "no no no", 0),
        ("a b", "a b a b", 0),  # twice is no loop
        ("a very long day", "a very very very very long day", 3),
        ("one two", "x x x", 3),
    ],
)
def test_loops(reference: str, hypothesis: str, count: int) -> None:
    assert len(wrong(reference, hypothesis, "loop")) == count


def test_bursts_are_three_or_more_in_succession() -> None:
    assert wrong("a b c d e f", "a e f", "deletion burst") == ["b>", "c>", "d>"]
    assert wrong("a b c d e f", "a d f", "deletion burst") == []
    assert wrong("a b c d e f g", "d", "deletion burst") == ["a>", "b>", "c>", "e>", "f>", "g>"]


def test_what_is_heard_in_silence() -> None:
    assert wrong("", "the end", "in silence") == [">the", ">end"]
    assert wrong("well", "well the end", "in silence") == []
    heard = [("well", 0.0), ("the", -45.0), ("end", -10.0)]
    words = tuple(Word(text, 0.0, 1.0, None, {"level": level}) for text, level in heard)
    one = score("x", "well", "well the end", hypothesis_words=words)
    assert errors(one, "in silence") == [">the"]


def test_numbers() -> None:
    assert wrong("i have twenty one cats", "i have plenty one cats", "number") == ["twenty>plenty"]
    assert wrong("the third of may", "the of may", "number") == ["third>"]
    assert wrong("room 12", "room 13", "number") == ["12>13"]
    assert {"einundzwanzig", "zwei"} <= number_words("de")
    assert "and" not in number_words("en")
    assert number_words("xx") == frozenset()


@pytest.mark.parametrize(
    ("language", "one"), [("pl", "jeden"), ("uk", "один"), ("ca", "un"), ("ko", "일")]
)
def test_numbers_of_languages_that_num2words_knows_in_part(language: str, one: str) -> None:
    assert one in number_words(language)


def test_words_that_are_not_in_the_text() -> None:
    known = replace(ENGLISH, vocabulary=frozenset({"the", "cat"}))
    assert wrong("the yak", "the cat", "out of vocabulary", known) == ["yak>cat"]
    assert wrong("the yak", "the cat", "out of vocabulary") == []


def test_words_that_sound_alike() -> None:
    assert wrong("write it right there", "right it write their", "sound-alike") == [
        "write>right",
        "right>write",
        "there>their",
    ]
    assert wrong("a cat", "a dog", "sound-alike") == []
    assert wrong("write", "right", "sound-alike", Known.of("de")) == []


def test_one_word_as_two() -> None:
    assert len(wrong("some one came", "someone came", "split or joined")) == 2
    assert len(wrong("he slept", "he s lept", "split or joined")) == 2
    assert wrong("some man came", "someone came", "split or joined") == []


def test_names_by_their_capitals() -> None:
    one = replace(score("x", "we met anna", "we met hannah"), names=("anna",))
    assert errors(one, "name") == ["anna>hannah"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Yesterday Anna Smith met us.", ("anna", "smith")),
        ("We came. Then Paris’s mayor said: No.", ("paris",)),
        ("He met Mr. Smith and Dr. Jones. Then Mrs. Brown", ("brown", "jones", "smith")),
        ("MISTER QUILTER IS HERE", ()),
        ("mister quilter is here", ()),
        ("Now I know, and I'm glad", ()),
        ('He said "Go" to Élodie', ("élodie",)),
    ],
)
def test_what_a_name_is(text: str, names: tuple[str, ...]) -> None:
    assert names_in(text, "en", str.lower) == names


def test_german_capitals_tell_nothing() -> None:
    assert names_in("Der Hund von Anna", "de", str.lower) == ()
