"""The stages of the English CPU recipe fit the recipe and each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from asr.model import ModelConfig
from asr.train.recipe import load_recipe

FOLDER = Path(__file__).parents[2] / "recipes" / "english"
STAGES: dict[str, Any] = yaml.safe_load((FOLDER / "stages.yaml").read_text())


@pytest.mark.parametrize("name", STAGES)
def test_each_stage_is_a_recipe(name: str) -> None:
    recipe = load_recipe(FOLDER / "cpu.yaml", STAGES[name]["set"])
    assert recipe.training.max_steps


@pytest.mark.parametrize("name", STAGES)
def test_weights_come_from_an_earlier_stage_and_fit(name: str) -> None:
    """New labels are said to be new (`partial`); everything else is taken over whole, into an
    encoder of as many layers or more.
    """
    stage = STAGES[name]
    if "from" not in stage:
        assert name == next(iter(STAGES))
        return
    names = list(STAGES)
    assert names.index(stage["from"]) < names.index(name)
    before = load_recipe(FOLDER / "cpu.yaml", STAGES[stage["from"]]["set"])
    recipe = load_recipe(FOLDER / "cpu.yaml", stage["set"])
    layers = [one.model.encoder.model_dump()["layers"] for one in (before, recipe)]
    assert layers == sorted(layers)
    assert _but_depth(recipe.model) == _but_depth(before.model)
    assert stage.get("partial", False) == (recipe.tokenizer != before.tokenizer)


def _but_depth(model: ModelConfig) -> dict[str, Any]:
    values = model.model_dump(exclude={"intermediate_ctc"})
    del values["encoder"]["layers"]
    return values
