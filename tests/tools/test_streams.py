"""What the programs that run streams for long judge by."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from asr.types import Segment, Word

WORDS = (Word("a", 0.1, 0.4), Word("b", 0.5, 0.9))
SEGMENT = Segment("a b", 0.0, 1.0, WORDS, -1.0, {"ctc": -3.0}, (4, 5))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, None),
        ({"score": -1.00005}, None),
        ({"text": "a c"}, "texts"),
        ({"tokens": (4, 6)}, "labels"),
        ({"words": WORDS[:1]}, "words"),
        ({"words": (WORDS[0], replace(WORDS[1], end=0.8))}, "times or scores"),
        ({"scores": {"ctc": -3.1}}, "times or scores"),
        ({"end": 1.001}, "times or scores"),
    ],
)
def test_every_difference_is_found(
    tool: Callable[[str], ModuleType], changed: dict[str, Any], said: str | None
) -> None:
    check = tool("check_stream_equals_batch")
    assert check.difference([SEGMENT], [replace(SEGMENT, **changed)]) == said
    assert check.difference([SEGMENT], []) == "texts"


def test_pieces_are_the_sound(tool: Callable[[str], ModuleType]) -> None:
    sound = np.arange(50_000, dtype=np.float32)
    found = tool("check_stream_equals_batch").pieces(sound, 16000, random.Random(1))
    assert np.array_equal(np.concatenate(found), sound)
    assert len({len(piece) for piece in found}) > 3


def test_a_line_is_fitted_with_its_error(tool: Callable[[str], ModuleType]) -> None:
    soak = tool("soak_stream")
    seconds = [60.0 * minute for minute in range(60)]
    exact = soak.fit(seconds, [100 + 2 * second / 3600 for second in seconds])
    assert exact.an_hour == pytest.approx(2.0)
    assert exact.error == pytest.approx(0.0, abs=1e-9)
    noise = np.random.default_rng(1).normal(0, 1, 60)
    flat = soak.fit(seconds, 100 + noise)
    assert abs(flat.an_hour) < 2 * flat.error
    assert flat.error == pytest.approx(1 / np.sqrt(60 / 12), rel=0.2)
