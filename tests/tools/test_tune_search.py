"""The tuning tool counts what `asr evaluate` counts, with case too, and saves what was best."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.evaluate.corpus import read_utterances
from asr.evaluate.evaluation import evaluate
from asr.lm.folder import read_lm_config, set_search
from asr.text import load_tokenizer
from asr.transcribe.recognizer import load_model
from tests.conftest import RATE, with_case
from tests.transcribe.test_language_model import write_lm
from tools import tune_search


@pytest.mark.parametrize("case", [False, True])
def test_the_table_is_what_evaluate_finds(
    case: bool,
    tiny_model: Path,
    tmp_path: Path,
    sound: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    model, manifest = tmp_path / "model", tmp_path / "dev.jsonl"
    (with_case if case else shutil.copytree)(tiny_model, model)
    write_lm(model / "lm", load_tokenizer(tiny_model))
    set_search(model / "lm", {"length_reward": 0.1, "beam": 5})
    lines = []
    for number, seconds in enumerate([3.0, 1.5, 2.2]):
        name = f"{number}.wav"
        soundfile.write(tmp_path / name, sound[: int(seconds * RATE)], RATE)
        lines.append(
            json.dumps({"audio_filepath": name, "duration": seconds, "text": "What people, say."})
        )
    manifest.write_text("\n".join(lines))
    call = ["tune_search.py", str(manifest), "-m", str(model), "--device", "cpu"]
    call += ["--lm-weight", "0,0.8", "--beam", "3", "--write"]
    monkeypatch.setattr(sys, "argv", call)
    tune_search.main()
    said = capsys.readouterr().out
    assert "3 utterances, 9 words" in said
    recognizer, utterances = load_model(model, "cpu"), read_utterances(manifest)
    for weight in (0, 0.8):
        words = evaluate(recognizer, utterances, lm_weight=weight, beam=3).words
        kinds = f"{words.substitutions} {words.deletions} {words.insertions}"
        rows = [line.split() for line in said.splitlines()]
        row = next(row for row in rows if row[:1] == [f"{weight:g}"])
        assert " ".join(row[4:7]) == kinds
    saved = read_lm_config(model / "lm").search
    assert saved["beam"] == 3
    assert saved["lm_weight"] in (0.0, 0.8)
    assert saved["length_reward"] == 0.1  # was not in the grid
