"""`asr.stream`: the loop goes on, nothing is lost, and nothing stays behind."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import asr
from asr.errors import AudioError, ConfigError
from asr.transcribe.listen import asynchronous, listener
from asr.transcribe.listen.source import LiveBlocks, open_live
from asr.transcribe.recognizer import Recognizer, load_model
from asr.transcribe.streams import stream as module
from asr.types import Segment
from tests.cli.conftest import start
from tests.conftest import RATE
from tests.transcribe.listen.live_sources import heard_of, in_blocks, later, pcm_of


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Recognizer:
    return load_model(tiny_model, "cpu")


def threads_that_stay(before: set[threading.Thread]) -> set[threading.Thread]:
    """Threads besides `before`, after they have had time to end."""
    deadline = time.monotonic() + 10
    while (new := {*threading.enumerate()} - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    return new


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Any:
    before = {*threading.enumerate()}
    yield
    assert not threads_that_stay(before)


async def finals(source: Any, model: Recognizer, **options: Any) -> tuple[Segment, ...]:
    updates = asr.stream(source, model=model, **options)
    return tuple([segment async for update in updates for segment in update.final])


def test_every_source_says_what_transcribe_says(
    model: Recognizer, sound: np.ndarray, tmp_path: Path
) -> None:
    data = pcm_of(sound[:RATE])
    soundfile.write(tmp_path / "a.wav", heard_of(data), RATE)
    expected = model.transcribe(heard_of(data), RATE, chunk_ms=640).segments

    async def reader() -> asyncio.StreamReader:
        stream = asyncio.StreamReader()
        stream.feed_data(data)
        stream.feed_eof()
        return stream

    async def main() -> None:
        assert await finals(tmp_path / "a.wav", model) == expected
        assert await finals(later(data), model, sample_rate=RATE) == expected
        assert await finals(await reader(), model, sample_rate=RATE) == expected
        assert await finals(io.BytesIO(data), model, sample_rate=RATE) == expected
        assert await finals(in_blocks(heard_of(data)), model, sample_rate=RATE) == expected
        many = await asyncio.gather(
            *(finals(later(data), model, sample_rate=RATE) for _ in range(3))
        )
        assert many == [expected] * 3

    assert expected
    asyncio.run(main())


def test_the_loop_goes_on_while_the_model_works(
    model: Recognizer, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, threads = module.advance, set[int]()

    def slow(*args: Any) -> Any:
        threads.add(threading.get_ident())
        time.sleep(0.2)
        return original(*args)

    monkeypatch.setattr(module, "advance", slow)

    async def main() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        await finals([sound[:RATE]], model, sample_rate=RATE)
        ticking.cancel()
        return ticks

    assert asyncio.run(main()) >= 10
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_a_consumer_that_is_slow_loses_nothing_and_is_told(
    model: Recognizer, sound: np.ndarray
) -> None:
    async def source() -> AsyncIterator[np.ndarray]:
        for block in in_blocks(sound[:RATE], RATE // 50):
            await asyncio.sleep(0)
            yield block

    async def main() -> tuple[list[float], list[Segment]]:
        lags, heard = [], []
        updates = asr.stream(source(), model=model, sample_rate=RATE, ahead_seconds=0.2)
        async for update in updates:
            lags.append(update.lag)
            heard += update.final
            await asyncio.sleep(0.06)
        return lags, heard

    lags, heard = asyncio.run(main())
    assert tuple(heard) == model.transcribe(sound[:RATE], RATE, chunk_ms=640).segments
    assert max(lags) > 1.0


async def endless(sound: np.ndarray) -> AsyncIterator[np.ndarray]:
    while True:
        yield sound[:1600]
        await asyncio.sleep(0.001)


async def silent() -> AsyncIterator[np.ndarray]:
    await asyncio.sleep(600)
    yield np.zeros(1)


@pytest.mark.parametrize("kind", ["endless", "silent", "full"])
def test_a_cancelled_task_leaves_no_thread(model: Recognizer, sound: np.ndarray, kind: str) -> None:
    """While it hears, while it waits for sound, and while the source waits for room."""

    async def listen() -> None:
        source = silent() if kind == "silent" else endless(sound)
        async for _ in asr.stream(source, model=model, sample_rate=RATE, ahead_seconds=1):
            if kind == "full":
                await asyncio.sleep(600)

    async def main() -> None:
        task = asyncio.create_task(listen())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(500):  # cancelled in its own body, asyncio closes the generator later
            if len(asyncio.all_tasks()) == 1:
                return
            await asyncio.sleep(0.01)
        assert not asyncio.all_tasks()

    asyncio.run(main())


def test_a_program_that_ends_at_once_leaves_no_thread(model: Recognizer, sound: np.ndarray) -> None:
    before = {*threading.enumerate()}

    async def main() -> set[threading.Thread]:
        updates = asr.stream(endless(sound), model=model, sample_rate=RATE)
        await anext(updates)
        return {*threading.enumerate()} - before

    assert asyncio.run(main())  # there was a thread that could have stayed
    assert not threads_that_stay(before)


def test_a_loop_that_is_left_leaves_no_thread(model: Recognizer, sound: np.ndarray) -> None:
    before = {*threading.enumerate()}

    async def main() -> set[threading.Thread]:
        async for _ in asr.stream(endless(sound), model=model, sample_rate=RATE):
            started = {*threading.enumerate()} - before
            break
        return started

    assert asyncio.run(main())  # there was a thread that could have stayed
    assert not threads_that_stay(before)


def test_a_loop_that_was_never_closed_does_not_keep_the_program(tiny_model: Path) -> None:
    code = """
import asyncio, sys, asr
async def silent():
    print("waits", flush=True)
    await asyncio.sleep(600)
    yield b""
loop = asyncio.new_event_loop()
updates = asr.stream(silent(), model=asr.load_model(sys.argv[1], "cpu"), sample_rate=16000)
task = loop.create_task(anext(updates))
loop.run_until_complete(asyncio.sleep(0.3))
"""
    process = start(code, tiny_model)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "waits\n")


def test_errors_come_after_what_was_heard(model: Recognizer, sound: np.ndarray) -> None:
    async def broken() -> AsyncIterator[Any]:
        yield sound
        raise ConnectionResetError("gone")

    heard: list[Segment] = []

    async def listen(source: Any) -> None:
        async for update in asr.stream(source, model=model, sample_rate=RATE):
            heard.extend(update.final)

    expected = model.transcribe(sound, RATE, chunk_ms=640).segments
    for source, error in (
        (broken(), ConnectionResetError),
        ([sound, np.array([np.inf])], AudioError),
    ):
        heard.clear()
        with pytest.raises(error):
            asyncio.run(listen(source))
        assert tuple(heard) == expected


def test_wrong_options_are_errors(model: Recognizer) -> None:
    for error, options in ((ConfigError, {"chunk_ms": 1}), (AudioError, {"sample_rate": None})):
        with pytest.raises(error):
            asyncio.run(finals(later(b""), model, **{"sample_rate": RATE, **options}))


@pytest.mark.parametrize("options", [{"beam": 0}, {"chunk_ms": 100}, {"ahead_seconds": 0}])
def test_a_file_is_closed_where_an_option_is_wrong(
    model: Recognizer,
    sound: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
) -> None:
    soundfile.write(tmp_path / "a.wav", sound, RATE)
    closed = list[bool]()

    def opened(*args: Any) -> LiveBlocks:
        blocks = open_live(*args)

        def close() -> None:
            blocks.close()
            closed.append(True)

        return replace(blocks, close=close)

    for door in (asynchronous, listener):
        monkeypatch.setattr(door, "open_live", opened)
    with pytest.raises(ConfigError):
        asyncio.run(finals(tmp_path / "a.wav", model, **options))
    assert closed == [True]
    with pytest.raises(ConfigError):
        asr.listen(tmp_path / "a.wav", print, model=model, **options)
    assert closed == [True, True]
