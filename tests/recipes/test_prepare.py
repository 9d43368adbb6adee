"""The preparation of the recipes, on corpora made up here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

RECIPES = Path(__file__).parents[2] / "recipes"


def prepare(recipe: str, *args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RECIPES / recipe / "prepare.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def sound(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(800, dtype=np.float32), 8000)


def corpus(folder: Path, part: str, name: str, lines: list[tuple[str, str, str]]) -> None:
    """A set of (id, text, speaker)."""
    target = folder / part / name
    for key, _, _ in lines:
        sound(target / "audio" / f"{key}.wav")
    texts = [
        {"id": k, "audio_filepath": f"audio/{k}.wav", "duration": 0.1, "text": t, "speaker": s}
        for k, t, s in lines
    ]
    (target / "manifest.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))


def test_digits_are_split_as_the_dataset_says(tmp_path: Path) -> None:
    for number in (0, 4, 5, 7, 8, 49):
        sound(tmp_path / "fsdd" / "recordings" / f"7_anna_{number}.wav")
    done = prepare("digits", tmp_path / "fsdd", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    parts = {part: entries(tmp_path / "out" / f"{part}.jsonl") for part in ("train", "dev", "test")}
    numbers = {part: [one["id"].split("_")[2] for one in found] for part, found in parts.items()}
    assert numbers == {"train": ["49", "8"], "dev": ["5", "7"], "test": ["0", "4"]}
    first = parts["test"][0]
    assert first["text"] == "seven"
    assert first["speaker"] == "anna"
    assert first["duration"] == pytest.approx(0.1)
    assert (tmp_path / "out" / first["audio_filepath"]).exists()


def test_digits_without_recordings_say_what_is_looked_for(tmp_path: Path) -> None:
    done = prepare("digits", tmp_path, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "DIGIT_SPEAKER_NUMBER" in done.stderr
    assert "Traceback" not in done.stderr


def test_english_leaves_out_what_the_dev_sets_say(tmp_path: Path) -> None:
    corpus(
        tmp_path / "in", "train", "a",
        [("t1", "IT WAS A DARK NIGHT", "x"), ("t2", "YES", "x"), ("t3", "something else", "x")],
    )  # fmt: skip
    corpus(tmp_path / "in", "dev", "b", [("d1", "It was a dark night!", "y"), ("d2", "yes", "y")])
    done = prepare("english", tmp_path / "in", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    kept = entries(tmp_path / "out" / "train.jsonl")
    assert [one["id"] for one in kept] == ["t2", "t3"]  # one word says nothing of the dev set
    assert all((tmp_path / "out" / one["audio_filepath"]).exists() for one in kept)
    assert "a: 1 left out" in done.stdout
    assert [one["id"] for one in entries(tmp_path / "out" / "dev" / "b.jsonl")] == ["d1", "d2"]


def test_english_refuses_a_speaker_in_both(tmp_path: Path) -> None:
    corpus(tmp_path / "in", "train", "a", [("t1", "one", "same")])
    corpus(tmp_path / "in", "dev", "b", [("d1", "two", "same")])
    done = prepare("english", tmp_path / "in", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "speakers in train and dev: same" in done.stderr
    assert not (tmp_path / "out" / "train.jsonl").exists()


def test_english_keeps_synthetic_speech_apart_and_checks_it(tmp_path: Path) -> None:
    corpus(tmp_path / "in", "train", "a", [("t1", "something else", "x")])
    corpus(tmp_path / "in", "dev", "b", [("d1", "It was a dark night!", "y")])
    said = [("s1", "it was a dark night", "flite:slt"), ("s2", "and it rained", "flite:slt")]
    corpus(tmp_path, "made", "synthetic", said)
    manifest = tmp_path / "made" / "synthetic" / "manifest.jsonl"
    done = prepare("english", tmp_path / "in", "-o", tmp_path / "out", "--synthetic", manifest)
    assert done.returncode == 0, done.stderr
    (kept,) = entries(tmp_path / "out" / "train-synthetic.jsonl")
    assert (kept["id"], kept["set"]) == ("s2", "synthetic")
    assert (tmp_path / "out" / kept["audio_filepath"]).exists()
    assert "synthetic: 1 left out" in done.stdout
    assert [one["id"] for one in entries(tmp_path / "out" / "train.jsonl")] == ["t1"]
    done = prepare("english", tmp_path / "in", "-o", tmp_path / "o", "--synthetic", tmp_path / "no")
    assert done.returncode == 1
    assert "no: no such manifest" in done.stderr


def test_english_gathers_measured_and_simulated_rooms(tmp_path: Path) -> None:
    pytest.importorskip("pyroomacoustics", reason="asr[rooms] is not installed")
    corpus(tmp_path / "in", "train", "a", [("t1", "something else", "x")])
    corpus(tmp_path / "in", "dev", "b", [("d1", "nothing", "y")])
    (tmp_path / "in" / "rir").mkdir()
    soundfile.write(tmp_path / "in" / "rir" / "hall.flac", np.ones(100, np.float32) / 2, 16000)
    done = prepare("english", tmp_path / "in", "-o", tmp_path / "out", "--simulate-rooms", 1)
    assert done.returncode == 0, done.stderr
    found = sorted(file.name for file in (tmp_path / "out" / "rooms").iterdir())
    assert found == ["measured-hall.flac", "simulated-0-00000.flac"]
