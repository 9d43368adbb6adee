"""Many recordings, decoded together and handed out in their order.

Recordings are read one after the other and cut into segments. Segments of several recordings
are kept in a pool until it holds a few batches, are sorted by length (little padding) and decoded.
What is held is one pool of sound and the text so far, whatever the length of the input.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

import numpy as np

from asr.errors import AsrError
from asr.text.timestamps import Timestamps
from asr.transcribe.files.stamped import split_at_timestamps
from asr.transcribe.words.timing import WordTimer
from asr.types import Hypothesis, Segment, Transcript

S = TypeVar("S")

#: The pool is decoded when it holds this many batches.
POOL_BATCHES = 2

#: Batches are as long as a multiple of this. A kernel is made and kept for each shape that comes
#: up: in hours of speech there are then dozens of shapes, not hundreds, and memory is flat.
GRID_SECONDS = 0.64


class Recording(Protocol):
    """An opened recording, as `asr.audio.AudioStream`: iterate first, then read the rest."""

    @property
    def name(self) -> str:
        """What messages and transcripts call it."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Sentences for people."""
        ...

    @property
    def truncated(self) -> float | None:
        """The second at which a damaged input stopped."""
        ...

    @property
    def seconds(self) -> float:
        """Seconds decoded so far."""
        ...

    def __iter__(self) -> Iterator[np.ndarray]:
        """Blocks of float32 mono samples (N,) at the model's rate."""
        ...


@dataclass(frozen=True)
class BatchSettings:
    """How audio becomes segments; `cut` yields (start in seconds, segment) of its blocks.

    `batch_seconds` counts padding. `word_timer` times the words. `timestamps` are the labels at
    which a model's text is cut into segments; None where it has none.
    """

    rate: int
    decode: Callable[[Sequence[np.ndarray]], list[list[Hypothesis]]]
    word_timer: WordTimer
    cut: Callable[[Iterable[np.ndarray]], Iterator[tuple[float, np.ndarray]]]
    batch_seconds: float
    progress: Callable[[float], None] | None = None
    timestamps: Timestamps | None = None


@dataclass
class _BatchedFile(Generic[S]):
    """A recording on its way; `pending` counts segments that are not decoded yet."""

    source: S
    segments: list[Segment] = field(default_factory=list)
    notes: list[tuple[float, str]] = field(default_factory=list)
    """About segments, with their start."""
    pending: int = 0
    result: Transcript | AsrError | None = None

    def in_order(self) -> tuple[Segment, ...]:
        """The segments that are decoded; all before the last of them, whenever a pool is empty."""
        return tuple(sorted(self.segments, key=lambda segment: segment.start))

    def finished(self) -> Transcript | AsrError | None:
        """The result, once nothing is missing from it."""
        if self.pending or not isinstance(self.result, Transcript):
            return self.result if isinstance(self.result, AsrError) else None
        known = self.result
        notes = (*known.notes, *(note for _, note in sorted(self.notes)))
        return Transcript(self.in_order(), known.duration, known.source, known.truncated, notes)


@dataclass(frozen=True)
class _PendingSegment(Generic[S]):
    recording: _BatchedFile[S]
    start: float
    samples: np.ndarray


def transcribe_batched(
    sources: Iterable[S],
    opened: Callable[[S], AbstractContextManager[Recording]],
    settings: BatchSettings,
    on_segments: Callable[[S, Sequence[Segment]], None] | None = None,
) -> Iterator[tuple[S, Transcript | AsrError]]:
    """Transcribes recordings; each comes out, in order, as soon as it and those before it are done.

    Args:
        on_segments: called with the next recording that is to come out and its segments so far,
            in order, when there are more of them.
        sources: any number of inputs; each is asked for when the one before it has been read.
        opened: opens an input; may raise AsrError, as may reading from it. That becomes the
            input's result, and the others go on.
    """
    order: deque[_BatchedFile[S]] = deque()
    pool: list[_PendingSegment[S]] = []
    for source in sources:
        recording = _BatchedFile(source)
        order.append(recording)
        for segment in _segments_of(recording, opened, settings):
            pool.append(segment)
            if _seconds(pool, settings.rate) >= POOL_BATCHES * settings.batch_seconds:
                _decode(pool, settings)
                yield from _ready(order)
                if on_segments is not None and order and order[0].segments:
                    on_segments(order[0].source, order[0].in_order())
        if isinstance(recording.result, AsrError):
            pool = [segment for segment in pool if segment.recording is not recording]
        yield from _ready(order)
    _decode(pool, settings)
    yield from _ready(order)


def _segments_of(
    recording: _BatchedFile[S],
    opened: Callable[[S], AbstractContextManager[Recording]],
    settings: BatchSettings,
) -> Iterator[_PendingSegment[S]]:
    """Reads one recording; its result says how that ended."""
    try:
        with opened(recording.source) as sound:
            for start, samples in settings.cut(sound):
                recording.pending += 1
                yield _PendingSegment(recording, start, samples)
            recording.result = Transcript(
                (), sound.seconds, sound.name, sound.truncated, tuple(sound.notes)
            )
    except AsrError as error:
        recording.result = error


def _decode(pool: list[_PendingSegment[S]], settings: BatchSettings) -> None:
    """Decodes all pending segments, and empties the pool."""
    pool.sort(key=lambda segment: len(segment.samples), reverse=True)
    for batch in _batches(pool, settings):
        decoded = settings.decode([segment.samples for segment in batch])
        for segment, hypotheses in zip(batch, decoded, strict=True):
            segment.recording.pending -= 1
            segment.recording.segments.extend(_segment(segment, hypotheses, settings))
            if hypotheses[0].score == -math.inf:
                segment.recording.notes.append((segment.start, _given_up(segment, settings.rate)))
        if settings.progress:
            settings.progress(_seconds(batch, settings.rate))
    pool.clear()


def _batches(
    pool: list[_PendingSegment[S]], settings: BatchSettings
) -> Iterator[list[_PendingSegment[S]]]:
    """Cuts a pool, longest first, into batches of at most `batch_seconds`, padding counted."""
    rest = iter(pool)
    grid = round(GRID_SECONDS * settings.rate)
    for longest in rest:
        length = grid * -(-len(longest.samples) // grid)
        fitting = int(settings.batch_seconds * settings.rate // max(1, length))
        yield [longest, *itertools.islice(rest, max(0, fitting - 1))]


def _segment(
    segment: _PendingSegment[S], hypotheses: list[Hypothesis], settings: BatchSettings
) -> Iterator[Segment]:
    """The text of a segment with its times; nothing if its best hypothesis is empty.

    Where the model writes time stamps, each part of the text between two becomes a segment.
    """
    # In samples: the sum of two rounded times could lie behind the start of the next segment.
    start = segment.start
    end = (round(start * settings.rate) + len(segment.samples)) / settings.rate
    parts = [(hypotheses, (start, end))]
    if settings.timestamps is not None:
        parts = [
            ([part], (start + begin, min(start + finish, end)))
            for part, begin, finish in split_at_timestamps(
                hypotheses[0], settings.timestamps, end - start
            )
        ]
    for part, bounds in parts:
        best, *others = (
            Segment(
                settings.word_timer.text_of(hypothesis.tokens),
                *bounds,
                score=hypothesis.score,
                scores=hypothesis.scores,
                tokens=hypothesis.tokens,
                language=hypothesis.language,
            )
            for hypothesis in part
        )
        if best.text:
            levels = settings.word_timer.levels(segment.samples)
            words = settings.word_timer.words(part[0], levels, start, bounds)
            yield replace(best, words=words, alternatives=tuple(others))


def _given_up(segment: _PendingSegment[S], rate: int) -> str:
    """The note for a segment that has speech, but no hypothesis that the search allows."""
    end = segment.start + len(segment.samples) / rate
    return (
        f"{segment.start:.1f} to {end:.1f} s: left empty, because no text that the "
        "model writes fits the speech there"
    )


def _ready(order: deque[_BatchedFile[S]]) -> Iterator[tuple[S, Transcript | AsrError]]:
    while order and (result := order[0].finished()) is not None:
        yield order.popleft().source, result


def _seconds(segments: Iterable[_PendingSegment[S]], rate: int) -> float:
    return sum(len(segment.samples) for segment in segments) / rate
