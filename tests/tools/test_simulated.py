"""How the latency simulator counts."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asr.types import Segment, StreamUpdate, Word

RATE = 1000


@pytest.fixture(scope="module")
def simulated(tool: Callable[[str], ModuleType]) -> Any:
    return tool("simulated")


class Script:
    """A stream that says what is written for each block of 20 ms; no work."""

    sample_rate = RATE

    def __init__(self, updates: dict[int, StreamUpdate], last: StreamUpdate) -> None:
        self.updates, self.last, self.count, self.now = updates, last, 0, StreamUpdate()

    def feed(self, samples: np.ndarray) -> StreamUpdate:
        self.now = self.updates.get(self.count, StreamUpdate((), self.now.partial, self.now.stable))
        self.count += 1
        return self.now

    def flush(self) -> StreamUpdate:
        return self.last


def shows(text: str, stable: int = 0) -> StreamUpdate:
    return StreamUpdate((), Segment(text, 0.0, 1.0), stable)


def ends(text: str) -> StreamUpdate:
    return StreamUpdate((Segment(text, 0.0, 1.0),))


def test_words_are_timed_where_they_first_stand_in_their_place(
    simulated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulated, "time", SimpleNamespace(process_time=lambda: 0.0))
    script = {
        10: shows("a"),
        20: shows("a cat"),
        30: shows("the cat sat", 4),
        40: ends("the cat sat"),
    }
    session = simulated.simulate(Script(script, ends("down")), np.zeros(RATE))
    assert session.words == ["the", "cat", "sat", "down"]
    spoken = [Word(text, 0.0, end) for text, end in (("the", 0.1), ("cat", 0.2), ("down", 0.9))]
    found = list(simulated.latencies(session, spoken, [(0, 0), (1, 1), (2, 3)]))
    # blocks end 20 ms after they begin; the last words come when the stream is flushed
    assert [one.shown for one in found] == pytest.approx([0.62 - 0.1, 0.42 - 0.2, 1.0 - 0.9])
    assert [one.certain for one in found] == pytest.approx([0.62 - 0.1, 0.82 - 0.2, 1.0 - 0.9])
    assert (session.revised, session.grown, session.partial_words) == (1, 0, 4)


def test_work_that_takes_longer_than_the_sound_delays_what_follows(
    simulated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(n / 10 for n in range(1000))  # each block takes 100 ms of work
    monkeypatch.setattr(simulated, "time", SimpleNamespace(process_time=lambda: next(ticks)))
    script = {4: StreamUpdate((Segment("a", 0.0, 0.05),))}
    session = simulated.simulate(Script(script, StreamUpdate()), np.zeros(RATE // 5))
    [(when, wait, length, since_speech)] = session.closing
    assert when == pytest.approx(0.02 + 5 * 0.1)
    assert wait == pytest.approx(when - 0.1)
    assert (length, since_speech) == pytest.approx((0.05, when - 0.05))
    assert session.work == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        ("", "a b", (2, 0, 0)),
        ("a b", "a b c", (1, 0, 0)),
        ("a hel", "a hello you", (2, 1, 0)),
        ("hel a", "hello a", (1, 0, 1)),
        ("a b c", "a x", (1, 0, 2)),
        ("a b", "", (0, 0, 2)),
        ("to day is", "today is fine", (2, 0, 2)),
        ("a b c", "x a b c", (1, 0, 0)),
    ],
)
def test_words_that_change_are_counted(
    simulated: Any, before: str, after: str, counts: tuple[int, int, int]
) -> None:
    session = simulated.Session(1.0)
    simulated.revise(session, before.split(), after.split(), partial=True)
    assert (session.partial_words, session.grown, session.revised) == counts


def test_words_that_a_border_runs_through_are_counted(simulated: Any) -> None:
    session = simulated.Session(9.0)
    session.finals = [Segment("a", 0.0, 1.0), Segment("b", 1.0, 2.0), Segment("c", 3.0, 4.0)]
    words = [Word("a", 0.0, 0.9), Word("b", 0.9, 1.3), Word("c", 1.4, 2.02), Word("d", 2.9, 3.5)]
    assert simulated.cut_words(session, words) == 1
