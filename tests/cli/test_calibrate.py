from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import soundfile
import torch

from asr.cli.console import Console
from asr.cli.load import note_confidence
from asr.errors import OutputError
from asr.model import ModelConfig, SpeechModel
from asr.model.folder import keep_confidence, read_folder_config, save_model_folder
from asr.search import SearchConfig
from asr.text import NormalizerConfig, TokenizerConfig, train_tokenizer
from asr.transcribe.options import TranscribeOptions
from asr.transcribe.recognizer import load_model
from tests.cli.conftest import Run
from tests.conftest import RATE, SAMPLES
from tests.model.whisper.test_folder import write_folder


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    return folder


@pytest.fixture
def manifest(
    model: Path, tmp_path: Path, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """What the model itself says, by four speakers, and half of it changed."""
    return own_words(model, tmp_path, sound, monkeypatch)


def own_words(
    model: Path, tmp_path: Path, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> Path:
    import asr.evaluate.calibration as calibration

    monkeypatch.setattr(calibration, "FEWEST_WORDS", 2)
    monkeypatch.setattr(calibration, "FEWEST", 1)
    heard = load_model(model, "cpu")
    lines = []
    for place in range(8):
        path = tmp_path / f"{place}.wav"
        soundfile.write(path, sound[place * 1000 :], RATE, subtype="FLOAT")
        words = heard.transcribe(path).text.split()
        said = " ".join(words if place < 4 else ["other"] * len(words))
        values = {"audio_filepath": path.name, "text": said, "speaker": f"s{place % 4}"}
        lines.append(json.dumps({**values, "duration": 3 - place / 16}))
    found = tmp_path / "manifest.jsonl"
    found.write_text("\n".join(lines) + "\n")
    return found


def test_words_have_confidence_afterwards(
    run: Run, model: Path, manifest: Path, sound: np.ndarray
) -> None:
    result = run("calibrate", manifest, "-m", model, "--device", "cpu")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "without language model: fitted on" in result.stdout
    assert "of other speakers" in result.stdout
    assert set(read_folder_config(model).confidence) == {"version", "without_lm"}
    found = load_model(model, "cpu").transcribe(sound, RATE)
    sure = [word.confidence for part in found.segments for word in part.words]
    assert sure
    assert all(one is not None and 0 < one < 1 for one in sure)
    evaluated = run("evaluate", manifest, "-m", model, "--device", "cpu", "--json")
    values = json.loads(evaluated.stdout)["confidence"]
    assert 0 <= values["ece"] <= 1
    assert sum(one["words"] for one in values["bins"]) == values["words"] > 0


def test_weights_that_confidence_was_not_fitted_for_are_told(
    run: Run, model: Path, tmp_path: Path, sound: np.ndarray
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sound, RATE)
    call = ("transcribe", path, "-m", model, "--device", "cpu", "-f", "json")
    others = ("--ctc-weight", 0.9)
    assert run(*call, *others).stderr == ""  # there is no confidence
    keep_confidence(model, {"without_lm": {"bias": 0.0, "weights": {"ctc": 1.0}}})
    told = "asr: the confidence of words was not fitted for this (ctc_weight 0.9 instead of 0.3)"
    assert run(*call, *others).stderr.startswith(told)
    assert run(*call, *others).stderr.count("\n") == 1
    for usual in (("--ctc-weight", 0.3), ("--beam", 3), ("--hotwords", "quilter")):
        assert run(*call, *usual).stderr == ""
    assert run(*call[:-1], "txt", *others).stderr == ""  # tells none
    streamed = ("stream", "--simulate", path, "--pace", 0, *call[2:6], *others)
    assert told in run(*streamed, "--json").stderr
    assert told not in run(*streamed).stderr


def test_a_language_model_is_the_models_own_however_its_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model" / "lm").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    model = SimpleNamespace(confidence=True, search=SearchConfig(), folder=Path("model"))
    for lm in (Path("model/lm"), tmp_path / "model" / "lm", Path("other/../model/lm")):
        model.lm = SimpleNamespace(folder=lm)
        note_confidence(Console(), cast(Any, model), TranscribeOptions())
    assert capsys.readouterr().err == ""
    model.lm = SimpleNamespace(folder=Path("other"))
    note_confidence(Console(), cast(Any, model), TranscribeOptions())
    assert "(another language model)" in capsys.readouterr().err


def test_json(run: Run, model: Path, manifest: Path) -> None:
    result = run("calibrate", manifest, "-m", model, "--device", "cpu", "--json")
    values = json.loads(result.stdout)["without_lm"]
    assert values["groups"] == "speakers"
    assert values["fitted_words"] > 0


def test_what_cannot_be_used_is_left_out_and_told(
    run: Run, model: Path, manifest: Path, tmp_path: Path
) -> None:
    """The others are fitted on: what was transcribed is not lost."""
    (tmp_path / "7.wav").write_bytes(b"")
    result = run("calibrate", manifest, "-m", model, "--device", "cpu")
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("asr: 7")
    assert "left out: " in line
    assert "7.wav: empty file" in line
    assert "fitted on" in result.stdout
    assert "without_lm" in read_folder_config(model).confidence


def test_why_nothing_can_be_used_is_told(run: Run, model: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "gone.jsonl"
    manifest.write_text('{"audio_filepath": "gone.wav", "duration": 3, "text": "a"}')
    result = run("calibrate", manifest, "-m", model, "--device", "cpu")
    assert result.exit_code == 1
    assert result.stderr.startswith("asr: no recording can be used: ")
    assert "gone.wav: no such file" in result.stderr


def test_what_can_be_known_before_is_told_before(
    run: Run, model: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path, instead: str) -> None:
        raise OutputError(f"{folder}: cannot be written to: no; {instead}")

    def evaluate(*_: object, **__: object) -> None:
        raise AssertionError("it transcribes first")

    monkeypatch.setattr("asr.evaluate.calibration.evaluate", evaluate)
    monkeypatch.setattr("asr.evaluate.calibration.check_writable", refuse)
    result = run("calibrate", manifest, "-m", model, "--device", "cpu")
    assert result.exit_code == 2
    assert result.stderr.endswith("cannot be written to: no; calibrate a copy of the model\n")


@pytest.mark.usefixtures("any_sound_is_speech")
def test_a_model_without_ctc(
    run: Run, tmp_path: Path, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its words are aligned by attention, and have a confidence then."""
    tokenizer = train_tokenizer(
        ["a b c d"], TokenizerConfig(type="char", size=10), tmp_path / "tokenizer"
    )
    size = {"layers": 1, "dim": 16, "heads": 2, "ff": 16}
    config = ModelConfig.model_validate(
        {
            "encoder": {"type": "transformer", **size},
            "decoder": {"type": "transformer", **size},
            "ctc": False,
        }
    )
    folder = tmp_path / "attention"
    torch.manual_seed(4)
    model = SpeechModel(config, tokenizer.size)
    save_model_folder(
        folder,
        model,
        tokenizer,
        name="attention",
        normalizer=NormalizerConfig(),
        card="",
        search={"ctc_weight": 0.0, "beam": 1},
    )
    manifest = own_words(folder, tmp_path, sound, monkeypatch)
    result = run("calibrate", manifest, "-m", folder, "--device", "cpu")
    assert (result.exit_code, result.stderr) == (0, "")
    [fitted] = [read_folder_config(folder).confidence["without_lm"]]
    assert {"attention", "attention_least"} <= set(fitted["weights"])
    assert not any(name.startswith("ctc") for name in fitted["weights"])
    found = load_model(folder, "cpu").transcribe(sound, RATE)
    sure = [word.confidence for part in found.segments for word in part.words]
    assert sure
    assert all(one is not None and 0 < one < 1 for one in sure)


def test_a_model_in_another_format_has_no_place_for_a_map(
    run: Run, manifest: Path, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "whisper", "ctranslate2")
    result = run("calibrate", manifest, "-m", folder, "--device", "cpu")
    assert result.exit_code == 2
    assert f"(asr import {folder} -o FOLDER)" in result.stderr
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json", "model.bin", "tokenizer.json"
    ]  # fmt: skip


def test_too_little_speech_changes_nothing(run: Run, model: Path) -> None:
    before = (model / "config.yaml").read_bytes()
    result = run("calibrate", SAMPLES / "manifest.jsonl", "-m", model, "--device", "cpu")
    assert result.exit_code == 1
    assert result.stderr.startswith("asr: too few words to fit confidence: one half of the")
    assert (model / "config.yaml").read_bytes() == before
