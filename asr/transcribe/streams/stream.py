"""Live transcription: an object that is fed sound and says what it has heard.

    stream = model.stream(sample_rate=48000)
    for block in microphone:
        update = stream.feed(block)
    update = stream.flush()

What a stream promises (`tests/transcribe/streams/test_guarantees.py` holds it to this): final
segments never change, nor do the first `stable` characters of a partial text; times never decrease;
how the samples are cut into blocks changes nothing; `feed` and `flush` give what
`transcribe(..., chunk_ms=...)` gives; streams do not influence each other; cost and memory do not
grow with the length of the stream.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from asr.audio import BlockReader, Resampler
from asr.errors import StreamError
from asr.transcribe.streams.stream_decoder import StreamDecoder
from asr.types import Segment, StreamUpdate


class Stream:
    """One live source of sound. Made by `Recognizer.stream`; dropped at any moment.

    A stream may move between threads, but two calls at once are an error: a block would be heard
    at a place that nobody chose.
    """

    def __init__(self, hearing: StreamDecoder, sample_rate: int) -> None:
        self._hearing = hearing
        self.sample_rate = BlockReader(sample_rate).rate
        self._lock = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._read = BlockReader(self.sample_rate)
        self._resampler = Resampler(self.sample_rate, self._hearing.model.sample_rate)
        self._track = self._hearing.track()
        self._taken = 0
        self._over: str | None = None

    @property
    def seconds(self) -> float:
        """Seconds of sound that were fed since the start or the last `reset`."""
        return self._taken / self.sample_rate

    def feed(self, samples: Any) -> StreamUpdate:
        """Hears the next samples.

        Args:
            samples: (n,), n from 0: floats in [-1, 1] or int16, a numpy array, a tensor on the
                CPU or a list of floats; or bytes, 16-bit PCM, little endian. They are copied.

        Returns:
            the segments that ended, each of which is told once, and the open one as it looks now.

        Raises:
            AudioError: these are no samples; nothing of the block is taken.
            StreamError: the stream was flushed, or another thread is feeding it.
        """
        return feed_many([(self, samples)])[0]

    def flush(self) -> StreamUpdate:
        """Ends the stream: what is open becomes final. Only `reset` may follow.

        Raises:
            StreamError: the stream was flushed already, or another thread is feeding it.
        """
        return flush_many([self])[0]

    def reset(self) -> None:
        """Forgets everything: the stream is as new, and times start at 0.

        Raises:
            StreamError: another thread is feeding the stream.
        """
        with self._alone():
            self._start()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise StreamError(
                "this stream is being used by another call; feed it from one thread at a time, "
                "or make a stream for each source"
            )
        try:
            yield
        finally:
            self._lock.release()

    def _check_open(self) -> None:
        if self._over:
            raise StreamError(f"this stream {self._over}; call reset() to start a new one with it")

    def _take(self, block: np.ndarray, final: bool) -> None:
        self._taken += len(block)
        self._track.samples.put(self._resampler.step(block, final))


def feed_many(feeds: Iterable[tuple[Stream, Any]]) -> list[StreamUpdate]:
    """Feeds several streams at once: what `feed` gives for each, in less time.

    Chunks of all streams that share model and settings go through the encoder and the search
    together. Streams that are always fed as much as others stay in step with them.

    Raises:
        AudioError, StreamError: as `Stream.feed`; then nothing is taken by any stream.
    """
    feeds = list(feeds)
    return _advance([(stream, samples) for stream, samples in feeds], final=False)


def flush_many(streams: Iterable[Stream]) -> list[StreamUpdate]:
    """Ends several streams at once: what `flush` gives for each.

    Raises:
        StreamError: as `Stream.flush`; then no stream is ended.
    """
    nothing = np.zeros(0, np.float32)
    return _advance([(stream, nothing) for stream in streams], final=True)


def _advance(feeds: Sequence[tuple[Stream, Any]], final: bool) -> list[StreamUpdate]:
    with ExitStack() as alone:
        for stream, _ in feeds:
            alone.enter_context(stream._alone())
            stream._check_open()
        blocks = [stream._read(samples) for stream, samples in feeds]
        for (stream, _), block in zip(feeds, blocks, strict=True):
            stream._over = "was interrupted while it listened"
            stream._take(block, final)
        segments = _hear([stream for stream, _ in feeds], final)
        for stream, _ in feeds:
            stream._over = "was flushed" if final else None
        return [
            stream._track.update(ended) for (stream, _), ended in zip(feeds, segments, strict=True)
        ]


def _hear(streams: Sequence[Stream], final: bool) -> list[list[Segment]]:
    """Advances the streams of each `StreamDecoder` together."""
    alike: dict[int, list[int]] = {}
    kinds: list[StreamDecoder] = []
    for place, stream in enumerate(streams):
        if stream._hearing not in kinds:
            kinds.append(stream._hearing)
        alike.setdefault(kinds.index(stream._hearing), []).append(place)
    ended: dict[int, list[Segment]] = {}
    for kind, places in alike.items():
        tracks = [streams[place]._track for place in places]
        ended.update(zip(places, kinds[kind].advance(tracks, final), strict=True))
    return [ended[place] for place in range(len(streams))]
