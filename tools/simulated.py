"""A stream in simulated time, and what is measured of it.

The clock is that of the sound, and the processor's where work takes longer: a block is handed over
when its last sample has sounded, or when the work on the block before it is done, if that is later.
Work is counted in processor time, so that other programs on the machine do not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from joining import matches

from asr import Segment, Stream, StreamUpdate, Word

#: Blocks are fed as a sound card delivers them.
BLOCK_SECONDS = 0.02
#: A cut this near to the edge of a word does not count as one within it.
EDGE_SECONDS = 0.05


@dataclass(frozen=True)
class Shown:
    """What stands on the screen from `time` on: the words, how many of them will not change."""

    time: float
    words: tuple[str, ...]
    certain: int


@dataclass
class Session:
    """A recording that went through a stream. Times are seconds of the simulated clock."""

    seconds: float
    normalize: Callable[[str], str] = str
    """Writes texts as the reference is written."""
    work: float = 0.0
    shown: list[Shown] = field(default_factory=list)
    finals: list[Segment] = field(default_factory=list)
    closing: list[tuple[float, float, float, float]] = field(default_factory=list)
    """Of each final: when it came, how much work and waiting were between its last chunk and it,
    how long it is, and how much time there was between the end of its speech and it."""
    partial_words: int = 0
    grown: int = 0
    revised: int = 0

    @property
    def words(self) -> list[str]:
        """The words of all finals."""
        return [word for one in self.finals for word in self.normalize(one.text).split()]


def simulate(stream: Stream, sound: np.ndarray, normalize: Callable[[str], str] = str) -> Session:
    """Feeds sound (N,) to a stream, and flushes it."""
    rate = stream.sample_rate
    session, clock, open_words = Session(len(sound) / rate, normalize), 0.0, list[str]()
    size = round(BLOCK_SECONDS * rate)
    for start in [*range(0, len(sound), size), len(sound)]:
        block = sound[start : start + size]
        arrived = min(start + size, len(sound)) / rate
        began = time.process_time()
        update = stream.feed(block) if len(block) else stream.flush()
        work = time.process_time() - began
        session.work += work
        clock = max(clock, arrived) + work
        session.closing += [
            (clock, clock - arrived, one.end - one.start, clock - one.end) for one in update.final
        ]
        open_words = _count(session, open_words, update)
        session.finals += update.final
        _show(session, clock, update)
    return session


def _show(session: Session, clock: float, update: StreamUpdate) -> None:
    """Notes what stands on the screen, where it is new."""
    final = session.words
    partial = update.partial.text if update.partial else ""
    # A word is certain when the space behind it is.
    stable, space, _ = partial[: update.stable].rpartition(" ")
    certain = len(session.normalize(stable).split()) if space else 0
    words = session.normalize(partial).split()
    shown = Shown(clock, (*final, *words), len(final) + certain)
    if not session.shown or session.shown[-1] != Shown(session.shown[-1].time, *_rest(shown)):
        session.shown.append(shown)


def _rest(shown: Shown) -> tuple[tuple[str, ...], int]:
    return shown.words, shown.certain


def _count(session: Session, before: list[str], update: StreamUpdate) -> list[str]:
    """Counts what became of the partial words; returns those that stand there now."""
    partial = session.normalize(update.partial.text).split() if update.partial else []
    ended = [session.normalize(segment.text).split() for segment in update.final]
    if ended:
        revise(session, before, ended[0], partial=False)
        before = []
    revise(session, before, partial, partial=True)
    return partial


def revise(session: Session, before: Sequence[str], after: Sequence[str], partial: bool) -> None:
    """Counts the words of `before` that stand no more in `after`, in their order.

    The last word may have grown (`hel` to `hello`): that is counted for itself. New words of a
    partial text are counted too.
    """
    kept = matches(before, after)
    behind = max((there for _, there in kept), default=-1) + 1
    gone = set(range(len(before))) - {here for here, _ in kept}
    if len(before) - 1 in gone and any(word.startswith(before[-1]) for word in after[behind:]):
        gone.remove(len(before) - 1)
        session.grown += 1
    session.revised += len(gone)
    if partial:
        session.partial_words += len(after) - len(kept)


@dataclass(frozen=True)
class Latency:
    """Of one word that is right: seconds from its end until it is shown, and until it is certain.

    `final`: it is the last of its segment, and waits for the endpoint.
    """

    shown: float
    certain: float


def latencies(
    session: Session, spoken: Sequence[Word], pairs: Sequence[tuple[int, int]]
) -> Iterator[Latency]:
    """The latency of each word that is right.

    Args:
        spoken: the reference, with its times.
        pairs: places of right words in `spoken` and in the words of the session.
    """
    words, first = session.words, dict[int, float]()
    for shown in session.shown:
        for heard, _ in matches(words, shown.words):
            first.setdefault(heard, shown.time)
    for place, heard in pairs:
        certain = next(shown.time for shown in session.shown if shown.certain > heard)
        end = spoken[place].end
        yield Latency(first[heard] - end, certain - end)


def cut_words(session: Session, spoken: Sequence[Word]) -> int:
    """How many words a border between two segments runs through."""
    borders = [
        (one.end, other.start)
        for one, other in zip(session.finals, session.finals[1:], strict=False)
    ]
    return sum(
        word.start + EDGE_SECONDS < begin and end < word.end - EDGE_SECONDS
        for word in spoken
        for begin, end in borders
    )
