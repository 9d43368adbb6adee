"""Modules that stay as they are while others learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from asr.errors import ConfigError
from asr.model import SpeechModel
from asr.model.folder import load_model_folder
from asr.train.recipe import Recipe
from asr.train.run import Start, train


def weights(folder: Path) -> dict[str, torch.Tensor]:
    model: SpeechModel = load_model_folder(folder).model
    return {name: one.detach().clone() for name, one in model.named_parameters()}


def test_frozen_modules_stay_and_the_others_learn(
    recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    train(recipe("training.max_steps=1"), tmp_path / "first")
    frozen = "training.freeze=[encoder.subsampling, encoder.layers.0]"
    start = Start(init=tmp_path / "first" / "model")
    train(recipe("training.max_steps=3", frozen), tmp_path / "second", start)
    before, after = weights(tmp_path / "first" / "model"), weights(tmp_path / "second" / "model")
    still = {name for name in before if torch.equal(before[name], after[name])}
    expected = {n for n in before if n.startswith(("encoder.subsampling.", "encoder.layers.0."))}
    assert still == expected


@pytest.mark.parametrize("name", ["encoder.layers.7", "encoder.layer", ""])
def test_a_module_that_is_not_there_is_named(
    recipe: Callable[..., Recipe], tmp_path: Path, name: str
) -> None:
    with pytest.raises(ConfigError, match=rf"freeze: the model has no module '{name}'; it has "):
        train(recipe(f"training.freeze=['{name}']"), tmp_path / "run")


def test_freezing_everything_is_refused(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing is left to train"):
        train(recipe("training.freeze=[encoder, ctc, decoder]"), tmp_path / "run")
