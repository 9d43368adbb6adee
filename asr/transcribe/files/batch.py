"""Many recordings, decoded together and handed out in their order.

Recordings are read one after the other and cut into stretches. Stretches of several recordings
wait in a pool until there is enough for a few batches, are sorted by length (little padding) and
decoded. What is held is one pool of sound and the text so far, whatever the length of the input.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

import numpy as np

from asr.errors import AsrError
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
    """What turns sound into segments; `cut` yields (start in seconds, stretch) of its blocks.

    `batch_seconds` counts padding. `clock` times the words.
    """

    rate: int
    decode: Callable[[Sequence[np.ndarray]], list[list[Hypothesis]]]
    clock: WordTimer
    cut: Callable[[Iterable[np.ndarray]], Iterator[tuple[float, np.ndarray]]]
    batch_seconds: float
    progress: Callable[[float], None] | None = None


@dataclass
class _BatchedFile(Generic[S]):
    """A recording on its way; `waiting` counts stretches that are not decoded yet."""

    source: S
    segments: list[Segment] = field(default_factory=list)
    waiting: int = 0
    result: Transcript | AsrError | None = None

    def finished(self) -> Transcript | AsrError | None:
        """The result, once nothing is missing from it."""
        if self.waiting or not isinstance(self.result, Transcript):
            return self.result if isinstance(self.result, AsrError) else None
        segments = tuple(sorted(self.segments, key=lambda segment: segment.start))
        known = self.result
        return Transcript(segments, known.duration, known.source, known.truncated, known.notes)


@dataclass(frozen=True)
class _Stretch(Generic[S]):
    recording: _BatchedFile[S]
    start: float
    samples: np.ndarray


def transcribe_batched(
    sources: Iterable[S],
    opened: Callable[[S], AbstractContextManager[Recording]],
    work: BatchSettings,
) -> Iterator[tuple[S, Transcript | AsrError]]:
    """Transcribes recordings; each comes out, in order, as soon as it and those before it are done.

    Args:
        sources: any number of inputs; each is asked for when the one before it has been read.
        opened: opens an input; may raise AsrError, as may reading from it. That becomes the
            input's result, and the others go on.
    """
    order: deque[_BatchedFile[S]] = deque()
    pool: list[_Stretch[S]] = []
    for source in sources:
        recording = _BatchedFile(source)
        order.append(recording)
        for stretch in _stretches(recording, opened, work):
            pool.append(stretch)
            if _seconds(pool, work.rate) >= POOL_BATCHES * work.batch_seconds:
                _decode(pool, work)
                yield from _ready(order)
        if isinstance(recording.result, AsrError):
            pool = [stretch for stretch in pool if stretch.recording is not recording]
        yield from _ready(order)
    _decode(pool, work)
    yield from _ready(order)


def _stretches(
    recording: _BatchedFile[S],
    opened: Callable[[S], AbstractContextManager[Recording]],
    work: BatchSettings,
) -> Iterator[_Stretch[S]]:
    """Reads one recording; its result says how that ended."""
    try:
        with opened(recording.source) as sound:
            for start, samples in work.cut(sound):
                recording.waiting += 1
                yield _Stretch(recording, start, samples)
            recording.result = Transcript(
                (), sound.seconds, sound.name, sound.truncated, tuple(sound.notes)
            )
    except AsrError as error:
        recording.result = error


def _decode(pool: list[_Stretch[S]], work: BatchSettings) -> None:
    """Decodes all that waits, and empties the pool."""
    pool.sort(key=lambda stretch: len(stretch.samples), reverse=True)
    for batch in _batches(pool, work):
        found = work.decode([stretch.samples for stretch in batch])
        for stretch, hypotheses in zip(batch, found, strict=True):
            stretch.recording.waiting -= 1
            stretch.recording.segments.extend(_segment(stretch, hypotheses, work))
        if work.progress:
            work.progress(_seconds(batch, work.rate))
    pool.clear()


def _batches(pool: list[_Stretch[S]], work: BatchSettings) -> Iterator[list[_Stretch[S]]]:
    """Cuts a pool, longest first, into batches of at most `batch_seconds`, padding counted."""
    rest = iter(pool)
    grid = round(GRID_SECONDS * work.rate)
    for longest in rest:
        length = grid * -(-len(longest.samples) // grid)
        fitting = int(work.batch_seconds * work.rate // max(1, length))
        yield [longest, *itertools.islice(rest, max(0, fitting - 1))]


def _segment(
    stretch: _Stretch[S], hypotheses: list[Hypothesis], work: BatchSettings
) -> Iterator[Segment]:
    """The segment of a stretch, unless its best hypothesis says nothing."""
    # In samples: the sum of two rounded times could lie behind the start of the next stretch.
    start = stretch.start
    end = (round(start * work.rate) + len(stretch.samples)) / work.rate
    best, *others = (
        Segment(
            work.clock.text_of(hypothesis.tokens),
            start,
            end,
            score=hypothesis.score,
            scores=hypothesis.scores,
            tokens=hypothesis.tokens,
            language=hypothesis.language,
        )
        for hypothesis in hypotheses
    )
    if best.text:
        levels = work.clock.levels(stretch.samples)
        words = work.clock.words(hypotheses[0], levels, start, (start, end))
        yield replace(best, words=words, alternatives=tuple(others))


def _ready(order: deque[_BatchedFile[S]]) -> Iterator[tuple[S, Transcript | AsrError]]:
    while order and (result := order[0].finished()) is not None:
        yield order.popleft().source, result


def _seconds(stretches: Iterable[_Stretch[S]], rate: int) -> float:
    return sum(len(stretch.samples) for stretch in stretches) / rate
