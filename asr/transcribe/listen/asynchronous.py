"""The asyncio form: `async for update in asr.stream(source)`."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from asr.audio import PcmFormat
from asr.transcribe.listen.live import AHEAD_SECONDS, Live, samples_in
from asr.transcribe.listen.source import LiveBlocks, LiveSource, open_live
from asr.transcribe.options import OptionValues, TranscribeOptions
from asr.transcribe.recognizer import Recognizer, load_model
from asr.types import StreamUpdate

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")

#: How often a source that has to wait asks whether there is room again.
_ROOM_SECONDS = 0.02


async def stream(
    source: LiveSource,
    *,
    model: Recognizer | None = None,
    sample_rate: int | None = None,
    pcm: PcmFormat = "int16",
    channels: int = 1,
    channel: int | None = None,
    ahead_seconds: float = AHEAD_SECONDS,
    options: TranscribeOptions | None = None,
    **values: Unpack[OptionValues],
) -> AsyncIterator[StreamUpdate]:
    """Listens to a source while the event loop goes on: the model runs in a thread of the stream.

    Args:
        source: as `asr.listen` takes it, and asynchronous ones: an async iterable of blocks, or
            an asyncio.StreamReader of PCM.
        model, sample_rate, pcm, channels, channel, ahead_seconds, options, values: as
            `asr.listen`.

    Yields:
        a `StreamUpdate` for each block, the last one with what `Stream.flush` says. An update is
        made when it is asked for: who is slow to ask has the sound wait, and `lag` says so.
        Cancelling the task, or leaving the loop, drops what was not heard yet and ends the thread.

    Raises:
        AudioError, ConfigError, ModelError: the source or an option cannot be used, or the sound
            broke off; then what was heard has been yielded.
    """
    worker = _Worker()
    live: Live | None = None
    reading: asyncio.Task[None] | None = None
    try:
        recognizer = await worker.run(load_model) if model is None else model
        opened = open_live(
            source, sample_rate, recognizer.sample_rate, pcm, channels, channel, recognizer.limits
        )
        try:
            fed = recognizer.stream(opened.rate, options=options, **values)
            live = Live(fed, opened, ahead_seconds)
        except BaseException:
            opened.close()
            raise
        if opened.later is not None:
            reading = asyncio.create_task(_read(opened, live))
        iterator = live
        while (update := await worker.run(lambda: next(iterator, None))) is not None:
            yield update
    finally:
        if live is not None:
            live.close()
        try:
            if reading is not None:
                reading.cancel()
                await asyncio.wait([reading])
        finally:
            await worker.end()


async def _read(source: LiveBlocks, live: Live) -> None:
    """Brings the blocks of an asynchronous source; waits while there is no room."""
    assert source.later is not None
    backlog = live.backlog
    try:
        async for block in source.later:
            while backlog.full and not backlog.over:
                await asyncio.sleep(_ROOM_SECONDS)
            if not backlog.put(block, samples_in(block)):
                return
        backlog.end()
    except Exception as error:  # handed to who asks for updates
        backlog.end(error)


class _Worker:
    """One thread, in which all work of one stream is done.

    It is a daemon: an executor's thread, waiting for sound in a loop that was left and never
    closed, would keep the program from ending.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None]
        self._work = queue.SimpleQueue()
        self._running: asyncio.Future[Any] | None = None
        self._thread = threading.Thread(target=self._loop, name="asr-stream", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        """Does `work` there. Cancelled, it goes on until it ends by itself; see `end`."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        self._work.put((work, future))
        self._running = asyncio.wrap_future(future)
        return await asyncio.shield(self._running)

    async def end(self) -> None:
        """Waits for what is running, and ends the thread."""
        try:
            if self._running is not None and not self._running.done():
                await asyncio.wait([self._running])
                self._running.exception()  # looked at: nobody asks for it any more
        finally:
            self._work.put(None)
            if self._running is None or self._running.done():  # else cancelled here too
                self._thread.join()

    def _loop(self) -> None:
        while (item := self._work.get()) is not None:
            work, future = item
            try:
                future.set_result(work())
            except BaseException as error:  # handed to the loop
                future.set_exception(error)
