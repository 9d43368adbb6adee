"""What `max_time` includes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import asr.train.call_time
import asr.train.loop
import asr.train.report.selection
from asr.train.call_time import EXPORT_SECONDS, CallTime
from asr.train.module import SpeechTraining
from asr.train.recipe import Recipe
from asr.train.report.validation import Validator
from asr.train.run import train


class Clock:
    """A clock that moves on by what is done, and not with the real time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        self.monkeypatch = monkeypatch
        fake = SimpleNamespace(monotonic=lambda: self.seconds)
        for module in (asr.train.call_time, asr.train.loop):
            monkeypatch.setattr(module, "time", fake)

    def takes(self, place: Any, name: str, seconds: float) -> None:
        """Lets each call of a function take so long."""
        function = getattr(place, name)

        def slow(*args: Any, **kwargs: Any) -> Any:
            self.seconds += seconds
            return function(*args, **kwargs)

        self.monkeypatch.setattr(place, name, slow)


@pytest.mark.parametrize("validation_steps", ["5", "null"])  # null: first one after the last step
def test_a_call_is_over_in_time(
    recipe: Callable[..., Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    validation_steps: str,
) -> None:
    clock = Clock(monkeypatch)
    clock.takes(SpeechTraining, "finish_step", 1.0)
    clock.takes(Validator, "run", 10.0 if validation_steps == "5" else 1.0)
    clock.takes(asr.train.report.selection, "export", EXPORT_SECONDS)
    keys = ("training.max_steps=null", f"validation.steps={validation_steps}")
    outcome = train(recipe(*keys, "training.max_time=60"), tmp_path / "run")
    assert outcome.ended == "max_time"
    assert 50 <= clock.seconds - 1000 <= 60


def test_what_is_left_for_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    call = CallTime(100.0)
    clock.seconds += 20
    end = call.end_seconds(2, estimate=5.0)
    assert end == 10 + EXPORT_SECONDS
    assert call.left(end, 5.0, validates=False) == 80 - end
    assert call.left(end, 5.0, validates=True) == 75 - end
    with call.validation():
        clock.seconds += 8
    with call.checkpoint():
        clock.seconds += 1
    assert call.end_seconds(2, estimate=5.0) == 16 + 2 + EXPORT_SECONDS
    call.step_took(3.0)
    assert call.left(0.0, 5.0, validates=True) == 100 - 29 - 8 - 3
    assert not CallTime(None).left(1e9, 0.0, True) <= 0
