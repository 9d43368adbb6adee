from __future__ import annotations

import json
import math

import pytest

from asr.output import render
from asr.types import Segment, Transcript, Word

TRANSCRIPT = Transcript(
    segments=(
        Segment("good morning", 0.0, 1.23456, score=-1.5, scores={"ctc": -5.0}, tokens=(7, 9)),
        Segment("", 1.23456, 2.0),
        Segment(
            "naïve “café”",
            2.0,
            3.0,
            words=(Word("naïve", 2.0, 2.5, 0.9), Word("“café”", 2.5, 3.0, 0.5)),
            alternatives=(Segment("knave", 2.0, 3.0, score=-3.0, tokens=(4,)),),
        ),
    ),
    duration=3.0,
    source="a\nb.wav",
    truncated=3.00049,
    notes=("the file ends early",),
)
SILENT = Transcript((), 2.0, "silence.wav")


def test_text_has_a_line_for_each_segment_with_words() -> None:
    assert render(TRANSCRIPT, "txt", model="m") == "good morning\nnaïve “café”\n"
    assert render(SILENT, "txt", model="m") == ""


@pytest.mark.parametrize("name", ["json", "jsonl"])
def test_json_holds_everything(name: str) -> None:
    values = json.loads(render(TRANSCRIPT, name, model="english"))
    segments = values.pop("segments")
    assert values == {
        "source": "a\nb.wav",
        "text": "good morning naïve “café”",
        "duration": 3.0,
        "truncated": 3.0,
        "notes": ["the file ends early"],
        "model": "english",
    }
    assert segments[0] == {
        "start": 0.0,
        "end": 1.235,
        "text": "good morning",
        "score": -1.5,
        "scores": {"ctc": -5.0},
        "tokens": [7, 9],
    }
    assert segments[2]["words"][1] == {
        "text": "“café”",
        "start": 2.5,
        "end": 3.0,
        "confidence": 0.5,
    }
    assert segments[2]["alternatives"] == [
        {"text": "knave", "score": -3.0, "scores": {}, "tokens": [4]}
    ]


@pytest.mark.parametrize("name", ["json", "jsonl"])
def test_scores_of_minus_infinity_are_null(name: str) -> None:
    """JSON has no infinity; a hypothesis may have a label that a scorer thinks impossible."""
    segment = Segment("a", 0.0, 1.0, score=-math.inf, scores={"ctc": -math.inf, "lm": -2.0})
    values = json.loads(render(Transcript((segment,), 1.0, "a.wav"), name), parse_constant=refuse)
    [written] = values["segments"]
    assert (written["score"], written["scores"]) == (None, {"ctc": None, "lm": -2.0})


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def test_a_whole_input_is_not_truncated() -> None:
    values = json.loads(render(SILENT, "json", model="m"))
    assert values["truncated"] is None
    assert values["text"] == ""
    assert values["segments"] == []


def test_a_json_line_is_one_line_and_readable() -> None:
    line = render(TRANSCRIPT, "jsonl", model="m")
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert "naïve “café”" in line
