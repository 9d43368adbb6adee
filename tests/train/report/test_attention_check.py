"""What is said where attention has not formed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asr.train.recipe import Recipe, make_recipe
from asr.train.report.attention_check import advice


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
    [(0.8, 600, 0.5), (0.1, 400, 0.5), (0.1, 600, 0.2), (float("nan"), 600, 0.5)],
)
def test_it_is_silent_where_all_is_well_or_it_is_too_early(
    diagonality: float, step: int, progress: float
) -> None:
    assert advice(recipe(), diagonality, 0.9, step, progress) is None
