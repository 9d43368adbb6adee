"""Recordings at the pace of a microphone."""

from __future__ import annotations

import numpy as np
import pytest

from asr.audio import paced


@pytest.mark.parametrize(("pace", "moments"), [(1.0, [0.1, 0.2, 0.25]), (2.0, [0.05, 0.1, 0.125])])
def test_blocks_come_when_they_have_been_spoken(pace: float, moments: list[float]) -> None:
    now, came = [10.0], list[float]()
    sound = np.arange(250, dtype=np.float32)

    def sleep(seconds: float) -> None:
        assert seconds > 0
        now[0] += seconds

    heard = []
    for block in paced([sound[:3], sound[3:]], 1000, pace, clock=lambda: now[0], sleep=sleep):
        came.append(now[0] - 10)
        heard.append(block)
    assert came == pytest.approx(moments)
    assert np.array_equal(np.concatenate(heard), sound)


def test_who_is_late_does_not_wait_and_pace_0_never_does() -> None:
    def sleep(_: float) -> None:
        pytest.fail("waited")

    sound = np.zeros(1000, np.float32)
    times = iter([0.0, *[100.0] * 20])
    assert len(list(paced([sound], 1000, 1.0, clock=lambda: next(times), sleep=sleep))) == 10
    assert len(list(paced([sound], 1000, 0.0, clock=lambda: 0.0, sleep=sleep))) == 10
