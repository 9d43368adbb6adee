"""Words at the borders of joined recordings, by the shipped model too."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from asr.evaluate.corpus import read_utterances
from asr.folders import SHIPPED
from asr.transcribe.recognizer import load_model
from asr.types import Word


@pytest.fixture(scope="module")
def borders(tool: Callable[[str], ModuleType]) -> Any:
    return tool("check_borders")


def test_words_go_to_the_utterance_in_whose_time_they_are(borders: Any) -> None:
    row = borders.Row(np.zeros(0), [(0.0, 1.0, 0.2), (1.2, 2.0, 1.0), (3.0, 4.0, 0.1)])
    words = [Word("a", 0.9, 1.05), Word("b", 1.0, 1.4), Word("c", 1.9, 2.1), Word("d", 4.0, 4.3)]
    assert borders.of_parts(row, words) == [["a"], ["b", "c"], ["d"]]


@pytest.mark.parametrize(
    ("alone", "row", "expected"),
    [
        ("a b c d e f", "a b c d e f", []),
        ("a b c d e f", "x b c d e y", []),  # replaced, neither lost nor doubled
        ("a b c d e f", "a b c d e", [("lost", True)]),
        ("a b c d e f", "a b d e f", [("lost", False)]),
        ("a b c d e f", "a b c x d e f", [("doubled", False)]),
        ("a b c d e f", "a b c d e f f", [("doubled", True)]),
        ("a b c d e f", "", [("lost", at in (0, 1, 4, 5)) for at in range(6)]),
        ("", "a", [("doubled", True)]),
    ],
)
def test_lost_and_doubled_words_are_found(
    borders: Any, alone: str, row: str, expected: list[tuple[str, bool]]
) -> None:
    assert list(borders.differences(alone.split(), row.split())) == expected


def test_the_shipped_model_keeps_words_at_borders(borders: Any, corpora: Path) -> None:
    """With pauses from 0.1 to 3 s: fewer than half of the words at borders are lost or doubled.

    Not none: with another utterance to its left a model writes other words, and one as two. An
    utterance that is lost or said twice has all four of its border words among them.
    """
    if not (SHIPPED / "config.yaml").is_file() or not (corpora / "dev" / "librispeech").is_dir():
        pytest.skip("no shipped model, or no dev/librispeech")
    model, draw = load_model(None, "cpu"), random.Random(1)
    utterances = read_utterances(corpora / "dev" / "librispeech" / "manifest.jsonl")[::25]
    sounds = [borders.load(one, model.sample_rate) for one in utterances]
    sounds = sorted(sounds, key=len)[: borders.ROW]
    row = borders.joined(sounds, model.sample_rate, draw)
    assert len({pause for _, _, pause in row.parts}) >= 3
    in_row = borders.of_parts(row, borders.words_of(model, row.sound, 640))
    found = []
    for sound, said in zip(sounds, in_row, strict=True):
        alone = [word.text for word in borders.words_of(model, sound, 640)]
        assert alone
        found += [kind for kind, border in borders.differences(alone, said) if border]
    assert len(found) < 2 * len(sounds)
