"""The rate that adapting a model starts from: the highest of all its trainings."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from asr.errors import ModelError
from asr.folders import SHIPPED
from asr.model.folder import CONFIG, read_folder_config
from asr.train.adapt.hyperparameters import Amount, settings
from asr.train.adapt.plan import plan
from asr.train.adapt.request import Request
from asr.train.recipe import Recipe
from asr.train.report.peak_lr import peak_lr
from asr.train.run import Start, train

Load = Callable[..., Recipe]
PAGE = Path(__file__).parents[3] / "docs" / "finetuning.md"


def test_a_last_stage_at_a_low_rate_does_not_count(
    recipe: Load, corpus: Path, tmp_path: Path
) -> None:
    first = train(recipe("training.max_steps=1", "optimizer.lr=0.004"), tmp_path / "first").model
    assert first is not None
    low = ("training.max_steps=1", "optimizer.lr=0.00001")
    second = train(recipe(*low), tmp_path / "second", Start(init=first)).model
    assert second is not None
    assert read_folder_config(second).facts["peak_lr"] == 0.004
    # called again, without the model that it started from: the rate is kept in the run
    again = train(recipe("training.max_steps=2", low[1]), tmp_path / "second").model
    assert again is not None
    assert peak_lr(again) == 0.004
    data = corpus / "train" / "manifest.jsonl"
    assert plan(Request(again, data, tmp_path / "adapted")).recipe.optimizer.lr == 0.001


def test_a_folder_that_does_not_say_it(recipe: Load, tmp_path: Path) -> None:
    model = train(recipe("training.max_steps=1"), tmp_path / "run").model
    assert model is not None
    config = yaml.safe_load((model / CONFIG).read_text())
    del config["facts"]["peak_lr"]
    (model / CONFIG).write_text(yaml.safe_dump(config))
    assert peak_lr(model) == 0.004  # of its recipe
    config["facts"]["peak_lr"] = "fast"
    (model / CONFIG).write_text(yaml.safe_dump(config))
    with pytest.raises(ModelError, match=r"facts\.peak_lr must be a learning rate .*'fast'"):
        peak_lr(model)


def test_the_page_shows_the_settings_of_the_shipped_model() -> None:
    page = PAGE.read_text(encoding="utf-8")
    (said,) = re.findall(
        r"(\d+) steps of up to (\d+) s of sound, learning rate up to ([\d.]+)", page
    )
    rate = peak_lr(SHIPPED)
    assert rate is not None
    values = settings(Amount(450, 60 * 3.27, 0.8), False, rate)
    assert (values["training"]["max_steps"], values["data"]["batch_seconds"]) == (
        int(said[0]),
        float(said[1]),
    )
    assert values["optimizer"]["lr"] == float(said[2])
    (chosen,) = re.findall(r"\| ([\d.e-]+) \(chosen\)", page)
    assert values["optimizer"]["lr"] == float(chosen)
