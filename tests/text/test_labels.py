"""The special labels of a tokenizer as a value."""

from __future__ import annotations

import pickle

import pytest

from asr.errors import ModelError
from asr.text import Labels
from asr.text.characters import CharacterTokenizer
from asr.text.special_labels import LABELS


def test_no_special_label_may_stand_in_a_hypothesis() -> None:
    labels = Labels(blank=None, unknown=None, end=7, start=(9, 4), never=(3, 0))
    assert labels.forbidden == {0, 3, 4, 7, 9}
    assert LABELS.forbidden == {0, 1, 2}


def test_they_can_be_pickled_and_compared() -> None:
    labels = Labels(blank=11, unknown=None, end=7, start=(9, 4), never=(3, 0))
    assert labels.forbidden
    assert pickle.loads(pickle.dumps(labels)) == labels
    assert len({labels, LABELS, CharacterTokenizer("ab").labels}) == 2


def test_ctc_needs_a_blank() -> None:
    assert LABELS.ctc_blank == 0
    with pytest.raises(ModelError, match="no blank label"):
        _ = Labels(blank=None, unknown=None, end=7, start=(9,)).ctc_blank


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"blank": 2}, "must be different"),
        ({"unknown": 0}, "must be different"),
        ({"start": ()}, "a start of at least one label"),
        ({"start": (-1,)}, "ids of 0 or more"),
        ({"never": (5, -3)}, "ids of 0 or more"),
    ],
)
def test_impossible_labels_are_refused(changed: dict[str, object], message: str) -> None:
    values: dict[str, object] = {"blank": 0, "unknown": 1, "end": 2, "start": (2,), "never": ()}
    with pytest.raises(ModelError, match=message):
        Labels(**(values | changed))  # type: ignore[arg-type]
