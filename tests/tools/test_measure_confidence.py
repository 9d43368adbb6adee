"""What a setting asks for, which words are hotwords, and what a row tells."""

from __future__ import annotations

from pathlib import Path

from asr.evaluate.corpus import ReferenceUtterance
from asr.evaluate.error_rate import score
from asr.evaluate.evaluation import Evaluation
from asr.types import Word
from tools.measure_confidence import NOT_SAID, phrases, row, settings


def test_settings_are_what_the_recogniser_is_asked_for():
    assert settings("beam=4,lm_weight=0.1", []) == {"beam": 4, "lm_weight": 0.1}
    assert settings("lm=false,hotwords", ["quilter"]) == {"lm": False, "hotwords": ["quilter"]}


def test_hotwords_are_words_said_once_and_words_never_said(tmp_path: Path):
    (tmp_path / "text.txt").write_text("Mister Quilter wandered\nbeneath the branches\n")
    said = [
        ReferenceUtterance("a", "Quilter, Nottingham! castles"),
        ReferenceUtterance("b", "castles and towers"),
    ]
    found = phrases(said, tmp_path / "text.txt")
    assert sorted(found) == [
        "beneath",
        "branches",
        "mister",
        "nottingham",
        "quilter",
        "towers",
        "wandered",
    ]
    assert len(found) < NOT_SAID


def test_a_row_compares_what_is_said_with_what_is_right():
    heard = (Word("a", 0, 1, 0.9), Word("x", 1, 2, 0.5))
    found = Evaluation((score("one", "a b", "a x", None, 2.0, heard),), {}, 2.0, 1.0)
    assert row("beam=4", found).split() == [
        "beam=4",
        "50.0",
        "%",
        "2",
        "0.500",
        "0.700",
        "0.300",
        "1.000",
    ]
    assert "no confidence" in row("beam=4", Evaluation((score("one", "a", "a"),), {}, 2.0, 1.0))
