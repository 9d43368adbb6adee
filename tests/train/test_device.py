"""Training on sound that lies on the device, by the clock, with compiled parts."""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from asr.model import SpeechModel
from asr.train import devices
from asr.train.checkpoint import LAST, load_checkpoint
from asr.train.devices import compile_parts
from asr.train.recipe import Recipe
from asr.train.report.log import TIMED
from asr.train.run import train
from tests.train.conftest import RATE


@pytest.fixture
def overrides(tmp_path: Path) -> tuple[str, ...]:
    """A recipe in which everything is drawn and computed on the device."""
    (tmp_path / "rooms").mkdir()
    decay = np.exp(-np.arange(800) / 100) * np.random.default_rng(0).standard_normal(800)
    soundfile.write(tmp_path / "rooms" / "a.wav", decay / np.abs(decay).max(), RATE)
    return (
        "data.cache=device",
        "data.batch_seconds=8",
        "data.augment.speed.factors=[0.9, 1.0, 1.1]",
        f"data.augment.room={{folder: {tmp_path / 'rooms'}, probability: 0.5}}",
        "data.augment.volume.probability=0.5",
        "chunks={full: 0.5, smallest: 2, largest: 6, least_left: 2, most_left: 6}",
        "model.encoder.dropout=0.2",
        "training.accumulate=2",
        "checkpoint={steps: 3, keep: 2}",
        "validation={steps: 4, decode: 2}",
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_in_several_calls_is_the_run_in_one(
    recipe: Callable[..., Recipe], overrides: tuple[str, ...], tmp_path: Path, workers: int
) -> None:
    train(recipe(*overrides, "training.max_steps=7"), tmp_path / "whole")
    for last in (3, 7):
        steps = (f"training.max_steps={last}", f"data.workers={workers}")
        train(recipe(*overrides, *steps), tmp_path / "parts")
    whole, parts = (_train_rows(tmp_path / name) for name in ("whole", "parts"))
    assert len(whole) == 7
    assert whole == parts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second each time that somebody looks at it."""
    seconds = count(1.0)
    monkeypatch.setattr("asr.train.loop.time.monotonic", lambda: next(seconds))


@pytest.mark.usefixtures("clock")
def test_time_that_is_over_ends_a_run_and_its_schedule(
    recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    values = (
        "training.max_steps=null",
        "training.total_time=240",
        "schedule={type: cosine, warmup_steps: 0, floor: 0.0}",
    )
    first = train(recipe(*values, "training.max_time=120"), tmp_path / "run")
    assert first.ended == "max_time"
    halfway = load_checkpoint(tmp_path / "run" / "checkpoints" / LAST)["run"]["clock"]
    assert 40 < halfway < 160  # some of the time is for the end of the call
    second = train(recipe(*values), tmp_path / "run")
    assert second.ended == "total_time"
    rates = [float(row["lr"]) for row in _train_rows(tmp_path / "run")]
    assert all(one >= other for one, other in pairwise(rates))
    assert rates[0] == 0.004
    assert rates[-1] < 0.0003
    assert train(recipe(*values), tmp_path / "run").ended == "total_time"  # and stays ended


@pytest.mark.usefixtures("clock")
def test_time_of_one_call_alone_is_an_end_too(
    recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    values = ("training.max_steps=null", "training.max_time=160", "schedule.type=cosine")
    train(recipe(*values, "schedule.warmup_steps=1"), tmp_path / "run")
    rates = [float(row["lr"]) for row in _train_rows(tmp_path / "run")]
    assert rates[-1] < 0.25 * max(rates)


def test_where_compiling_fails_training_goes_on_without(
    recipe: Callable[..., Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no compiler here\nand a long story")

    monkeypatch.setattr(devices, "_try_part", fails)
    train(recipe("training.max_steps=2", "training.compile=true"), tmp_path / "run")
    told = capsys.readouterr().err
    assert "training.compile: failed, training goes on without it (no compiler here)" in told
    assert len(_train_rows(tmp_path / "run")) == 2


def test_compiled_parts_compute_the_same(
    recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[int] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> Callable[..., object]:
        built.append(1)
        return graph.forward

    plain = nn.Module.compile
    monkeypatch.setattr(
        nn.Module, "compile", lambda self, **named: plain(self, backend=backend, **named)
    )
    model = SpeechModel(recipe().model, 12).eval()
    features, lengths = torch.randn(3, 90, 40), torch.tensor([90, 70, 30])
    before, _ = model.encode(features, lengths)
    assert compile_parts(model, torch.device("cpu"), False, print)
    assert built
    after, _ = model.encode(features, lengths)
    torch.testing.assert_close(before, after)
    assert set(model.state_dict()) == set(SpeechModel(recipe().model, 12).state_dict())


def test_a_profile_says_where_the_time_goes(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    values = ("training.max_steps=24", "log.profile=2", "validation.decode=0")
    train(recipe(*values, "data.batch_seconds=8"), tmp_path / "run")
    told = (tmp_path / "run" / "training" / "profile.txt").read_text()
    assert told.startswith("2 batches in ")
    assert "Self CPU" in told


def _train_rows(run: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader((run / "training" / "log.csv").open()))
    return [
        {name: value for name, value in row.items() if name not in TIMED}
        for row in rows
        if row["kind"] == "train"
    ]
