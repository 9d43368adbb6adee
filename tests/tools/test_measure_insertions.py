"""What is counted as invented, and that the shipped model invents nothing."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from asr import Segment, Transcript, Word, load_model
from asr.folders import SHIPPED
from tests.conftest import RATE, SAMPLES

Tool = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def tools(tool: Tool) -> tuple[ModuleType, ModuleType]:
    unspoken = tool("unspoken")
    return tool("measure_insertions"), unspoken


def test_loops_are_counted(tools: tuple[ModuleType, ModuleType]):
    loops = tools[0].loops
    assert loops("no no, no") == 0
    assert loops("a no no no b") == 1
    assert loops("of the sea of the sea of the sea of the sea and so on") == 1
    assert loops("a a a b c b c b c") == 2
    assert loops("") == 0


def test_words_are_invented_in_silence_and_in_pauses(tools: tuple[ModuleType, ModuleType]):
    measure = tools[0]
    sound = np.zeros(RATE, np.float32)
    words = tuple(Word(text, at, at + 0.4) for text, at in [("a", 1.0), ("b", 12.0), ("c", 31.0)])
    said = Transcript((Segment("a b c", 1.0, 31.4, words),), 40.0, "made")
    assert measure.invented(measure.Case("x", sound), said, "a b c") == 3
    assert measure.invented(measure.Case("x", sound, "a c", (2.0, 30.0)), said, "a b c") == 1
    assert measure.invented(measure.Case("x", sound, "a c"), said, "a b c") == 1


def test_sounds_are_as_long_as_asked_and_the_same_each_time(tools: tuple[ModuleType, ModuleType]):
    for make in tools[1].KINDS.values():
        one, again = (make(1.7, RATE, np.random.default_rng(3)) for _ in range(2))
        assert one.dtype == np.float32
        assert one.shape == (round(1.7 * RATE),)
        assert np.isfinite(one).all()
        assert np.abs(one).max() <= 1.0
        assert np.array_equal(one, again)


@pytest.mark.skipif(not (SHIPPED / "config.yaml").is_file(), reason="no model ships here")
@pytest.mark.parametrize("ctc_weight", [None, 0.0])
def test_the_shipped_model_writes_nothing_without_speech(
    tools: tuple[ModuleType, ModuleType], ctc_weight: float | None
):
    measure, unspoken = tools
    model = load_model(None, "cpu", lm=False)
    draw = np.random.default_rng(5)
    cases = [measure.Case(kind, make(4.0, RATE, draw)) for kind, make in unspoken.KINDS.items()]
    table = measure.measure(model, cases, False, ctc_weight=ctc_weight, beam=4)
    assert {kind: row[1:] for kind, row in table.items()} == dict.fromkeys(unspoken.KINDS, (0, 0))


@pytest.mark.skipif(not (SHIPPED / "config.yaml").is_file(), reason="no model ships here")
def test_a_long_pause_stays_empty(tools: tuple[ModuleType, ModuleType]):
    from asr.audio import load_audio

    measure, unspoken = tools
    model = load_model(None, "cpu", lm=False)
    speech = load_audio(SAMPLES / "quilter.wav", RATE).samples
    pause = unspoken.hiss(30.0, RATE, np.random.default_rng(1))
    text = model.transcribe(speech, RATE, beam=4).text
    case = measure.Case(
        "pause",
        np.concatenate([speech, pause, speech]),
        f"{text} {text}",
        (len(speech) / RATE, len(speech) / RATE + 30.0),
    )
    for chunk_ms in (None, 640.0):
        table = measure.measure(model, [case], False, beam=4, chunk_ms=chunk_ms)
        assert table["pause"][1:] == (0, 0)
