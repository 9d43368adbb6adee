"""Blocks of one sample: what does not depend on the length of a block is done once a chunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr.errors import AudioError
from asr.transcribe.recognizer import Recognizer, load_model
from asr.transcribe.streams import stream as module
from tests.conftest import RATE


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Recognizer:
    return load_model(tiny_model, "cpu")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many samples each step of a resampler got."""
    counts = list[int]()
    step = module.Resampler.step

    def counted(self: Any, block: np.ndarray, final: bool) -> np.ndarray:
        counts.append(len(block))
        return step(self, block, final)

    monkeypatch.setattr(module.Resampler, "step", counted)
    return counts


@pytest.mark.parametrize("rate", [RATE, 11025, 3 * RATE])
def test_single_samples_are_resampled_together(
    model: Recognizer, sound: np.ndarray, steps: list[int], rate: int
) -> None:
    sound = sound[:rate]
    whole = model.stream(rate)
    expected = [whole.feed(sound), whole.flush()]
    steps.clear()
    stream = model.stream(rate)
    updates = [stream.feed(sound[at : at + 1]) for at in range(len(sound))]
    updates.append(stream.flush())
    # Near the end of a chunk it takes a sample at a time, as long as the resampler's filter lags.
    assert len(steps) < len(sound) / 5
    assert stream.seconds == len(sound) / rate
    for name in ("text", "start", "end", "tokens"):
        finals = [getattr(one, name) for update in updates for one in update.final]
        assert finals == [getattr(one, name) for update in expected for one in update.final]


def test_a_chunk_is_decoded_when_its_last_sample_comes(
    model: Recognizer, sound: np.ndarray
) -> None:
    """Waiting for more samples must not delay the text."""
    stream = model.stream(RATE, chunk_ms=640)
    need = stream._run.chunk_samples
    stream.feed(sound[: need - 1])
    assert stream._run.state.samples.taken == 0
    stream.feed(sound[need - 1 : need])
    assert stream._run.state.samples.taken == need


def test_a_sample_that_is_refused_changes_nothing(model: Recognizer, sound: np.ndarray) -> None:
    plain, other = model.stream(RATE), model.stream(RATE)
    for at in range(0, RATE, 50):
        plain.feed(sound[at : at + 50])
        other.feed(sound[at : at + 50])
        with pytest.raises(AudioError):
            other.feed(np.array([np.nan], np.float32))
    assert plain.seconds == other.seconds
    assert plain.flush() == other.flush()


def test_reset_drops_what_waits(model: Recognizer, sound: np.ndarray) -> None:
    stream, fresh = model.stream(RATE), model.stream(RATE)
    stream.feed(sound[:100])
    stream.reset()
    assert (stream.feed(sound), stream.flush()) == (fresh.feed(sound), fresh.flush())
