"""Marks and capitals of what is written, against those of the reference."""

from __future__ import annotations

import pytest

from asr.evaluate.marks import CAPITAL, MARKS, MarkCounts, count_marks


@pytest.mark.parametrize(
    ("reference", "hypothesis", "name", "expected"),
    [
        ("Yes, I do.", "Yes, I do.", "comma", MarkCounts(both=1)),
        ("Yes, I do.", "yes I do.", "comma", MarkCounts(missing=1)),
        ("Yes, I do.", "yes I do.", CAPITAL, MarkCounts(both=1, missing=1)),
        ("He came.", "He came?", "full_stop", MarkCounts(missing=1)),
        ("He came.", "He came?", "question_mark", MarkCounts(added=1)),
        ("He came. She left.", "He came she left.", "full_stop", MarkCounts(both=1, missing=1)),
        ('He said "no."', "He said no.", "full_stop", MarkCounts(both=1)),
        ("Is it ? No", "Is it? No", "question_mark", MarkCounts(both=1)),
        ("At 3.5 miles", "At 3.5 miles.", "full_stop", MarkCounts(added=1)),
        ("", "Well.", "full_stop", MarkCounts(added=1)),
        ("Well.", "", "full_stop", MarkCounts(missing=1)),
        ("... Well", "Well", "full_stop", MarkCounts()),
    ],
)
def test_a_mark_of_two_texts(
    reference: str, hypothesis: str, name: str, expected: MarkCounts
) -> None:
    assert count_marks([(reference, hypothesis)])[name] == expected


def test_a_wrong_word_may_have_the_right_mark() -> None:
    counts = count_marks([("The Cat sat.", "The Hat sat down.")])
    assert counts[CAPITAL] == MarkCounts(both=2)
    assert counts["full_stop"] == MarkCounts(added=1, missing=1)


def test_rates() -> None:
    counts = MarkCounts(both=3, added=1, missing=3)
    assert (counts.precision, counts.recall, counts.f1) == (0.75, 0.5, 0.6)
    assert counts.in_reference == 6
    assert (MarkCounts().precision, MarkCounts().recall, MarkCounts().f1) == (None, None, None)


def test_texts_add_up() -> None:
    counts = count_marks([("A.", "A."), ("B.", "B"), ("c", "c.")])
    assert set(counts) == {*MARKS, CAPITAL}
    assert counts["full_stop"] == MarkCounts(both=1, added=1, missing=1)
