"""The events of a stream: what is new, once, and in order."""

from __future__ import annotations

import json

from asr.output import StreamEvents, end_line
from asr.types import Segment, SpeechEvent, StreamUpdate


def partial(text: str, stable: int = 0) -> StreamUpdate:
    return StreamUpdate((), Segment(text, 0.5, 1.23456), stable, lag=0.25)


def test_partials_that_say_nothing_new_are_left_out() -> None:
    events, lines = StreamEvents(), list[str]()
    final = StreamUpdate((Segment("ab c", 0.5, 2.0, tokens=(3, 4)),), None)
    for update in (
        *(StreamUpdate(), partial("ab"), partial("ab"), partial("ab", 1), final, final),
        *(partial("d"), StreamUpdate(), StreamUpdate()),
    ):
        lines += events.lines(update)
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
    found = [json.loads(line) for line in lines]
    told = [(one["type"], one["text"], one.get("stable")) for one in found]
    assert told == [
        ("partial", "ab", 0),
        ("partial", "ab", 1),
        ("final", "ab c", None),
        ("final", "ab c", None),
        ("partial", "d", 0),
        ("partial", "", 0),
    ]
    assert found[0] == {
        **{"type": "partial", "start": 0.5, "end": 1.235},
        **{"text": "ab", "stable": 0, "lag": 0.25},
    }
    assert found[2]["tokens"] == [3, 4]


def test_speech_comes_before_the_text_of_its_update() -> None:
    speech = (SpeechEvent("end", 2.0004), SpeechEvent("begin", 2.5))
    update = StreamUpdate((Segment("ab c", 0.5, 2.0),), speech=speech)
    lines = [json.loads(line) for line in StreamEvents().lines(update)]
    assert lines[:2] == [
        {"type": "speech", "state": "end", "time": 2.0, "lag": 0.0},
        {"type": "speech", "state": "begin", "time": 2.5, "lag": 0.0},
    ]
    assert lines[2]["type"] == "final"


def test_the_last_line() -> None:
    expected = {"type": "end", "seconds": 2.5, "most_lag": 0.1, "overruns": 3}
    assert json.loads(end_line(2.5, 0.1, 3)) == expected
