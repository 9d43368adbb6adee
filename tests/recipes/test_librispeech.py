"""recipes/librispeech on a few utterances in LibriSpeech's own folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.data.manifest import read_manifest
from asr.model.folder import load_model_folder
from asr.train.recipe import load_recipe

RECIPE = Path(__file__).parents[2] / "recipes" / "librispeech"
PARTS = ("train-clean-100", "dev-clean", "dev-other", "test-clean", "test-other")
#: Sizes that train in seconds.
TINY = (
    "model.encoder={layers: 1, dim: 32, heads: 2, ff: 64, kernel: 5, subsampling: {channels: 4}}",
    "model.decoder={layers: 1, dim: 32, heads: 2, ff: 64}",
    "model.intermediate_ctc=[]",
    "tokenizer={type: char, size: 64}",
    "data.batch_seconds=60",
    "data.workers=0",
    "schedule.warmup_steps=2",
    "training.epochs=2",
    "training.threads=1",
    "training.precision=32",
    "validation.decode=4",
    "log.tensorboard=false",
)
TWO_PROCESSES = ("training.devices=2", "training.strategy=ddp", "training.accelerator=cpu")


def prepare(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RECIPE / "prepare.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


def utterance(folder: Path, part: str, key: str, text: str, samples: np.ndarray) -> None:
    """One more utterance of a chapter, as FLAC, with its line of the chapter's transcript."""
    speaker, chapter, _ = key.split("-")
    place = folder / part / speaker / chapter
    place.mkdir(parents=True, exist_ok=True)
    soundfile.write(place / f"{key}.flac", samples, 16000)
    with (place / f"{speaker}-{chapter}.trans.txt").open("a") as listing:
        listing.write(f"{key} {text}\n")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LibriSpeech with a few utterances of noise in each part."""
    folder = tmp_path_factory.mktemp("corpora") / "LibriSpeech"
    noise = np.random.default_rng(0)
    words = ["ALL", "THAT", "GLITTERS", "IS", "NOT", "GOLD", "SAID", "SHE", "QUIETLY", "BEFORE"]
    for number, part in enumerate(PARTS):
        for n in range(12 if number == 0 else 2):
            text = " ".join(noise.choice(words, 5))
            samples = noise.normal(0, 0.1, 16000 * 3 + 100 * n)
            key = f"{100 * number + n % 3}-{7 + n % 2}-{n:04}"
            utterance(folder, part, key, text, samples)
    return folder


@pytest.fixture(scope="module")
def data(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What prepare.py makes of it."""
    folder = tmp_path_factory.mktemp("recipe") / "data"
    done = prepare(tree, "--hours", "100", "--jobs", 2, "-o", folder)
    assert done.returncode == 0, done.stderr
    assert "train-clean-100: 12 utterances" in done.stdout
    return folder


def test_the_manifests_are_the_corpus(tree: Path, data: Path) -> None:
    cuts = list(read_manifest(data / "train-100.jsonl.gz"))
    listings = sorted((tree / "train-clean-100").rglob("*.trans.txt"))
    lines = [line.split(" ", 1) for one in listings for line in one.read_text().splitlines()]
    assert {cut.id: cut.supervisions[0].text for cut in cuts} == dict(lines)
    first = cuts[0]
    assert first.supervisions[0].speaker == first.id.split("-")[0]
    assert Path(first.recording.sources[0].source).is_file()
    assert first.duration == pytest.approx(3, abs=0.1)
    for part in PARTS[1:]:
        assert len(list(read_manifest(data / f"{part}.jsonl.gz"))) == 2


def test_a_copy_that_is_not_whole(tree: Path, tmp_path: Path) -> None:
    done = prepare(tree, "--hours", "960", "-o", tmp_path)
    assert done.returncode == 1
    assert "no train-clean-360, train-other-500" in done.stderr
    place = tmp_path / "LibriSpeech"
    for part in PARTS:
        utterance(place, part, "1-2-0000", "ONE TWO", np.zeros(16000))
    next((place / "dev-other").rglob("*.flac")).unlink()
    done = prepare(place, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "1 of 1 recordings of its transcripts are missing, the first " in done.stderr
    assert "Traceback" not in done.stderr


def test_two_processes_train_by_the_recipe(data: Path, tmp_path: Path) -> None:
    """The rehearsal: the recipe itself, with a model and batches for seconds."""
    named = [f"data.{key}={value}" for key, value in _sets(data).items()]
    done = train([*named, *TINY, *TWO_PROCESSES], tmp_path / "run")
    assert "for each of 2 processes" in done.stderr
    assert load_model_folder(tmp_path / "run" / "model").model.vocabulary > 3


@pytest.mark.slow
def test_rehearsal_on_real_speech(corpora: Path, tmp_path: Path) -> None:
    """Mini LibriSpeech as FLAC in LibriSpeech's folders, prepared and trained on for two epochs."""
    source = corpora / "train" / "librispeech-clean-5"
    lines = (source / "manifest.jsonl").read_text().splitlines()
    entries = [one for one in map(json.loads, lines) if one["duration"] < 6][:60]
    for n, entry in enumerate(entries):
        samples, _ = soundfile.read(source / entry["audio_filepath"], dtype="float32")
        part = PARTS[0] if n < 40 else PARTS[1 + n % 4]
        utterance(tmp_path / "LibriSpeech", part, entry["id"], entry["text"], samples)
    done = prepare(tmp_path / "LibriSpeech", "-o", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    named = [f"data.{key}={value}" for key, value in _sets(tmp_path / "data").items()]
    train([*named, *TINY, *TWO_PROCESSES], tmp_path / "run")
    recipe = load_recipe(tmp_path / "run" / "training" / "recipe.yaml")
    assert recipe.training.epochs == 2


def _sets(data: Path) -> dict[str, str]:
    dev = [str(data / f"{part}.jsonl.gz") for part in ("dev-clean", "dev-other")]
    return {"train": str(data / "train-100.jsonl.gz"), "dev": json.dumps(dev)}


def train(overrides: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    program = "from asr.cli.main import main; main()"
    # the processes that Lightning starts run what this one runs: a file, not -c
    script = folder.parent / "program.py"
    script.write_text(f'if __name__ == "__main__":\n    {program}\n')
    command = [sys.executable, str(script), "train", str(RECIPE / "conformer.yaml")]
    done = subprocess.run(
        [*command, *overrides, "-o", str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(RECIPE.parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done
