"""The callback form, and what it shares with the asyncio one: sources, order, errors, lag."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import asr
from asr.errors import AudioError, ConfigError
from asr.transcribe.recognizer import Recognizer, load_model
from asr.types import Segment, StreamUpdate
from tests.audio.microphones import plugged
from tests.conftest import RATE, SAMPLES
from tests.transcribe.listen.live_sources import Pipe, heard_of, in_blocks, later, pcm_of


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Recognizer:
    return load_model(tiny_model, "cpu")


def listened(source: Any, model: Recognizer, **options: Any) -> tuple[Segment, ...]:
    updates = list[StreamUpdate]()
    asr.listen(source, updates.append, model=model, **options).wait(60)
    return tuple(segment for update in updates for segment in update.final)


def test_every_source_says_what_transcribe_says(
    model: Recognizer, sound: np.ndarray, tmp_path: Path
) -> None:
    data = pcm_of(sound[:RATE])
    expected = model.transcribe(heard_of(data), RATE, chunk_ms=640).segments
    assert expected
    soundfile.write(tmp_path / "a.wav", heard_of(data), RATE)
    assert listened(str(tmp_path / "a.wav"), model) == expected
    assert listened(tmp_path / "a.wav", model, chunk_ms=640) == expected
    for source in (io.BytesIO(data), Pipe(data), [data[:3001], data[3001:]], data, heard_of(data)):
        assert listened(source, model, sample_rate=RATE) == expected
    stereo = np.stack([heard_of(data)] * 2, axis=1)
    assert listened(in_blocks(stereo), model, sample_rate=RATE, channel=1) == expected
    raw = stereo.tobytes()
    assert listened(raw, model, sample_rate=RATE, channels=2, channel=0) == expected
    floats = (heard_of(data) / np.float32(32768)).astype("<f4").tobytes()
    assert listened(floats, model, sample_rate=RATE, pcm="float32") == expected


def test_a_source_may_fill_the_same_buffer_again(model: Recognizer, sound: np.ndarray) -> None:
    sound = sound[:RATE]

    def reused(buffer: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, len(sound), len(buffer)):
            buffer.T[:] = sound[start : start + len(buffer)]
            yield buffer

    expected = model.transcribe(sound, RATE, chunk_ms=640).segments
    for shape in (800, (800, 2)):
        source = reused(np.empty(shape, np.float32))
        assert listened(source, model, sample_rate=RATE, channel=0) == expected


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("quilter.wav", "a WAV file"),
        ("verloc.flac", "a FLAC file"),
        ("tax.mp3", "an MP3 file"),
        ("unscrewing.m4a", "an MP4 file"),
        ("boarding-house.opus", "an Ogg file"),
    ],
)
def test_a_file_is_no_raw_samples(model: Recognizer, name: str, kind: str) -> None:
    data = (SAMPLES / name).read_bytes()
    for source in (io.BytesIO(data), data, [data[:5000], data[5000:]]):
        with pytest.raises(AudioError, match=f"looks like {kind}, not like raw samples"):
            listened(source, model, sample_rate=RATE)


def test_a_microphone_is_listened_to_until_it_is_stopped(
    model: Recognizer, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = plugged(monkeypatch, "Desk")
    updates = list[StreamUpdate]()
    listener = asr.listen(asr.Microphone(), updates.append, model=model)
    pcm = heard_of(pcm_of(sound))
    for block in in_blocks(pcm[:, None]):
        fake.say(block)
    assert listener.running
    listener.stop()
    assert not listener.running
    finals = tuple(segment for update in updates for segment in update.final)
    assert finals == model.transcribe(pcm, RATE, chunk_ms=640).segments


def test_s6_what_an_unplugged_microphone_gave_is_finished(
    model: Recognizer, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = plugged(monkeypatch, "Desk")
    updates = list[StreamUpdate]()
    listener = asr.listen(asr.Microphone(), updates.append, model=model)
    pcm = heard_of(pcm_of(sound))
    fake.say(pcm[:, None])
    fake.unplug()
    with pytest.raises(AudioError, match="'Desk' gives no sound any more"):
        listener.wait()
    finals = tuple(segment for update in updates for segment in update.final)
    assert finals == model.transcribe(pcm, RATE, chunk_ms=640).segments


def test_s3_what_was_heard_before_bad_samples_is_finished(
    model: Recognizer, sound: np.ndarray
) -> None:
    updates = list[StreamUpdate]()
    blocks = [sound, np.array([np.nan], np.float32), sound]
    listener = asr.listen(blocks, updates.append, model=model, sample_rate=RATE)
    with pytest.raises(AudioError, match=r"nan at 3\.000 s"):
        listener.wait()
    finals = tuple(segment for update in updates for segment in update.final)
    assert finals == model.transcribe(sound, RATE, chunk_ms=640).segments


def test_segments_that_ended_in_a_flush_that_fails_come_before_its_error(
    model: Recognizer, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = model.transcribe(sound, RATE, chunk_ms=640).segments[:1]
    updates = list[StreamUpdate]()

    def failing(self: asr.Stream) -> StreamUpdate:
        self._run.ended += ended
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(asr.Stream, "flush", failing)
    listener = asr.listen([sound[:RATE]], updates.append, model=model, sample_rate=RATE)
    with pytest.raises(ZeroDivisionError):
        listener.wait()
    assert ended
    assert updates[-1].final == ended


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (io.StringIO("text"), "opened as text"),
        ([b"\0\0\0"], "within a sample, 1 bytes"),
        ([None], "no agreed full scale"),
        ([np.zeros((2, 2, 2))], r"shape \(2, 2, 2\)"),
    ],
)
def test_wrong_sound_is_an_error_where_it_is_waited_for(
    model: Recognizer, source: Any, said: str
) -> None:
    with pytest.raises(AudioError, match=said):
        asr.listen(source, print, model=model, sample_rate=RATE).wait()


def test_wrong_calls_are_errors_at_once(model: Recognizer, tmp_path: Path) -> None:
    def refused(error: type[Exception], said: str, source: Any, **options: Any) -> None:
        with pytest.raises(error, match=said):
            asr.listen(source, print, model=model, **options)

    refused(AudioError, "pass sample_rate=", [b""])
    refused(AudioError, "not something to listen to", 7, sample_rate=RATE)
    refused(AudioError, "no such file", tmp_path / "gone.wav")
    refused(AudioError, "says its own", tmp_path / "gone.wav", sample_rate=RATE)
    refused(AudioError, r"asynchronous source; .*asr\.stream", later(b""), sample_rate=RATE)
    refused(ConfigError, "chunk_ms", [b""], sample_rate=RATE, chunk_ms=1)
    refused(ConfigError, "ahead_seconds", [b""], sample_rate=RATE, ahead_seconds=0)
    refused(AudioError, "PCM format", [b""], sample_rate=RATE, pcm="int8")


def test_an_error_of_the_callback_or_the_source_comes_out(
    model: Recognizer, sound: np.ndarray
) -> None:
    def fail(_: StreamUpdate) -> None:
        raise ZeroDivisionError

    def source() -> Any:
        yield sound
        raise KeyError("source")

    with pytest.raises(ZeroDivisionError):
        asr.listen([sound], fail, model=model, sample_rate=RATE).wait()
    with pytest.raises(KeyError):
        asr.listen(source(), lambda _: None, model=model, sample_rate=RATE).wait()
    with (
        pytest.raises(ZeroDivisionError),
        asr.listen([sound], fail, model=model, sample_rate=RATE),
    ):
        time.sleep(0.01)


def test_a_callback_may_stop_the_listening(model: Recognizer, sound: np.ndarray) -> None:
    updates = list[StreamUpdate]()

    def once(update: StreamUpdate) -> None:
        updates.append(update)
        listeners[0].stop()

    def endless() -> Any:
        while True:
            yield sound[:1600]
            time.sleep(0.001)

    started = threading.Event()
    listeners = list[asr.Listener]()

    def source() -> Any:
        started.wait(10)
        yield from endless()

    listeners.append(asr.listen(source(), once, model=model, sample_rate=RATE))
    started.set()
    assert listeners[0].wait(30)
    assert len(updates) >= 2


def test_s7_who_is_slow_is_told_so_and_loses_nothing(model: Recognizer, sound: np.ndarray) -> None:
    lags, finals = list[float](), list[Segment]()

    def slow(update: StreamUpdate) -> None:
        lags.append(update.lag)
        finals.extend(update.final)
        time.sleep(0.06)

    def live() -> Any:
        for block in in_blocks(sound[:RATE], RATE // 50):  # 20 ms each
            time.sleep(0.001)
            yield block

    asr.listen(live(), slow, model=model, sample_rate=RATE, ahead_seconds=0.5).wait()
    assert tuple(finals) == model.transcribe(sound[:RATE], RATE, chunk_ms=640).segments
    assert max(lags) > 1.0
    assert lags[-1] > lags[len(lags) // 4]


def test_leaving_by_an_error_ends_the_thread(model: Recognizer, sound: np.ndarray) -> None:
    def endless() -> Any:
        while True:
            yield sound[:160]

    before = threading.active_count()
    with (
        pytest.raises(RuntimeError),
        asr.listen(endless(), lambda _: None, model=model, sample_rate=RATE) as listener,
    ):
        raise RuntimeError
    assert not listener.running
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
