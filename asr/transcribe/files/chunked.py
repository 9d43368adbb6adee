"""Recordings as streams that are fed as fast as they can be decoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from asr.errors import AsrError
from asr.transcribe.files.batch import Recording
from asr.transcribe.streams.scheduler import StreamRun, advance
from asr.transcribe.streams.stream_decoder import StreamDecoder
from asr.types import Segment, Transcript

S = TypeVar("S")


@dataclass
class _ChunkedFile(Generic[S]):
    """A recording on its way through a stream; `result` is set when it has ended."""

    source: S
    run: StreamRun
    segments: list[Segment] = field(default_factory=list)
    recording: Recording | None = None
    blocks: Iterator[np.ndarray] = field(default_factory=lambda: iter(()))
    closing: ExitStack = field(default_factory=ExitStack)
    result: Transcript | AsrError | None = None

    def end(self, result: Transcript | AsrError) -> None:
        """Sets the result and closes the recording."""
        self.closing.close()
        self.result = result


def transcribe_chunked(
    sources: Iterable[S],
    opened: Callable[[S], AbstractContextManager[Recording]],
    decoder: StreamDecoder,
    batch_seconds: float,
    progress: Callable[[float], None] | None = None,
    on_segments: Callable[[S, Sequence[Segment]], None] | None = None,
) -> Iterator[tuple[S, Transcript | AsrError]]:
    """Transcribes recordings, chunk by chunk, several side by side.

    Args:
        sources, opened, on_segments: as in `transcribe_batched`.
        batch_seconds: the memory of so much sound may be searched at once; as many recordings are
            open as have room there with their longest segments.
        progress: called with the seconds of sound that were just decoded.

    Yields:
        (source, result), in order. The result of a recording that fails is its error alone,
        without the segments that ended before it: a transcript is complete or not there.
    """
    remaining, files = iter(sources), deque[_ChunkedFile[S]]()
    most = max(1, int(batch_seconds // decoder.endpoint.max_segment_seconds))
    more = True
    try:
        while more or files:
            while more and sum(file.result is None for file in files) < most:
                try:
                    files.append(_open(next(remaining), opened, decoder))
                except StopIteration:
                    more = False
            _feed([file for file in files if file.result is None], progress)
            while files and (result := files[0].result) is not None:
                yield files.popleft().source, result
            if on_segments is not None and files and files[0].segments:
                on_segments(files[0].source, files[0].segments)
    finally:
        for file in files:
            file.closing.close()


def _open(
    source: S, opened: Callable[[S], AbstractContextManager[Recording]], decoder: StreamDecoder
) -> _ChunkedFile[S]:
    file = _ChunkedFile(source, StreamRun.new(decoder))
    try:
        file.recording = file.closing.enter_context(opened(source))
        file.blocks = iter(file.recording)
    except AsrError as error:
        file.end(error)
    return file


def _feed(files: list[_ChunkedFile[S]], progress: Callable[[float], None] | None) -> None:
    """Decodes a block of each recording; those that have none left end."""
    continuing, ending = list[_ChunkedFile[S]](), list[_ChunkedFile[S]]()
    for file in files:
        try:
            block = next(file.blocks, None)
        except AsrError as error:
            file.end(error)
            continue
        if block is not None:
            file.run.state.samples.put(block)
        (ending if block is None else continuing).append(file)
    for group, final in ((continuing, False), (ending, True)):
        before = sum(file.run.state.samples.taken for file in group)
        advance([file.run for file in group], final)
        for file in group:
            file.segments += file.run.take_ended()
            if isinstance(file.run.error, AsrError):
                file.end(file.run.error)
            elif file.run.error is not None:
                raise file.run.error
        if progress and group:
            samples = sum(file.run.state.samples.taken for file in group) - before
            progress(samples / group[0].run.decoder.model.sample_rate)
    for file in ending:
        if file.result is None:
            assert file.recording is not None
            file.end(
                Transcript(
                    tuple(file.segments),
                    file.recording.seconds,
                    file.recording.name,
                    file.recording.truncated,
                    tuple(file.recording.notes),
                )
            )
