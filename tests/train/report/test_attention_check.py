"""What is said where attention has not formed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asr.train.recipe import Recipe, load_recipe, make_recipe
from asr.train.report.attention_check import advice, is_due
from asr.train.run import train


def recipe(**values: Any) -> Recipe:
    plain = {"data": {}, "training": {"epochs": 1}, **values}
    return make_recipe(plain, (), "test", Path("/"))


def test_it_names_what_the_recipe_does_not_do_yet() -> None:
    told = advice(recipe(model={"ctc": False}, loss={"ctc_weight": 0}), 0.1, 0.9, 600, 0.5)
    assert told is not None
    assert told.startswith("attention has not formed: the labels do not follow the sound")
    for change in ("data.short_first=1", "spec_augment=null", "loss.ctc_weight=0.3"):
        assert change in told
    told = advice(recipe(data={"short_first": 1}, spec_augment=None), 0.1, 0.9, 600, 0.5)
    assert told is not None
    for change in ("data.short_first=1", "spec_augment=null", "loss.ctc_weight=0.3"):
        assert change not in told
    assert "schedule.warmup_steps=2000" in told


@pytest.mark.parametrize(
    ("diagonality", "step", "progress"),
    [(0.8, 600, 0.5), (0.1, 400, 0.4), (0.1, 600, 0.2), (float("nan"), 600, 0.5)],
)
def test_it_is_silent_where_all_is_well_or_it_is_too_early(
    diagonality: float, step: int, progress: float
) -> None:
    assert advice(recipe(), diagonality, 0.9, step, progress) is None


@pytest.mark.parametrize(
    ("step", "progress", "due"),
    [
        (100, 0.5, True),  # half of a short run
        (499, 0.4, False),
        (500, 0.0, True),  # early in a long one
    ],
)
def test_it_comes_as_soon_as_it_can_be_known(step: int, progress: float, due: bool) -> None:
    short = recipe(schedule={"warmup_steps": 250})
    assert is_due(short, step, progress) is due
    assert (advice(short, 0.1, 0.9, step, progress) is not None) is due


def test_it_waits_for_the_warmup() -> None:
    long = recipe(schedule={"warmup_steps": 1000})
    assert not is_due(long, 1999, 0.1)
    assert is_due(long, 2000, 0.1)


def test_it_does_not_wait_for_a_validation(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ["training.max_steps=8", "validation.steps=100", "training.ema=0", "optimizer.lr=1e-9"]
    train(load_recipe(recipe_file, keys), tmp_path / "run")
    lines = capsys.readouterr().err.splitlines()
    (advised,) = (n for n, line in enumerate(lines) if line.startswith("attention has not"))
    assert advised < next(n for n, line in enumerate(lines) if line.startswith("dev at step 8"))
