"""Sound between two threads: nothing is dropped, and lag is what a listener lacks."""

from __future__ import annotations

import threading

import pytest

from asr.transcribe.listen.backlog import END, Backlog


def test_blocks_come_out_in_order_and_the_end_after_them() -> None:
    backlog = Backlog(10, 5.0)
    assert backlog.put("a", 10)
    assert backlog.put("b", 20)
    backlog.end(ValueError("first"))
    backlog.end()
    assert [backlog.take() for _ in range(3)] == ["a", "b", END]
    assert str(backlog.error) == "first"
    assert not backlog.put("c", 1)


def test_who_brings_more_than_fits_waits_and_loses_nothing() -> None:
    backlog, came = Backlog(10, 1.0), list[int]()

    def bring() -> None:
        for number in range(200):
            assert backlog.put(number, 4) or number == 199
        backlog.end()

    thread = threading.Thread(target=bring)
    thread.start()
    most = 0
    while (block := backlog.take()) is not END:
        came.append(block)
        most = max(most, backlog._pending)
    thread.join()
    assert came == list(range(200))
    assert most <= 10 + 4


@pytest.mark.parametrize("ahead", [False, True])
def test_closing_lets_go_of_both(ahead: bool) -> None:
    backlog = Backlog(10, 1.0)
    done = list[object]()
    if ahead:
        backlog.put("a", 10)
        thread = threading.Thread(target=lambda: done.append(backlog.put("b", 10)))
    else:
        thread = threading.Thread(target=lambda: done.append(backlog.take()))
    thread.start()
    backlog.close()
    thread.join(5)
    assert done == [False if ahead else END]


def test_lag_is_the_time_that_hearing_lacks() -> None:
    now = [0.0]
    backlog = Backlog(10, 60.0, clock=lambda: now[0])

    def bring_later(block: str) -> None:
        threading.Timer(0.05, lambda: backlog.put(block, 10)).start()

    bring_later("a")
    backlog.take()  # waited: caught up
    now[0] = 0.5  # hearing it took so long
    assert backlog.lag == 0.5
    for _ in range(4):  # meanwhile, and while these were heard, more came
        backlog.put("b", 10)
        backlog.take()
        now[0] += 2.0  # twice as long as they sound
    assert backlog.lag == pytest.approx(4.5)
    bring_later("c")
    backlog.take()  # waited again
    assert backlog.lag == 0.0


def test_a_file_that_is_heard_faster_than_it_sounds_has_no_lag() -> None:
    now = [0.0]
    backlog = Backlog(10, 60.0, clock=lambda: now[0])
    for _ in range(20):
        backlog.put("a", 10)
    for _ in range(20):
        backlog.take()
        now[0] += 0.5
        assert backlog.lag == 0.0
