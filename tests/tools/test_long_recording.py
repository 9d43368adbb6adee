"""What the program judges by that transcribes hours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from asr.evaluate.corpus import ReferenceUtterance
from asr.evaluate.error_rate import Counts
from tests.conftest import RATE


def test_errors_lie_in_their_utterance(tool: Callable[[str], ModuleType]) -> None:
    by_utterance = tool("long_recording").by_utterance
    references = ["one two three", "four five", "six"]
    assert by_utterance(references, "one two three four five six") == [
        Counts(0, 0, 0, 3),
        Counts(0, 0, 0, 2),
        Counts(0, 0, 0, 1),
    ]
    assert by_utterance(references, "one too three five six seven eight") == [
        Counts(1, 0, 0, 3),
        Counts(0, 1, 0, 2),
        Counts(0, 0, 2, 1),
    ]


def test_a_cut_in_a_pause_cuts_no_utterance(tool: Callable[[str], ModuleType]) -> None:
    entries = [{"offset": 0.0, "duration": 2.0}, {"offset": 3.0, "duration": 2.0}]
    cut_inside = tool("long_recording").cut_inside
    assert cut_inside(entries, [0.0, 2.5, 5.0]) == [False, False]
    assert cut_inside(entries, [0.0, 2.5, 4.0, 5.5]) == [False, True]
    assert cut_inside(entries, []) == [False, False]


def test_the_manifest_says_where_each_part_stands(
    tool: Callable[[str], ModuleType], tmp_path: Path, sound: np.ndarray
) -> None:
    for name, seconds in (("a", 1), ("b", 2)):
        soundfile.write(tmp_path / f"{name}.wav", sound[: seconds * RATE], RATE)
    parts = [ReferenceUtterance(name, name, str(tmp_path / f"{name}.wav")) for name in "ab"]
    tool("long_recording").make(tmp_path / "long.flac", parts, seconds=12.0, seed=1)
    whole, rate = soundfile.read(tmp_path / "long.flac", dtype="float32")
    lines = (tmp_path / "long.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert {entry["text"] for entry in entries} == {"a", "b"}
    assert 12.0 <= len(whole) / rate < 12.0 + 2.0 + 3.0
    for entry in entries:
        begin, size = round(entry["offset"] * rate), round(entry["duration"] * rate)
        assert whole[begin : begin + size] == pytest.approx(sound[:size], abs=1e-4)
