"""Segments as a model that writes time stamps gives them."""

from __future__ import annotations

from collections.abc import Iterator

from asr.text.timestamps import Timestamps
from asr.types import Hypothesis


def split_at_timestamps(
    hypothesis: Hypothesis, timestamps: Timestamps, seconds: float
) -> Iterator[tuple[Hypothesis, float, float]]:
    """Cuts a hypothesis at its time stamps.

    Args:
        seconds: the length of the sound; times do not lie behind it.

    Returns:
        for each part of the text: the hypothesis with its labels alone, the time stamps around them
        included, and its start and end. A part without a time behind it goes to the end.
    """
    begin, start, text = 0, 0.0, False
    for place, label in enumerate(hypothesis.tokens):
        if label not in timestamps:
            text = True
            continue
        time = min(timestamps.time_of(label), seconds)
        if text:
            yield hypothesis.part(begin, place + 1), start, time
            begin = place + 1
        else:
            begin = place
        start, text = time, False
    if text:
        yield hypothesis.part(begin, len(hypothesis.tokens)), start, seconds
