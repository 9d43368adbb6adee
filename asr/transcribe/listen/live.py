"""A stream together with its source: one thread reads, another hears."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from asr.errors import AudioError, ConfigError
from asr.transcribe.listen.backlog import END, Backlog
from asr.transcribe.listen.source import LiveBlocks
from asr.transcribe.streams.stream import Stream
from asr.types import StreamUpdate

#: Sound that is read ahead of what was heard; past it the source has to wait.
AHEAD_SECONDS = 10.0


class Live:
    """Iterate over what a stream hears of its source; the last update is that of `flush`.

    A source that is not asynchronous is read in a thread of its own, so that one that cannot wait
    (a pipe that a recorder writes to) does not have to. Where the sound breaks off (an error of the
    source, or samples that are none), what was heard until then becomes final and is handed out;
    then the error comes.

    The thread is a daemon: a source that waits for ever does not keep a program from ending.
    """

    def __init__(
        self, stream: Stream, source: LiveBlocks, ahead_seconds: float = AHEAD_SECONDS
    ) -> None:
        if not 0 < ahead_seconds < math.inf:
            raise ConfigError(f"ahead_seconds must be above 0 and finite, got {ahead_seconds}")
        self.stream = stream
        self.backlog = Backlog(stream.sample_rate, ahead_seconds)
        self._source = source
        self._error: BaseException | None = None
        self._flushed = False
        if source.blocks is not None:
            threading.Thread(target=self._read, name="asr-source", daemon=True).start()

    def __iter__(self) -> Iterator[StreamUpdate]:
        return self

    def __next__(self) -> StreamUpdate:
        """What the next block added, when it has come.

        Raises:
            AsrError: the sound broke off.
        """
        if self._flushed:
            error, self._error = self._error, None
            if error is not None:
                raise error
            raise StopIteration
        block = self.backlog.take()
        if block is END:
            self._error = self.backlog.error
            return self._last()
        try:
            update = self.stream.feed(block)
        except AudioError as error:
            self._error = error
            return self._last()
        return replace(update, lag=self.backlog.lag)

    def stop(self) -> None:
        """Reads no more. What has been read is heard, and the iteration ends. From any thread."""
        if self._source.wake is None:
            self.backlog.end()
        else:
            self._source.wake()  # ends the source, behind what waits in it

    def close(self) -> None:
        """Ends at once; what was read and not heard is dropped. From any thread, and twice."""
        self.backlog.close()
        if self._source.wake is not None:
            self._source.wake()

    def _last(self) -> StreamUpdate:
        lag = self.backlog.lag
        self.backlog.close()
        self._flushed = True
        try:
            update = self.stream.flush()
        except Exception as error:
            if not self.stream.undelivered:
                raise
            self._error = error
            update = StreamUpdate(self.stream.undelivered, None, 0)
        return replace(update, lag=lag)

    def _read(self) -> None:
        """Brings the blocks of the source, in its thread."""
        assert self._source.blocks is not None
        try:
            for block in self._source.blocks:
                if not self.backlog.put(block, samples_in(block)):
                    return
            self.backlog.end()
        except BaseException as error:  # handed to the thread that listens
            self.backlog.end(error)
        finally:
            self._source.close()


def samples_in(block: Any) -> int:
    """Samples of a block; what is none counts as nothing, and is refused when it is fed."""
    try:
        return len(block)
    except TypeError:
        return 0
