from __future__ import annotations

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.evaluate.alignment import aligned
from asr.evaluate.error_rate import counted

texts = st.lists(st.sampled_from("abcd"), max_size=12).map(" ".join)


@given(texts, texts)
def test_it_is_a_way_from_one_text_to_the_other(reference: str, hypothesis: str) -> None:
    edits = aligned(reference, hypothesis)
    assert " ".join(one.reference for one in edits if one.reference) == reference
    assert " ".join(one.hypothesis for one in edits if one.hypothesis) == hypothesis
    said, heard = reference.split(), hypothesis.split()
    for one in edits:
        assert one.kind == (
            "insertion"
            if not one.reference
            else "deletion"
            if not one.hypothesis
            else ("hit" if one.reference == one.hypothesis else "substitution")
        )
        assert not one.reference or said[one.at_reference] == one.reference
        assert not one.hypothesis or heard[one.at_hypothesis] == one.hypothesis


@given(texts.filter(bool), texts)
def test_it_has_as_few_edits_as_jiwer_counts(reference: str, hypothesis: str) -> None:
    found = jiwer.process_words(reference, hypothesis)
    counts = counted(aligned(reference, hypothesis))
    assert counts.errors == found.substitutions + found.deletions + found.insertions
    assert counts.length == len(reference.split())


@pytest.mark.parametrize(
    ("reference", "hypothesis", "kinds"),
    [
        ("", "", []),
        ("", "a b", ["insertion", "insertion"]),
        ("a", "", ["deletion"]),
        ("the cat sat", "the hat sat down", ["hit", "substitution", "hit", "insertion"]),
    ],
)
def test_by_hand(reference: str, hypothesis: str, kinds: list[str]) -> None:
    assert [one.kind for one in aligned(reference, hypothesis)] == kinds
