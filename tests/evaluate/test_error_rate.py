from __future__ import annotations

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.evaluate.error_rate import (
    Counts,
    count_characters,
    count_words,
    number_of,
    score,
    total,
)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("a b c d", "a b c d", Counts(0, 0, 0, 4)),
        ("a b c d", "a x c d", Counts(1, 0, 0, 4)),
        ("a b c d", "a c d", Counts(0, 1, 0, 4)),
        ("a b c d", "a b b c d", Counts(0, 0, 1, 4)),
        ("a b c d", "", Counts(0, 4, 0, 4)),
        ("", "a b", Counts(0, 0, 2, 0)),
        ("  ", "a b", Counts(0, 0, 2, 0)),
        ("", "", Counts(0, 0, 0, 0)),
        ("a", "b c d", Counts(1, 0, 2, 1)),
    ],
)
def test_words(reference: str, hypothesis: str, expected: Counts) -> None:
    assert count_words(reference, hypothesis) == expected


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("ab cd", "ab cd", Counts(0, 0, 0, 5)),
        ("ab cd", "abcd", Counts(0, 1, 0, 5)),
        ("ab", "xb", Counts(1, 0, 0, 2)),
        ("", "ab c", Counts(0, 0, 4, 0)),
        ("", "", Counts(0, 0, 0, 0)),
        ("ab", "", Counts(0, 2, 0, 2)),
    ],
)
def test_characters(reference: str, hypothesis: str, expected: Counts) -> None:
    assert count_characters(reference, hypothesis) == expected


def test_one_is_no_plural() -> None:
    told = [number_of(number, "word") for number in (0, 1, 2000)]
    assert told == ["0 words", "1 word", "2,000 words"]


def test_rates() -> None:
    assert Counts(1, 1, 1, 6).rate == 0.5
    assert Counts(0, 0, 0, 0).rate == 0.0
    assert Counts(0, 0, 2, 0).rate is None
    assert Counts(1, 0, 2, 1).rate == 3.0


words = st.lists(st.sampled_from(["a", "b", "c"]), max_size=6).map(" ".join)


@given(pairs=st.lists(st.tuples(words.filter(bool), words), min_size=1, max_size=6))
def test_the_sum_is_jiwers_count_of_all(pairs: list[tuple[str, str]]) -> None:
    scored = [score(str(n), *pair) for n, pair in enumerate(pairs)]
    references, hypotheses = map(list, zip(*pairs, strict=True))
    expected = jiwer.process_words(references, hypotheses)
    found = total(one.words for one in scored)
    assert (found.substitutions, found.deletions, found.insertions) == (
        expected.substitutions,
        expected.deletions,
        expected.insertions,
    )
    assert found.rate == pytest.approx(expected.wer)
    characters = total(one.characters for one in scored)
    assert characters.rate == pytest.approx(jiwer.cer(references, hypotheses))
