"""recipes/history: strings of digits, and recipes that differ in nothing but the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.config import read_yaml
from asr.train.recipe import load_recipe
from recipes.history import prepare, run

HISTORY = Path(__file__).parents[2] / "recipes" / "history"


@pytest.fixture
def fsdd(tmp_path: Path) -> Path:
    """Ten recordings of each of two speakers: digit D is a constant D / 100."""
    for speaker in ("ann", "bob"):
        for digit in range(10):
            path = tmp_path / "recordings" / f"{digit}_{speaker}_{digit}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, np.full(400, digit / 100), 8000, subtype="FLOAT")
    return tmp_path


def test_strings_are_what_their_manifest_says(fsdd: Path, tmp_path: Path) -> None:
    said = prepare.read(fsdd)
    made = [
        prepare.make(tmp_path / name, said, range(5), {1: 2, 4: 3}, np.random.default_rng(3))
        for name in ("one", "two")
    ]
    assert [entry["text"] for entry in made[0]] == [entry["text"] for entry in made[1]]
    assert [entry["digits"] for entry in made[0]] == [1, 1, 4, 4, 4]
    assert [entry["speaker"] for entry in made[0]] == ["ann", "bob", "ann", "bob", "ann"]
    for entry in made[0]:
        samples, _ = soundfile.read(tmp_path / str(entry["audio_filepath"]))
        digits = [prepare.DIGITS.index(word) for word in str(entry["text"]).split()]
        assert max(digits) < 5  # recordings 5 to 9 are for others
        level = np.round(samples * 100).astype(int)
        loud = [int(d) for place, d in enumerate(level) if d > 0 and level[place - 1] != d]
        assert loud == [digit for digit in digits if digit > 0]
        assert entry["duration"] == len(samples) / 8000


def test_all_systems_have_the_same_data_labels_and_budget() -> None:
    values = [read_yaml(HISTORY / f"{name}.yaml") for name in run.SYSTEMS]
    for one in values:
        ctc = one["loss"].pop("ctc_weight")
        assert ctc == (0.3 if one["model"].pop("ctc", True) else 0.0)
        del one["model"]["encoder"], one["model"]["decoder"], one["output"]
    assert all(one == values[0] for one in values)
    for name in run.SYSTEMS:
        load_recipe(HISTORY / f"{name}.yaml")


def test_results_are_counted_by_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strings = [("ann", 2, 1, 2), ("bob", 2, 0, 2), ("ann", 12, 6, 12), ("bob", 12, 6, 12)]
    values = {"system": "dot", "seed": 1, "parameters": 10**6, "steps": 9, "cpu_seconds": 90.0}
    (tmp_path / "exp" / "dot-1").mkdir(parents=True)
    result = tmp_path / "exp" / "dot-1" / "result.json"
    result.write_text(json.dumps({**values, "strings": strings}))
    monkeypatch.setattr(run, "HERE", tmp_path)
    run.write_results()
    told = (tmp_path / "RESULTS.md").read_text()
    assert "| GRU, dot attention | 1 | 1.00 M | 1.5 min | 25.0 % (" in told
    assert "| 50.0 % (50.0 to 50.0) |" in told
    assert (tmp_path / "by_length.png").read_bytes().startswith(b"\x89PNG")
