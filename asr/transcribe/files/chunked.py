"""Recordings as streams that are fed as fast as they can be heard."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from asr.errors import AsrError
from asr.transcribe.files.batch import Recording
from asr.transcribe.streams.state import StreamState
from asr.transcribe.streams.stream_decoder import StreamDecoder
from asr.types import Segment, Transcript

S = TypeVar("S")


@dataclass
class _ChunkedFile(Generic[S]):
    """A recording on its way through a track; `track` is None once it has ended."""

    source: S
    track: StreamState | None
    segments: list[Segment] = field(default_factory=list)
    sound: Recording | None = None
    blocks: Iterator[np.ndarray] = field(default_factory=lambda: iter(()))
    closing: ExitStack = field(default_factory=ExitStack)
    result: Transcript | AsrError | None = None


def transcribe_chunked(
    sources: Iterable[S],
    opened: Callable[[S], AbstractContextManager[Recording]],
    hearing: StreamDecoder,
    batch_seconds: float,
    progress: Callable[[float], None] | None = None,
) -> Iterator[tuple[S, Transcript | AsrError]]:
    """Transcribes recordings, chunk by chunk, several side by side.

    Args:
        sources, opened: as in `transcribe_batched`.
        batch_seconds: the memory of so much sound may be searched at once; as many recordings are
            open as have room there with their longest segments.
        progress: called with the seconds of sound that were just heard.

    Yields:
        (source, result), in order.
    """
    coming, order = iter(sources), deque[_ChunkedFile[S]]()
    most = max(1, int(batch_seconds // hearing.endpoint.max_segment_seconds))
    more = True
    try:
        while more or order:
            while more and sum(one.track is not None for one in order) < most:
                try:
                    order.append(_begin(next(coming), opened, hearing))
                except StopIteration:
                    more = False
            _feed([one for one in order if one.track is not None], hearing, progress)
            while order and order[0].result is not None:
                done = order.popleft()
                yield done.source, done.result  # type: ignore[misc]
    finally:
        for one in order:
            one.closing.close()


def _begin(
    source: S, opened: Callable[[S], AbstractContextManager[Recording]], hearing: StreamDecoder
) -> _ChunkedFile[S]:
    recording = _ChunkedFile(source, hearing.track())
    try:
        recording.sound = recording.closing.enter_context(opened(source))
        recording.blocks = iter(recording.sound)
    except AsrError as error:
        _end(recording, error)
    return recording


def _end(recording: _ChunkedFile[S], result: Transcript | AsrError) -> None:
    recording.closing.close()
    recording.track, recording.result = None, result


def _feed(
    recordings: list[_ChunkedFile[S]],
    hearing: StreamDecoder,
    progress: Callable[[float], None] | None,
) -> None:
    """A block for each recording; those that have none left end."""
    going, ending = (
        list[tuple[_ChunkedFile[S], StreamState]](),
        list[tuple[_ChunkedFile[S], StreamState]](),
    )
    for recording in recordings:
        assert recording.track is not None
        try:
            block = next(recording.blocks, None)
        except AsrError as error:
            _end(recording, error)
            continue
        if block is not None:
            recording.track.samples.put(block)
        (ending if block is None else going).append((recording, recording.track))
    for group, final in ((going, False), (ending, True)):
        before = sum(track.samples.taken for _, track in group)
        ended = hearing.advance([track for _, track in group], final)
        for (recording, _), segments in zip(group, ended, strict=True):
            recording.segments += segments
        if progress and group:
            heard = sum(track.samples.taken for _, track in group) - before
            progress(heard / hearing.model.sample_rate)
    for recording, _ in ending:
        sound, said = recording.sound, tuple(recording.segments)
        assert sound is not None
        _end(
            recording,
            Transcript(said, sound.seconds, sound.name, sound.truncated, tuple(sound.notes)),
        )
