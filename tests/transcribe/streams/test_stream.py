"""How a stream may be used, and what it says when it is used otherwise (FAULTS S1 to S4)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import asr
from asr.errors import AudioError, ConfigError, StreamError
from asr.transcribe.recognizer import Recognizer, load_model
from asr.transcribe.streams import stream as module
from asr.transcribe.streams.stream_decoder import ChunkDecoder
from asr.types import Segment, StreamUpdate
from tests.conftest import RATE


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Recognizer:
    return load_model(tiny_model, "cpu")


def test_it_is_public() -> None:
    assert asr.Stream is module.Stream
    assert asr.feed_many is module.feed_many
    assert asr.EndpointConfig().silence_seconds == 0.7
    assert issubclass(asr.StreamError, asr.AsrError)


def test_feeding_from_two_threads_at_once_is_an_error_and_the_stream_stays_usable(
    model: Recognizer, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = model.stream(RATE)
    entered, leave = threading.Event(), threading.Event()
    original = module.advance

    def slow(runs: Any, *args: Any) -> Any:
        if runs:  # none in the calls that are refused
            entered.set()
            assert leave.wait(10)
        return original(runs, *args)

    monkeypatch.setattr(module, "advance", slow)
    heard: list[StreamUpdate] = []
    thread = threading.Thread(target=lambda: heard.append(stream.feed(sound)))
    thread.start()
    assert entered.wait(10)
    for call in (lambda: stream.feed(sound), stream.flush, stream.reset):
        with pytest.raises(StreamError, match="one thread at a time"):
            call()
    leave.set()
    thread.join()
    last = stream.flush()
    expected = model.transcribe(sound, RATE, chunk_ms=640).segments
    assert (*heard[0].final, *last.final) == expected


def test_a_stream_may_move_to_another_thread(model: Recognizer, sound: np.ndarray) -> None:
    stream = model.stream(RATE)
    thread = threading.Thread(target=stream.feed, args=(sound[:RATE],))
    thread.start()
    thread.join()
    stream.feed(sound[RATE:])
    assert stream.flush().final == model.transcribe(sound, RATE, chunk_ms=640).segments


def test_after_flush_only_reset(model: Recognizer, sound: np.ndarray) -> None:
    stream = model.stream(RATE)
    first = [*stream.feed(sound).final, *stream.flush().final]
    for call in (lambda: stream.feed(sound), stream.flush):
        with pytest.raises(StreamError, match=r"was flushed; call reset\(\)"):
            call()
    stream.reset()
    assert stream.seconds == 0.0
    assert [*stream.feed(sound).final, *stream.flush().final] == first


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (np.array([0.1, np.nan], np.float32), "a sample of nan at 1.000"),
        (np.array([0.1, np.inf], np.float32), "a sample of inf"),
        (np.zeros((10, 2), np.float32), r"shape \(10, 2\); a stream takes one channel"),
        (np.zeros((), np.float32), r"shape \(\)"),
        (np.zeros(10, np.uint8), "uint8 has no agreed full scale"),
        (np.zeros(10, complex), "complex128"),
        (b"\0\0\0", "3 bytes are no whole number"),
        ("sound", "no agreed full scale"),
        (None, "object has no agreed full scale"),
    ],
)
def test_a_wrong_block_is_refused_and_nothing_of_it_taken(
    model: Recognizer, sound: np.ndarray, block: Any, said: str
) -> None:
    stream = model.stream(RATE)
    updates = [stream.feed(sound[:RATE])]
    with pytest.raises(AudioError, match=said):
        stream.feed(block)
    assert stream.seconds == 1.0
    updates += [stream.feed(sound[RATE:]), stream.flush()]
    finals = tuple(segment for update in updates for segment in update.final)
    assert finals == model.transcribe(sound, RATE, chunk_ms=640).segments


def finals(updates: Sequence[StreamUpdate | asr.AsrError]) -> tuple[Segment, ...]:
    """The segments of the updates of one stream, none of which may be an error."""
    assert all(isinstance(update, StreamUpdate) for update in updates)
    return tuple(segment for update in updates for segment in update.final)  # type: ignore[union-attr]


def test_each_stream_has_its_result_or_its_error(model: Recognizer, sound: np.ndarray) -> None:
    good, bad, ended = (model.stream(RATE) for _ in range(3))
    ended.flush()
    nan = np.array([np.nan])
    feeds = [(bad, nan), (good, sound), (ended, sound), (good, sound), (bad, b"\0")]
    broken, update, closed, twice, _ = asr.feed_many(feeds)
    assert isinstance(broken, AudioError)
    assert isinstance(closed, StreamError)
    assert isinstance(twice, StreamError)
    assert "was flushed; call reset()" in str(closed)
    assert "once in a call" in str(twice)
    assert (bad.seconds, good.seconds) == (0.0, 3.0)
    expected = model.transcribe(sound, RATE, chunk_ms=640).segments
    last, closed = asr.flush_many([good, ended])
    assert finals([update, last]) == expected
    assert isinstance(closed, StreamError)
    assert finals([bad.feed(sound), bad.flush()]) == expected  # nothing of its block was taken


def test_streams_with_different_settings_may_be_fed_together(
    model: Recognizer, sound: np.ndarray
) -> None:
    settings = [{"chunk_ms": 160}, {"chunk_ms": 640}, {"chunk_ms": 640, "beam": 1}, {}]
    streams = [model.stream(RATE, **options) for options in settings]  # type: ignore[arg-type]
    asr.feed_many([(stream, sound) for stream in streams])
    for update, options in zip(asr.flush_many(streams), settings, strict=True):
        expected = model.transcribe(sound, RATE, **{"chunk_ms": 640, **options})  # type: ignore[arg-type]
        assert isinstance(update, StreamUpdate)
        assert [one.text for one in update.final] == [one.text for one in expected.segments]


def test_a_stream_that_was_interrupted_says_so(
    model: Recognizer, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = model.stream(RATE)
    with monkeypatch.context() as patch:
        patch.setattr("asr.transcribe.streams.stream_decoder.continue_search", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stream.feed(sound)
    with pytest.raises(StreamError, match=r"was interrupted .* call reset\(\)"):
        stream.feed(sound)
    stream.reset()
    assert stream.feed(sound).partial is not None


def interrupted(*_: Any) -> Any:
    raise KeyboardInterrupt


@pytest.fixture
def speech(sound: np.ndarray) -> np.ndarray:
    """Sound of which the model makes several segments."""
    return np.tile(np.concatenate([sound, np.zeros(2 * RATE, np.float32)]), 2)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[Segment]:
    """Every search fails after one has made the first final segment, which is in the list."""
    ended, original = list[Segment](), ChunkDecoder.apply

    def broken(self: ChunkDecoder, *args: Any) -> Segment | None:
        if ended:
            raise ZeroDivisionError("a bug")
        segment = original(self, *args)
        ended.extend([segment] if segment is not None else [])
        return segment

    monkeypatch.setattr(ChunkDecoder, "apply", broken)
    return ended


def test_segments_that_ended_before_a_failure_are_returned_and_the_error_comes_next(
    model: Recognizer, speech: np.ndarray, failing: list[Segment]
) -> None:
    stream = model.stream(RATE)
    update = stream.feed(speech)
    assert list(update.final) == failing
    assert not stream.ready
    with pytest.raises(ZeroDivisionError, match="a bug"):
        stream.feed(b"")
    with pytest.raises(StreamError, match=r"has failed \(ZeroDivisionError: a bug\)"):
        stream.feed(b"")
    assert stream.undelivered == ()


def test_the_error_of_a_failure_comes_at_the_latest_from_flush(
    model: Recognizer, speech: np.ndarray, failing: list[Segment]
) -> None:
    stream = model.stream(RATE)
    [update] = asr.feed_many([(stream, speech)])
    assert isinstance(update, StreamUpdate)
    assert list(update.final) == failing
    [error] = asr.flush_many([stream])
    assert isinstance(error, StreamError)
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_reset_drops_the_error_of_the_next_call(
    model: Recognizer, speech: np.ndarray, failing: list[Segment]
) -> None:
    stream = model.stream(RATE)
    assert stream.feed(speech).final
    stream.reset()
    assert stream.feed(b"").final == ()


def test_segments_that_ended_in_a_flush_that_fails_are_kept(
    model: Recognizer, speech: np.ndarray, failing: list[Segment]
) -> None:
    stream = model.stream(RATE)
    asr.feed_many([(stream, speech)], max_chunks=1)
    assert not failing  # the chunks are left to `flush`
    with pytest.raises(ZeroDivisionError):
        stream.flush()
    assert failing
    assert list(stream.undelivered) == failing
    with pytest.raises(StreamError, match="has failed"):
        stream.flush()
    assert list(stream.undelivered) == failing
    stream.reset()
    assert stream.undelivered == ()


def test_the_caller_may_use_the_block_again(model: Recognizer, sound: np.ndarray) -> None:
    stream, buffer = model.stream(RATE), np.zeros(1000, np.float32)
    for block in np.split(sound, len(sound) // 1000):
        buffer[:] = block
        stream.feed(buffer)
        buffer[:] = 7.0
    assert stream.flush().final == model.transcribe(sound, RATE, chunk_ms=640).segments


def test_alternatives_come_with_finals(model: Recognizer, sound: np.ndarray) -> None:
    stream = model.stream(RATE, beam=4, nbest=3)
    stream.feed(sound)
    [segment] = stream.flush().final
    assert len(segment.alternatives) == 2
    assert segment == model.transcribe(sound, RATE, chunk_ms=640, beam=4, nbest=3).segments[0]


@pytest.mark.parametrize(
    ("rate", "options", "error"),
    [
        (0, {}, AudioError),
        (16000.5, {}, AudioError),
        (RATE, {"chunk_ms": 100}, ConfigError),
        (RATE, {"left_ms": 1}, ConfigError),
        (RATE, {"beam": 0}, ConfigError),
    ],
)
def test_wrong_options_are_errors_at_once(
    model: Recognizer, rate: Any, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        model.stream(rate, **options)


@pytest.mark.parametrize(
    ("make", "item"),
    [
        (
            lambda stream, sound: [(stream, sound), (None, sound)],
            r"item 1 is \(NoneType, ndarray\)",
        ),
        (lambda stream, sound: [(stream, sound), (stream,)], r"item 1 is \(Stream\)"),
        (lambda stream, sound: [(stream, sound), stream], "item 1 is Stream"),
        (lambda stream, sound: [(stream, sound, 1)], r"item 0 is \(Stream, ndarray, int\)"),
        (lambda stream, sound: stream, "got Stream"),
    ],
)
def test_feeds_of_another_form_are_refused_and_nothing_is_fed(
    model: Recognizer, sound: np.ndarray, make: Any, item: str
) -> None:
    stream = model.stream(RATE)
    with pytest.raises(ConfigError, match=rf"feed_many takes pairs \(stream, samples\), {item}"):
        asr.feed_many(make(stream, sound))
    assert stream.seconds == 0.0


def test_what_is_no_stream_is_not_flushed(model: Recognizer) -> None:
    stream = model.stream(RATE)
    with pytest.raises(ConfigError, match="flush_many takes streams, item 1 is int"):
        asr.flush_many([stream, 5])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="flush_many takes streams, got Stream"):
        asr.flush_many(stream)  # type: ignore[arg-type]
    stream.flush()  # for the first time


@pytest.mark.parametrize("limit", [0, -1, 1.5, float("nan"), "1"])
def test_a_limit_of_chunks_is_a_whole_number(model: Recognizer, limit: Any) -> None:
    with pytest.raises(ConfigError, match=f"max_chunks must be a whole number .* got {limit!r}"):
        asr.feed_many([(model.stream(RATE), b"")], max_chunks=limit)
    assert len(asr.feed_many([(model.stream(RATE), b"")], max_chunks=np.int64(1))) == 1
