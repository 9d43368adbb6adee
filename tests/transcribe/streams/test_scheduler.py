"""Turns of many streams: what shares a batch, whose turn it is, and who ends with an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import asr
from asr.errors import ConfigError, StreamError
from asr.transcribe.recognizer import Recognizer, load_model
from asr.transcribe.streams.chunk_encoder import ChunkEncoder
from asr.transcribe.streams.stream import Stream
from asr.transcribe.streams.stream_decoder import ChunkDecoder
from asr.types import Segment, StreamUpdate
from tests.conftest import RATE

CHUNK = round(0.64 * RATE)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Recognizer:
    return load_model(tiny_model, "cpu")


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the encoder's batches."""
    sizes, original = list[int](), ChunkEncoder._step

    def counted(self: ChunkEncoder, samples: list[np.ndarray], *rest: Any) -> Any:
        sizes.append(len(samples))
        return original(self, samples, *rest)

    monkeypatch.setattr(ChunkEncoder, "_step", counted)
    return sizes


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the search's batches."""
    sizes, original = list[int](), ChunkDecoder.search_many

    def counted(self: ChunkDecoder, requests: Sequence[Any]) -> Any:
        sizes.append(len(requests))
        return original(self, requests)

    monkeypatch.setattr(ChunkDecoder, "search_many", counted)
    return sizes


def segments(*updates: StreamUpdate | asr.AsrError) -> tuple[Segment, ...]:
    assert all(isinstance(update, StreamUpdate) for update in updates)
    return tuple(segment for update in updates for segment in update.final)  # type: ignore[union-attr]


def assert_same(result: Sequence[Segment], expected: Sequence[Segment]) -> None:
    """Equal but for the last digits, which a batch may change."""
    assert expected
    assert [one.tokens for one in result] == [one.tokens for one in expected]
    for one, other in zip(result, expected, strict=True):
        assert (one.start, one.end) == pytest.approx((other.start, other.end), abs=1e-4)
        assert one.score == pytest.approx(other.score, abs=1e-4)


def test_streams_with_different_searches_share_the_encoders_batch(
    model: Recognizer, sound: np.ndarray, encoded: list[int], searched: list[int]
) -> None:
    settings: list[dict[str, Any]] = [
        {"hotwords": ["abc"]},
        {"hotwords": ["abc : 1"]},
        {"hotwords": ["wks"], "hotword_weight": 1.0},
        {"beam": 3},
        {"endpoint": asr.EndpointConfig(silence_seconds=0.4)},
        {},
    ]
    streams = [model.stream(RATE, **options) for options in settings]
    updates = asr.feed_many([(stream, sound) for stream in streams])
    assert encoded == [6] * (len(sound) // CHUNK)
    # Of equal hotwords; of the last two, which differ in what they do not search with; the others.
    assert sorted(searched[:4]) == [1, 1, 2, 2]
    for update, last, options in zip(updates, asr.flush_many(streams), settings, strict=True):
        expected = model.transcribe(sound, RATE, **{"chunk_ms": 640, **options}).segments
        assert_same(segments(update, last), expected)


def test_streams_take_turns_of_one_chunk(
    model: Recognizer, sound: np.ndarray, encoded: list[int]
) -> None:
    long, short = model.stream(RATE), model.stream(RATE)
    asr.feed_many([(long, np.tile(sound, 4)), (short, sound[: 3 * CHUNK])])
    assert encoded[:2] == [2, 2]
    assert set(encoded[2:]) == {1}


def test_a_call_may_be_bounded(model: Recognizer, sound: np.ndarray, encoded: list[int]) -> None:
    long, short = model.stream(RATE), model.stream(RATE)
    [first, _] = asr.feed_many([(long, sound), (short, sound[:CHUNK])], max_chunks=2)
    assert encoded == [1, 1]  # the first chunk takes more samples than 640 ms
    assert long.ready
    assert not short.ready
    received = [first]
    while long.ready:
        received += asr.feed_many([(long, b"")], max_chunks=1)
    assert sum(encoded) == len(sound) // CHUNK
    received.append(long.flush())
    assert segments(*received) == model.transcribe(sound, RATE, chunk_ms=640).segments
    for limit in (0, -1):
        with pytest.raises(ConfigError, match="max_chunks must be a whole number from 1"):
            asr.feed_many([(short, b"")], max_chunks=limit)


def in_blocks(streams: Sequence[Stream], sound: np.ndarray) -> list[list[Any]]:
    """The updates of streams that are fed the same sound in blocks, and flushed."""
    received: list[list[Any]] = [[] for _ in streams]
    for block in np.array_split(sound, 5):
        for updates, update in zip(
            received, asr.feed_many([(s, block) for s in streams]), strict=True
        ):
            updates.append(update)
    for updates, update in zip(received, asr.flush_many(streams), strict=True):
        updates.append(update)
    return received


@pytest.mark.parametrize("part", ["_encode", "_search"])
def test_a_batch_that_fails_is_decoded_one_by_one(
    model: Recognizer, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Nothing is decoded twice, or left out: every stream is to the bit as it is alone."""
    from asr.transcribe.streams import scheduler

    original, failures = getattr(scheduler, part), list[int]()

    def small(items: Sequence[Any], *rest: Any) -> Any:
        result = original(items, *rest)
        if len(items) > 1:
            failures.append(len(items))
            raise torch.OutOfMemoryError("too much")
        return result

    monkeypatch.setattr(scheduler, part, small)
    streams = [model.stream(RATE, hotwords=words) for words in (None, ["abc"], None)]
    received = in_blocks(streams, sound)
    assert set(failures) == {3}
    for updates, words in zip(received, (None, ["abc"], None), strict=True):
        expected = model.transcribe(sound, RATE, chunk_ms=640, hotwords=words).segments
        assert segments(*updates) == expected


@pytest.mark.parametrize("part", ["search_many", "apply"])
def test_only_the_stream_that_fails_alone_ends(
    model: Recognizer, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    streams = [model.stream(RATE) for _ in range(2)]
    guilty = model.stream(RATE, beam=3)
    original = getattr(ChunkDecoder, part)

    def broken(self: ChunkDecoder, *args: Any) -> Any:
        if self.search.beam == 3:
            raise ZeroDivisionError("a bug")
        return original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(ChunkDecoder, part, broken)
        first, failed, second = in_blocks([streams[0], guilty, streams[1]], sound)
        errors = [one for one in failed if not isinstance(one, StreamUpdate)]
        assert len(errors) > 1
        assert all(isinstance(error, StreamError) for error in errors)
        assert isinstance(errors[0].__cause__, ZeroDivisionError)
        assert all("has failed (ZeroDivisionError: a bug); call reset()" in str(e) for e in errors)
        with pytest.raises(StreamError, match="has failed"):
            guilty.feed(sound)
        guilty.reset()
        with pytest.raises(ZeroDivisionError):  # of one stream the exception itself
            guilty.feed(sound)
    expected = model.transcribe(sound, RATE, chunk_ms=640).segments
    assert_same(segments(*first), expected)
    assert_same(segments(*second), expected)
    guilty.reset()
    expected = model.transcribe(sound, RATE, chunk_ms=640, beam=3).segments
    assert segments(guilty.feed(sound), guilty.flush()) == expected
