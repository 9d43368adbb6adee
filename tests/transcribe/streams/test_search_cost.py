"""What a second of sound costs: how often the open segment is searched, and how much is open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr.search import SearchResult, continue_search
from asr.transcribe.recognizer import Recognizer, load_model
from asr.transcribe.streams import open_segment as rules
from asr.transcribe.streams import stream_decoder
from asr.transcribe.streams.open_segment import SEARCH_SECONDS
from asr.transcribe.streams.state import StreamState
from tests.conftest import RATE

FRAME = 0.08


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Recognizer:
    return load_model(tiny_model, "cpu")


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, Sequence[Sequence[int]]]]:
    """Of each search: frames, beam, and what it went on from."""
    calls: list[tuple[int, int, Sequence[Sequence[int]]]] = []

    def counted(*args: Any) -> Any:
        _, _, lengths, _, config, prefixes = args
        calls.append((int(lengths.max()), config.beam, prefixes))
        return continue_search(*args)

    monkeypatch.setattr(stream_decoder, "continue_search", counted)
    return calls


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


@pytest.mark.parametrize(("chunk", "apart"), [(80, 0.32), (160, 0.32), (320, 0.32), (640, 0.64)])
def test_an_open_segment_is_searched_at_most_every_320_ms(
    model: Recognizer, searched: list[Any], chunk: int, apart: float
) -> None:
    assert model.frame_seconds == FRAME
    stream = model.stream(RATE, chunk_ms=chunk)
    stream.feed(noise(5.0))
    frames = [size for size, _, _ in searched]
    assert len(frames) > 5
    assert min(np.diff(frames)) * FRAME == pytest.approx(apart)
    before = len(searched)
    stream.flush()
    assert len(searched) == before + 1


def test_an_open_segment_is_searched_with_the_beam_of_a_finished_one(
    model: Recognizer, searched: list[Any]
) -> None:
    stream = model.stream(RATE, beam=8)
    stream.feed(noise(3.0))
    stream.flush()
    beams = [beam for _, beam, _ in searched]
    assert set(beams) == {8}


def test_old_labels_are_not_searched_again_though_hypotheses_never_agree(
    model: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a doubt early in a segment would have every search write all that came since."""
    stream = model.stream(RATE, chunk_ms=160, beam=4)
    original, open_labels = StreamState.update_partial, list[int]()

    def watched(state: StreamState, request: Any, result: SearchResult, writer: Any) -> None:
        original(state, request, result, writer)
        begins = state.open._begins(result.hypotheses[0].tokens[len(state.open.prefixes[0]) :])
        if begins and len(request.memory) > 40:
            open_labels.append(len(request.memory) - begins[0])

    monkeypatch.setattr(StreamState, "update_partial", watched)
    stream.feed(noise(8.0))
    assert open_labels
    allowed = rules.SETTLED_SECONDS + 2 * SEARCH_SECONDS
    assert max(open_labels) * FRAME <= allowed
