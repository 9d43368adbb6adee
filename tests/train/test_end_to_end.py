"""From audio to a model that transcribes, through the command line."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import asr
from asr.cli.main import program
from tests.train.conftest import RATE, sound_of

OVERRIDES = (
    "training.max_steps=200",
    "training.ema=0.9",
    "optimizer.lr=0.004",
    "loss.ctc_weight=0.5",
    "spec_augment=null",
    "chunks={full: 0.7, smallest: 4, largest: 8, least_left: 4, most_left: 8}",
    "model.intermediate_ctc=[1]",
    "validation.steps=100",
    "log.tensorboard=true",
    "log.steps=5",
    "log.seconds=1",
)


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The folder and the output of one whole run."""
    import json

    import yaml

    from tests.train.conftest import RECIPE

    folder = tmp_path_factory.mktemp("recipe")
    values = json.loads(json.dumps(RECIPE))
    for part in ("train", "dev"):
        values["data"][part] = str(corpus / part / "manifest.jsonl")
    (folder / "tones.yaml").write_text(yaml.safe_dump(values))
    result = CliRunner().invoke(program, ["train", str(folder / "tones.yaml"), *OVERRIDES])
    assert result.exit_code == 0, result.output
    return folder / "exp" / "tones", result


def test_the_model_transcribes(run: tuple[Path, Result]) -> None:
    model = asr.load_model(run[0] / "model", device="cpu")
    texts = ["ab cab", "abc", "ba ab bac", "cab ba", "bac abc ab"]
    noise = np.random.default_rng(99)
    heard = [model.transcribe(sound_of(text, noise), RATE).text for text in texts]
    wrong = sum(a != b for a, b in zip(texts, heard, strict=True))
    assert wrong <= 1, list(zip(texts, heard, strict=True))


def test_it_says_first_what_it_will_do(run: tuple[Path, Result]) -> None:
    lines = run[1].stderr.splitlines()
    assert lines[0].startswith("data: 40 utterances, 0.01 hours; dev: 8 utterances")
    assert "million parameters; 1 x CPU (threads: 1), float32" in lines[1]
    assert lines[2].startswith("batches per epoch: ")
    assert lines[3] == f"writes to {run[0]}"


def test_it_shows_progress_and_what_it_hears(run: tuple[Path, Result]) -> None:
    told = run[1].stderr
    assert "x real time" in told
    assert " left" in told
    assert "said:  " in told
    assert "heard: " in told
    assert run[1].stdout == f"model: {run[0] / 'model'}\n"


def test_the_model_folder_is_complete(run: tuple[Path, Result]) -> None:
    model = run[0] / "model"
    for name in ("recipe.yaml", "log.csv", "curves.png", "attention.png"):
        assert (model / "training" / name).stat().st_size > 0, name
    for name in ("curves.png", "attention.png"):
        assert (model / "training" / name).read_bytes().startswith(b"\x89PNG")
    card = (model / "README.md").read_text()
    assert "40 utterances" in card
    assert "asr train tones.yaml training.max_steps=200" in card
    assert "word error rate" in card
    assert list((run[0] / "training" / "tensorboard").iterdir())


def test_nothing_is_written_elsewhere(run: tuple[Path, Result]) -> None:
    assert {path.name for path in run[0].parents[1].iterdir()} == {"tones.yaml", "exp"}
    assert {path.name for path in run[0].iterdir()} == {".lock", "checkpoints", "training", "model"}


def test_the_log_has_every_figure(run: tuple[Path, Result]) -> None:
    rows = list(csv.DictReader((run[0] / "training" / "log.csv").open()))
    train = [row for row in rows if row["kind"] == "train"]
    dev = [row for row in rows if row["kind"] == "dev"]
    assert [int(row["step"]) for row in train] == list(range(5, 201, 5))
    assert [int(row["step"]) for row in dev] == [100, 200]
    assert float(train[-1]["loss"]) < 0.6 * float(train[0]["loss"])
    assert float(dev[-1]["loss"]) < float(dev[0]["loss"])
    assert float(dev[-1]["intermediate"]) > 0
    assert 0 <= float(dev[-1]["wer"]) < 0.5


def test_the_card_tells_what_validation_measured(run: tuple[Path, Result]) -> None:
    from asr.model.folder import read_folder_config

    facts = read_folder_config(run[0] / "model").facts
    told = [line for line in run[1].stderr.splitlines() if line.startswith("dev at step 200")]
    assert any(f"loss {facts['dev']['loss']:.3f}" in line for line in told)


def test_the_command_of_the_card_names_the_model(
    run: tuple[Path, Result],
) -> None:
    card = (run[0] / "model" / "README.md").read_text()
    [command] = [line for line in card.splitlines() if "asr transcribe" in line]
    assert shlex.split(command)[2:4] == ["-m", str((run[0] / "model").resolve())]


def test_calling_again_goes_on_and_finds_nothing_to_do(run: tuple[Path, Result]) -> None:
    before = (run[0] / "training" / "log.csv").read_text()
    recipe = run[0].parents[1] / "tones.yaml"
    result = CliRunner().invoke(program, ["train", str(recipe), *OVERRIDES])
    assert result.exit_code == 0, result.output
    assert "goes on after step 200" in result.stderr
    after = (run[0] / "training" / "log.csv").read_text()
    assert after.startswith(before)
    assert (run[0] / "model" / "config.yaml").exists()
