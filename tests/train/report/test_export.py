"""When the model folder is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from asr.model.folder import load_model_folder, read_folder_config
from asr.train.recipe import Recipe
from asr.train.report.selection import SpeechEvaluation
from asr.train.report.validation import DevResult
from asr.train.run import train


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The dev losses that validations find from here on, one after the other."""
    told: list[float] = []

    def measure(self: SpeechEvaluation, module: object, what: str = "") -> DevResult:
        return DevResult(told.pop(0), 0, 0, 0, *[0] * _others(), wer=0.0, decoded=0, sample=())

    monkeypatch.setattr(SpeechEvaluation, "measure", measure)
    return told


def _others() -> int:
    """Fields between the first four and `wer`."""
    names = list(DevResult.__dataclass_fields__)
    return names.index("wer") - 4


BEST = ("checkpoint.export=best", "validation.steps=1", "checkpoint.average=none")


def exported(folder: Path) -> tuple[int, float]:
    """The step and the dev loss of a run's model."""
    facts = read_folder_config(folder / "model").facts
    return facts["steps"], facts["dev"]["loss"]


def test_the_best_model_is_there_at_all_times(
    recipe: Callable[..., Recipe], tmp_path: Path, losses: list[float]
) -> None:
    losses += [3.0, 1.0, 2.0]
    outcome = train(recipe("training.max_steps=3", *BEST), tmp_path / "run")
    assert exported(tmp_path / "run") == (2, 1.0)
    assert outcome.model == tmp_path / "run" / "model"


def test_a_resumed_run_remembers_how_good_its_model_is(
    recipe: Callable[..., Recipe], tmp_path: Path, losses: list[float]
) -> None:
    losses += [1.0, 2.0, 0.5]
    train(recipe("training.max_steps=1", *BEST), tmp_path / "run")
    train(recipe("training.max_steps=2", *BEST), tmp_path / "run")
    assert exported(tmp_path / "run") == (1, 1.0)
    train(recipe("training.max_steps=3", *BEST), tmp_path / "run")
    assert exported(tmp_path / "run") == (3, 0.5)


def test_otherwise_the_last_one_counts(
    recipe: Callable[..., Recipe], tmp_path: Path, losses: list[float]
) -> None:
    losses += [1.0, 2.0]
    end = ("validation.steps=1", "checkpoint.average=none")
    train(recipe("training.max_steps=2", *end), tmp_path / "run")
    assert exported(tmp_path / "run") == (2, 2.0)


def test_exporting_on_the_way_changes_no_weights(
    recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    """It draws pictures with the model in evaluation mode: the next step has its dropout again."""
    steps = ("training.max_steps=3", "training.ema=0", "model.encoder.dropout=0.3")
    train(recipe(*steps, *BEST), tmp_path / "best")
    train(recipe(*steps, "checkpoint.average=none"), tmp_path / "end")
    assert exported(tmp_path / "best")[0] == 3
    one, other = (load_model_folder(tmp_path / n / "model").model for n in ("best", "end"))
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
