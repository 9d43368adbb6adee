"""All techniques in one run: they go together, and it resumes to the bit."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from asr.train.checkpoint import LAST, load_checkpoint
from asr.train.recipe import Recipe
from asr.train.report.log import TIMED
from asr.train.run import Outcome, train
from asr.transcribe.recognizer import load_model
from tests.train.conftest import write_corpus

EVERYTHING = (
    "tokenizer={type: unigram, size: 12}",
    "data.sample_tokens=true",
    "data.no_speech=true",
    "data.concatenate_seconds=2",
    "data.batch_seconds=8",
    "data.augment.speed.factors=[0.9, 1.0, 1.1]",
    "data.augment.volume.probability=0.5",
    "model.encoder.layer_drop=0.2",
    "model.encoder.layers=3",
    "model.intermediate_ctc=[1, 2]",
    "chunks={full: 0.5, smallest: 2, largest: 6, least_left: 2, most_left: 6}",
    "loss.consistency_weight=0.2",
    "loss.mwer={nbest: 3, beam: 3, usual_weight: 1, max_labels: 20}",
    "loss.leave_out_too_long=true",
    "spec_augment.time_width=10",
    "training.accumulate=2",
    "training.precision=bf16",
    "validation={steps: 2, decode: 4}",
    "checkpoint={keep: 2}",
)


@pytest.fixture
def everything(
    recipe: Callable[..., Recipe], corpus: Path, tmp_path: Path
) -> Callable[[int, str], Outcome]:
    """Trains so many steps with everything switched on, in a folder of the name."""
    noise = write_corpus(tmp_path / "noise", 4, seed=9, texts=[""] * 4)
    sources = json.dumps([str(corpus / "train" / "manifest.jsonl"), str(noise)])

    def run(steps: int, name: str) -> Outcome:
        limits = (f"data.train={sources}", f"training.max_steps={steps}")
        return train(recipe(*EVERYTHING, *limits), tmp_path / name)

    return run


def test_everything_at_once_trains_and_resumes_to_the_bit(
    everything: Callable[[int, str], Outcome], tmp_path: Path
) -> None:
    whole = everything(6, "whole")
    everything(4, "broken")
    resumed = everything(6, "broken")
    rows = log(tmp_path / "whole")
    assert log(tmp_path / "broken")[-2:] == rows[-2:]
    trained = [row for row in rows if row["kind"] == "train"]
    for name in ("ctc", "attention", "intermediate", "consistency", "wer", "grad_norm"):
        assert all(0 < float(row[name]) < 100 for row in trained), name
    assert trained[-1]["skipped"] == "0"
    assert len(_kept(tmp_path / "whole")) == 2
    assert whole.model is not None
    assert resumed.model is not None
    one, other = (load_file(out.model / "model.safetensors") for out in (whole, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)
    silence = torch.zeros(8000).numpy()
    assert isinstance(load_model(whole.model).transcribe(silence, sample_rate=8000).text, str)


def log(folder: Path) -> list[dict[str, str]]:
    """The lines of a run's log, without what the clock decides."""
    rows = list(csv.DictReader((folder / "training" / "log.csv").open()))
    return [{name: value for name, value in row.items() if name not in TIMED} for row in rows]


def _kept(folder: Path) -> dict[int, float]:
    """The snapshots that the last checkpoint knows, with their dev losses."""
    state = load_checkpoint(folder / "checkpoints" / LAST)
    kept: dict[int, float] = state["callbacks"]["SpeechEvaluation"]["kept"]
    return kept
