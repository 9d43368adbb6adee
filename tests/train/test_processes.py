"""Two processes with gloo on the CPU."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from asr.model.folder import load_model_folder
from asr.train.checkpoint import LAST, load_checkpoint

OVERRIDES = (
    "training.devices=2",
    "training.strategy=ddp",
    "training.max_steps=null",
    "training.epochs=6",
    "data.batch_seconds=8",
    "validation={steps: 12, decode: 4}",
    "model.encoder.layer_drop=0.1",
    "loss.consistency_weight=0.2",
    "loss.mwer={nbest: 2, beam: 2, usual_weight: 1, max_labels: 20}",
)

#: `asr`, with a loss that is not finite in one batch of the second epoch: one process sees it.
PROGRAM = """
from asr.cli.main import main
from asr.train.module import SpeechTraining

whole = SpeechTraining.losses

def losses(self, batch, *args, **more):
    bad = more.get("augment") and batch.epoch == 1 and "train-7" in batch.ids
    return whole(self, batch, *args, **more) * (float("nan") if bad else 1.0)

SpeechTraining.losses = losses
if __name__ == "__main__":
    main()
"""


#: `asr`, whose second process gets SIGTERM in its first batch.
SIGNALLED = """
import os, signal
from asr.cli.main import main
from asr.train.module import SpeechTraining

whole = SpeechTraining.training_step

def training_step(self, batch, batch_idx):
    if self.global_rank == 1 and batch.epoch == batch.index == 0:
        os.kill(os.getpid(), signal.SIGTERM)
    return whole(self, batch, batch_idx)

SpeechTraining.training_step = training_step
if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def finished(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two processes."""
    from tests.train.conftest import RECIPE

    values = json.loads(json.dumps(RECIPE))
    for part in ("train", "dev"):
        values["data"][part] = str(corpus / part / "manifest.jsonl")
    folder = tmp_path_factory.mktemp("two")
    (folder / "two.yaml").write_text(json.dumps(values))
    (folder / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(folder / "program.py"), "train", str(folder / "two.yaml")]
    done = subprocess.run(
        [*command, *OVERRIDES],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("model: ") == 1
    assert "for each of 2 processes" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("is not finite; the batch is skipped (1 so far") == 1
    return folder / "exp" / "two"


def test_the_loss_falls(finished: Path) -> None:
    rows = list(csv.DictReader((finished / "training" / "log.csv").open()))
    train = [float(row["loss"]) for row in rows if row["kind"] == "train"]
    assert sum(train[-4:]) < 0.8 * sum(train[:4])
    dev = [float(row["loss"]) for row in rows if row["kind"] == "dev"]
    assert dev[-1] < dev[0]


def test_each_process_has_its_own_share(finished: Path, corpus: Path) -> None:
    """What both have heard in an epoch is the corpus, once."""
    lines = (corpus / "train" / "manifest.jsonl").read_text().splitlines()
    seconds = sum(json.loads(line)["duration"] for line in lines)
    rows = csv.DictReader((finished / "training" / "log.csv").open())
    heard = [float(row["audio_hours"]) * 3600 for row in rows if row["epoch"] == "1"]
    assert heard[0] == pytest.approx(seconds, rel=1e-4)


def test_a_bad_batch_of_one_process_is_skipped_by_both(finished: Path) -> None:
    lines = (finished / "training" / "skipped.txt").read_text().splitlines()
    assert len(lines) == 1
    assert " train-7 " in f"{lines[0]} "
    last = load_checkpoint(finished / "checkpoints" / LAST)
    assert last["run"]["skipped"] == 1
    assert last["run"]["step"] == last["ema"]["steps"]


def test_a_signal_to_one_process_is_the_reason_in_all(finished: Path, tmp_path: Path) -> None:
    """Process 0 did not get the signal, and still prints how to go on."""
    program = tmp_path / "signalled.py"
    program.write_text(SIGNALLED)
    recipe = finished.parents[1] / "two.yaml"
    done = subprocess.run(
        [sys.executable, str(program), "train", str(recipe), *OVERRIDES, "-o", str(tmp_path / "r")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert "interrupted; the same command goes on from here" in done.stderr, done.stderr
    assert load_checkpoint(tmp_path / "r" / "checkpoints" / LAST)["run"]["step"] < 6


def test_the_model_is_whole(finished: Path) -> None:
    assert load_model_folder(finished / "model").model.vocabulary > 3
