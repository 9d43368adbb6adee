"""Whisper's encoder and decoder are trained: all weights, or low-rank changes of them."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch
import yaml

from asr.errors import TrainingError
from asr.model.folder import load_model_folder
from asr.search import SearchConfig
from asr.train.recipe import load_recipe
from asr.train.run import Start, train
from asr.transcribe.files.segment_decoder import SegmentDecoder
from asr.transcribe.language import LanguageSetting
from tests.train.whisper import AS_WRITTEN, MODEL, TEXTS, write_model, write_sounds

LORA = "training.lora={rank: 4, alpha: 8}"
#: What that changes.
LOW_RANK = ("to_query.weight", "to_keys_values.weight")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("whisper") / "small")


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    for part, count in (("train", 12), ("dev", 3)):
        write_sounds(folder / part, count)
    values = {
        "data": {"train": "train", "dev": "dev", "batch_seconds": 8, "max_seconds": 2,
                 "workers": 0},
        "loss": {"ctc_weight": 0, "label_smoothing": 0},
        "spec_augment": None,
        "optimizer": {"lr": 0.01},
        "schedule": {"type": "constant", "warmup_steps": 5},
        "training": {"max_steps": 48, "accelerator": "cpu", "precision": "32", "threads": 1,
                     "ema": 0},
        "checkpoint": {"average": "none"},
        "validation": {"steps": 1000, "decode": 3},
        "log": {"steps": 1, "tensorboard": False},
    }  # fmt: skip
    (folder / "sounds.yaml").write_text(yaml.safe_dump(values))
    return folder / "sounds.yaml"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        name: weight.detach() for name, weight in load_model_folder(folder).model.named_parameters()
    }


def losses(folder: Path) -> list[float]:
    rows = csv.DictReader((folder / "training" / "log.csv").open())
    return [float(row["loss"]) for row in rows if row["kind"] == "train"]


def test_it_learns_to_write_texts_as_they_are(
    base: Path, recipe_file: Path, tmp_path: Path
) -> None:
    """From random weights, with capitals, marks and characters of several labels."""
    outcome = train(load_recipe(recipe_file, init=base), tmp_path / "run", Start(init=base))
    assert outcome.model is not None
    course = losses(tmp_path / "run")
    assert course[-1] < 0.05 < 3 < course[0]
    loaded = load_model_folder(outcome.model)
    setting = LanguageSetting(loaded.tokenizer.labels)
    # not a recogniser, which would find no speech in these sounds
    decode = SegmentDecoder(loaded.model, setting, SearchConfig(beam=1, ctc_weight=0))
    dev = recipe_file.parent / "dev"
    sounds = [soundfile.read(dev / f"{number}.wav", dtype="float32")[0] for number in range(3)]
    written = [loaded.tokenizer.decode(best.tokens) for best, *_ in decode(sounds)]
    assert written == list(TEXTS)
    assert loaded.config.model == MODEL
    assert loaded.config.normalizer == AS_WRITTEN


def test_low_rank_training_goes_on_bit_equal_and_gives_an_ordinary_model(
    base: Path, recipe_file: Path, tmp_path: Path
) -> None:
    """Averages over steps and over snapshots take part."""
    more = [LORA, "training.ema=0.5", "validation.steps=1", "checkpoint.average=last"]

    def run(folder: str, steps: int) -> Path:
        recipe = load_recipe(recipe_file, [*more, f"training.max_steps={steps}"], base)
        outcome = train(recipe, tmp_path / folder, Start(init=base))
        assert outcome.model is not None
        return outcome.model

    run("parts", 2)
    whole, parts = weights(run("whole", 4)), weights(run("parts", 4))
    before = weights(base)
    assert whole.keys() == before.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    changed = {name for name in whole if not torch.equal(whole[name], before[name])}
    assert changed == {name for name in before if name.endswith(LOW_RANK)}
    with pytest.raises(TrainingError, match=r"training\.lora\.rank was 4, is 8"):
        train(load_recipe(recipe_file, [*more, "training.lora.rank=8"], base), tmp_path / "parts")


def test_a_text_may_have_as_many_labels_as_the_decoder_takes(
    base: Path, recipe_file: Path, tmp_path: Path
) -> None:
    """Batches are padded to whole steps of labels, which are more than it takes."""
    manifest = write_sounds(tmp_path / "long", 3)
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    labels = load_model_folder(base).tokenizer
    most = MODEL.decoder.positions - len(labels.labels.start)  # type: ignore[union-attr]
    lines[0]["text"] = "7" * (most - 1)  # behind a space, which is a label too
    assert len(labels.encode(lines[0]["text"])) == most
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    more = [f"data.train={manifest}", f"data.dev={manifest}", "data.leakage=allow"]
    train(
        load_recipe(recipe_file, [*more, "training.max_steps=2"], base),
        tmp_path / "run",
        Start(init=base),
    )
    assert len(losses(tmp_path / "run")) == 2


def test_two_processes(base: Path, recipe_file: Path, tmp_path: Path) -> None:
    """With gloo on the CPU, rows of several lengths in each of them."""
    settings = [LORA, "training.devices=2", "training.max_steps=8", "data.batch_seconds=3"]
    (tmp_path / "program.py").write_text("from asr.cli.main import main\nmain()\n")
    command = [sys.executable, str(tmp_path / "program.py"), "train"]
    command += [str(recipe_file), "--init", str(base), "-o", str(tmp_path / "run"), *settings]
    done = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert "for each of 2 processes" in done.stderr
    course = losses(tmp_path / "run")
    assert len(course) == 8
    assert course[-1] < course[0]
    before, after = weights(base), weights(tmp_path / "run" / "model")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.endswith(LOW_RANK)}
