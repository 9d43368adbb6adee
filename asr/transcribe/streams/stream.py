"""Live transcription: an object that is fed samples and returns what was said in them.

    stream = model.stream(sample_rate=48000)
    for block in microphone:
        update = stream.feed(block)
    update = stream.flush()

Guarantees of a stream (tested in `tests/transcribe/streams/test_guarantees.py`): final segments
never change, nor do the first `stable` characters of a partial text; times never decrease; how the
samples are cut into blocks changes nothing; `feed` and `flush` give what
`transcribe(..., chunk_ms=...)` gives; streams do not influence each other; cost and memory do not
grow with the length of the stream.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from asr.audio import BlockReader, Resampler
from asr.audio.samples import concatenated
from asr.errors import AsrError, ConfigError, StreamError
from asr.transcribe.streams.scheduler import StreamRun, advance
from asr.transcribe.streams.stream_decoder import StreamDecoder
from asr.types import Segment, StreamUpdate

_NOTHING = np.zeros(0, np.float32)


class Stream:
    """One live source of sound. Made by `Recognizer.stream`; may be dropped at any moment.

    A stream may move between threads, but two calls at once are an error: the order of their blocks
    would be random.
    """

    def __init__(self, decoder: StreamDecoder, sample_rate: int) -> None:
        self._decoder = decoder
        self.sample_rate = BlockReader(sample_rate).rate
        self._lock = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._read = BlockReader(self.sample_rate)
        self._resampler = Resampler(self.sample_rate, self._decoder.model.sample_rate)
        self._run = StreamRun.new(self._decoder)
        self._fed_samples = 0
        self._shown = ""
        """The partial text of the last update."""
        self._waiting: list[np.ndarray] = []
        """Blocks that are not resampled yet."""
        self._due = 0
        """With fewer samples than this since the start, the next chunk cannot be whole."""
        self._closed: str | None = None
        """Why nothing can be fed any more; completes "this stream"."""
        self._error: Exception | None = None
        """What ended the stream, until a call raises it."""

    @property
    def seconds(self) -> float:
        """Seconds of sound that were fed since the start or the last `reset`."""
        return self._fed_samples / self.sample_rate

    @property
    def ready(self) -> bool:
        """Whether a whole chunk is queued, as `feed_many(..., max_chunks=...)` may leave it."""
        return self._run.ready

    @property
    def undelivered(self) -> tuple[Segment, ...]:
        """Final segments that no update delivered; empty unless a call failed.

        They ended in a `flush` that failed later, or in a call that was interrupted.
        """
        return tuple(self._run.ended)

    def feed(self, samples: Any) -> StreamUpdate:
        """Decodes the next samples, with all that are queued.

        Where decoding fails after segments have ended, the update with these is returned, and the
        next call raises the error.

        Args:
            samples: (n,), n from 0: floats in [-1, 1] or int16, a numpy array, a tensor on the
                CPU or a list of floats; or bytes, 16-bit PCM, little endian. They are copied.

        Returns:
            the segments that ended since the last update, and the open one as it looks now.

        Raises:
            AudioError: these are no samples; nothing of the block is taken.
            StreamError: the stream was flushed or has failed, or another thread is feeding it.
        """
        return self._step(samples, final=False)

    def flush(self) -> StreamUpdate:
        """Ends the stream: the open segment becomes final. Only `reset` may follow.

        Where decoding fails, the segments that ended before are in `undelivered`.

        Raises:
            StreamError: the stream was flushed already or has failed, or another thread is feeding
                it.
        """
        return self._step(_NOTHING, final=True)

    def reset(self) -> None:
        """Drops all state: the stream is as new, and times start at 0.

        An error that the next call would have raised is dropped too.

        Raises:
            StreamError: another thread is feeding the stream.
        """
        with self._exclusive():
            self._start()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise StreamError(
                "this stream is being used by another call; feed it from one thread at a time, "
                "and once in a call, or make a stream for each source"
            )
        try:
            yield
        finally:
            self._lock.release()

    def _step(self, samples: Any, final: bool) -> StreamUpdate:
        with self._exclusive():
            if self._put(samples, final):
                advance([self._run], final)
            result = self._update(final)
        if isinstance(result, Exception):
            raise result
        return result

    def _put(self, samples: Any, final: bool) -> bool:
        """Takes the next samples; a block that raises AudioError changes nothing.

        Returns:
            whether there may be something to decode.
        """
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._closed:
            raise StreamError(
                f"this stream {self._closed}; call reset() to start a new one with it"
            )
        block = self._read(samples)
        self._closed = "was interrupted while it was fed"
        self._waiting.append(block)
        self._fed_samples += len(block)
        if self._fed_samples < self._due and not final:
            return False
        self._queue(final)
        return True

    def _queue(self, final: bool) -> None:
        """Queues the waiting blocks at the model's rate.

        They wait until a chunk may be whole, since this costs about the same for a block of one
        sample as for a block of a whole chunk.
        """
        block, self._waiting = concatenated(self._waiting), []
        queue = self._run.state.samples
        queue.put(self._resampler.step(block, final))
        rate = self._decoder.model.sample_rate
        last = queue.taken + self._run.chunk_samples - 1
        self._due = last * self.sample_rate // rate

    def _update(self, final: bool) -> StreamUpdate | Exception:
        """The result of a call that has come to its end."""
        if (error := self._run.error) is not None:
            self._closed = f"has failed ({_description(error)})"
            if final or not self._run.ended:
                return error
            self._error = error
        else:
            self._closed = "was flushed" if final else None
        update = self._run.state.update(self._run.take_ended())
        before, self._shown = self._shown, update.partial.text if update.partial else ""
        return replace(update, changed=True) if self._shown != before else update


def feed_many(
    feeds: Iterable[tuple[Stream, Any]], *, max_chunks: int | None = None
) -> list[StreamUpdate | AsrError]:
    """Feeds several streams at once: the result of `Stream.feed` for each, in less time.

    The streams take turns of one chunk each. The chunks of a turn are encoded in one batch if their
    model and chunk context are the same, and searched in one batch if search options, language
    model and hotwords are the same too.

    Args:
        feeds: (stream, samples); each stream once. Empty samples (`b""`) continue with what is
            queued.
        max_chunks: the most chunks of each stream that this call decodes. The others stay queued
            for the next call (`Stream.ready`), so that a stream that got much sound at once does
            not delay the others. None: all of them. The results of a stream do not depend on it.

    Returns:
        for each stream its update or the error that `Stream.feed` would raise; the other streams
        are not affected. A stream whose decoding raises an unexpected exception has a StreamError,
        with that exception as its `__cause__`, and must be reset. As in `Stream.feed`, segments
        that ended before come first, and the error is the result of the stream's next call.

    Raises:
        ConfigError: an item is no pair of a stream and samples, or `max_chunks` is no whole number
            from 1; nothing is fed then.
    """
    if max_chunks is not None:
        max_chunks = _checked_limit(max_chunks)
    if not isinstance(feeds, Iterable):
        raise ConfigError(f"feed_many takes pairs (stream, samples), got {type(feeds).__name__}")
    pairs = list(feeds)
    for place, pair in enumerate(pairs):
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], Stream)):
            raise ConfigError(
                f"feed_many takes pairs (stream, samples), item {place} is {_type_of(pair)}"
            )
    return [_known(result) for result in _advance(pairs, False, max_chunks)]


def flush_many(streams: Iterable[Stream]) -> list[StreamUpdate | AsrError]:
    """Ends several streams at once: the result of `Stream.flush` for each.

    All that is queued is decoded. To bound the time of this call, first use `feed_many` until
    `Stream.ready` is false.

    Returns:
        for each stream its update or its error, as `feed_many` does. Segments of a stream that
        ended before its error are in `Stream.undelivered`.

    Raises:
        ConfigError: an item is no stream; nothing is flushed then.
    """
    if not isinstance(streams, Iterable):
        raise ConfigError(f"flush_many takes streams, got {type(streams).__name__}")
    feeds = [(stream, _NOTHING) for stream in streams]
    for place, (stream, _) in enumerate(feeds):
        if not isinstance(stream, Stream):
            raise ConfigError(f"flush_many takes streams, item {place} is {_type_of(stream)}")
    return [_known(result) for result in _advance(feeds, final=True)]


def _checked_limit(max_chunks: Any) -> int:
    try:
        limit = operator.index(max_chunks)
    except TypeError:
        limit = 0
    if limit < 1:
        raise ConfigError(
            f"max_chunks must be a whole number from 1, or None for no limit, got {max_chunks!r}"
        )
    return limit


def _type_of(item: Any) -> str:
    """The type of an item, with those of its own items where it is a tuple: samples are long."""
    if isinstance(item, tuple):
        return f"({', '.join(type(part).__name__ for part in item)})"
    return type(item).__name__


def _advance(
    feeds: Sequence[tuple[Stream, Any]], final: bool, max_chunks: int | None = None
) -> list[StreamUpdate | Exception]:
    """The update, or the exception, of each stream."""
    results: dict[int, StreamUpdate | Exception] = {}
    ready: list[Stream] = []
    with ExitStack() as locks:
        for place, (stream, samples) in enumerate(feeds):
            try:
                locks.enter_context(stream._exclusive())
                if stream._put(samples, final):
                    ready.append(stream)
            except Exception as error:  # of one stream; the others are decoded nevertheless
                results[place] = error
        if ready:
            advance([stream._run for stream in ready], final, max_chunks)
        for place, (stream, _) in enumerate(feeds):
            if place not in results:
                results[place] = stream._update(final)
    return [results[place] for place in range(len(feeds))]


def _known(result: StreamUpdate | Exception) -> StreamUpdate | AsrError:
    """The result, with an unexpected exception as the cause of a StreamError."""
    if isinstance(result, StreamUpdate | AsrError):
        return result
    error = StreamError(
        f"this stream has failed ({_description(result)}); call reset() to start a new one with it"
    )
    error.__cause__ = result
    return error


def _description(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
