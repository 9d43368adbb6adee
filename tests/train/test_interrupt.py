"""Ctrl-C and SIGTERM: what the first and the second one do, in the steps and after them."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asr.train.checkpoint import LAST, load_checkpoint
from asr.train.module import SpeechTraining
from asr.train.recipe import Recipe
from asr.train.report.selection import SpeechEvaluation
from asr.train.run import train

Load = Callable[..., Recipe]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interruption_ends_with_a_model(
    recipe: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sign: signal.Signals
) -> None:
    finish = SpeechTraining.finish_step

    def interrupt(self: SpeechTraining) -> Any:
        if self.run.step == 1:
            signal.raise_signal(sign)
        return finish(self)

    monkeypatch.setattr(SpeechTraining, "finish_step", interrupt)
    before = signal.getsignal(sign)
    outcome = train(recipe("training.max_steps=50"), tmp_path / "run")
    assert outcome.ended == "interrupted"
    assert outcome.model is not None
    assert (outcome.model / "config.yaml").exists()
    state = load_checkpoint(tmp_path / "run" / "checkpoints" / LAST)
    assert state["run"]["step"] == 2
    assert signal.getsignal(sign) is before


def test_a_second_interruption_ends_at_once(
    recipe: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: SpeechTraining) -> Any:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(SpeechTraining, "finish_step", interrupt)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(recipe(), tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("end", ["training.max_steps=1", "training.max_time=0.000001"])
def test_an_interruption_while_the_model_is_written(
    recipe: Load,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    end: str,
) -> None:
    """The first changes nothing, the second ends at once."""
    finish, count = SpeechEvaluation.finish, 1

    def interrupt(self: SpeechEvaluation, module: SpeechTraining) -> None:
        for _ in range(count):
            signal.raise_signal(signal.SIGINT)
        finish(self, module)

    monkeypatch.setattr(SpeechEvaluation, "finish", interrupt)
    outcome = train(recipe(end), tmp_path / "run")
    assert outcome.ended == end.partition("=")[0].removeprefix("training.")
    assert outcome.model is not None
    told = capsys.readouterr().err
    assert "the model is being written; once more to stop at once" in told
    assert "stopping after this step" not in told
    count = 2
    with pytest.raises(KeyboardInterrupt):
        train(recipe(end), tmp_path / "other")
    assert not (tmp_path / "other" / "model").exists()
