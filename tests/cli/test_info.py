"""`asr info`: what each kind of folder is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from asr.cli.info import _written
from asr.lm.folder import LMFolderConfig, save_lm_folder
from asr.lm.ngram import NGramConfig
from asr.text import load_tokenizer
from tests.cli.conftest import Run
from tests.lm.made import ngram
from tests.transcribe.small import saved


def test_json_tells_what_a_model_is(run: Run, tiny_model: Path) -> None:
    result = run("info", tiny_model, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    values = json.loads(result.stdout)
    model = values["model"]
    assert model["name"] == "tiny"
    assert model["bytes"] == sum(path.stat().st_size for path in tiny_model.iterdir())
    assert (model["sample_rate"], model["frame_ms"]) == (16000, 80.0)
    assert (model["encoder"], model["decoder"], model["ctc"]) == ("conformer", "transformer", True)
    assert model["chunks"] is True
    assert (model["search"]["beam"], model["facts"]) == (2, {"hours": 0.5})
    assert model["parameters"] > 10_000
    assert values["environment"]["torchaudio_problem"] is None


def rows(printed: str) -> dict[str, str]:
    """Names and values of a table for people."""
    parts = (line.strip().split("  ", 1) for line in printed.splitlines())
    return {part[0]: part[-1].strip() for part in parts}


def test_people_get_words(run: Run, tiny_model: Path) -> None:
    for arguments in ([tiny_model], ["-m", tiny_model]):
        printed = run("info", *arguments).stdout
        found = rows(printed)
        assert printed.startswith("model tiny\n")
        assert found["search"].startswith("--beam 2 --ctc-weight ")
        assert (found["sample rate"], found["streams"]) == ("16,000 Hz", "yes")
        assert found["hours of sound of the last run"] == "0.5"
        assert "a stream encodes" not in found
        assert "torch" in found
        assert "{" not in printed
    assert run("info", tiny_model, "-m", tiny_model).exit_code == 2


def test_a_model_that_cannot_stream_is_told_to_be_one(run: Run, tmp_path: Path) -> None:
    folder = saved(tmp_path, encoder={"type": "test-whole-only"})
    facts = json.loads(run("info", folder, "--json").stdout)["model"]
    assert (facts["chunks"], facts["stream_encodes"]) == (False, 6.0)
    found = rows(run("info", folder).stdout)
    assert found["streams"] == "no"
    assert found["a stream encodes"].startswith("each second up to about 6 times")


def test_shares_are_told_in_per_cent_by_whole_parts_of_their_names() -> None:
    facts = {"dev_wer": {"an4": 0.25}, "accuracy": 0.5, "power": 0.5, "inaccuracy": 0.5}
    found = rows(_written({"model": {"name": "m", **facts}}))
    assert (found["an4"], found["accuracy"]) == ("25.0 %", "50.0 %")
    assert (found["power"], found["inaccuracy"]) == ("0.5", "0.5")


def test_the_model_that_ships_tells_what_it_can_do(run: Run) -> None:
    found = rows(run("info").stdout)
    assert found["librispeech"].endswith(" %")
    assert found["hours of sound of the last run"] == "26.1"
    assert found["steps of the last run"] == "750"
    assert found["labels right, each given the ones before"].endswith(" %")
    assert {"hours", "steps", "loss", "attention", "intermediate", "accuracy"}.isdisjoint(found)
    assert found["with language model"].endswith(" %")
    assert found["language model"].startswith("ngram2 (ngram, ")


def test_a_language_model(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    config = LMFolderConfig(
        name="small",
        vocabulary=tokenizer.size,
        lm=NGramConfig(order=3, prune=0.0),
        facts={"dev_perplexity_word": 241.54},
    )
    lm = ngram(1, tokenizer.size)
    save_lm_folder(run_folder := tmp_path / "run" / "lm", lm, tokenizer, config)
    for folder in (run_folder, run_folder.parent):  # what asr lm -o wrote stands for its model
        printed = run("info", folder).stdout
        assert printed.startswith("language model small\n")
        found = rows(printed)
        assert (found["type"], found["order"], found["labels"]) == (
            "ngram",
            "3",
            str(tokenizer.size),
        )
        assert found["dev perplexity word"] == "241.54"
    values = json.loads(run("info", run_folder, "--json").stdout)
    assert values["model"] is None
    assert values["language_model"]["numbers"] == sum(
        weights.numel() for weights in lm.state_dict().values()
    )


def test_a_tokenizer(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_model / "tokenizer.json", tmp_path)
    found = rows(run("info", tmp_path).stdout)
    assert (found["tokenizer"], found["type"]) == ("tokenizer", "characters")
    assert "a, b, c" in found["the first"]


def test_a_run_that_has_made_nothing_yet(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "training").mkdir()
    log = "kind,step,epoch,loss,wer\ntrain,10,1,2.5,\ndev,10,1,2.25004321,0.75\n"
    (tmp_path / "training" / "log.csv").write_text(log)
    found = rows(run("info", tmp_path).stdout)
    assert found["run"] == "run"
    assert (found["step"], found["dev loss"], found["word error rate"]) == ("10", "2.25", "75.0 %")
    shutil.copytree(tiny_model, tmp_path / "model")
    assert run("info", tmp_path).stdout.startswith("model tiny\n")


def test_what_it_runs_on_is_told_where_no_model_opens(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asr.folders.SHIPPED", tmp_path / "english")
    result = run("info")
    assert result.exit_code == 2
    assert "python" in result.stdout
    assert "ships no model" in result.stderr
    result = run("info", tmp_path, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["model"] is None
    assert "not a model folder" in result.stderr


def test_a_damaged_model_is_not_described(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    result = run("info", folder)
    assert result.exit_code == 2
    assert "model.safetensors: truncated or altered" in result.stderr
