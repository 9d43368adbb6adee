"""Updates of a stream as events: one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from asr.output.json import segment_values
from asr.strict_json import strict_json
from asr.types import StreamUpdate


class StreamEvents:
    """Turns the updates of one stream into lines, and leaves out what says nothing new.

    `{"type": "final", start, end, text, score, scores, tokens}`: a segment that ended.
    `{"type": "partial", start, end, text, stable}`: the open segment as it looks now; the first
    `stable` characters of its text will not change. An empty text, which has no times, takes the
    last one back.
    `{"type": "speech", "state": "begin" or "end", "time"}`: speech begins or ends at this second.
    All have `lag`: seconds that hearing was behind the sound.
    """

    def __init__(self) -> None:
        self._last = ("", 0)

    def lines(self, update: StreamUpdate) -> Iterator[str]:
        """The lines of one update."""
        lag = round(update.lag, 3)
        for event in update.speech:
            time = round(event.time, 3)
            yield _line({"type": "speech", "state": event.type, "time": time, "lag": lag})
        for segment in update.final:
            self._last = ("", 0)
            yield _line({"type": "final", **segment_values(segment), "lag": lag})
        partial = update.partial
        last = (partial.text, update.stable) if partial else ("", 0)
        if last != self._last:
            self._last = last
            text, stable = last
            values: dict[str, Any] = {"type": "partial"}
            if partial:
                values |= {"start": round(partial.start, 3), "end": round(partial.end, 3)}
            yield _line(values | {"text": text, "stable": stable, "lag": lag})


def end_line(seconds: float, most_lag: float, overruns: int) -> str:
    """The last line: seconds of sound heard, the greatest lag, and overruns of the microphone."""
    return _line(
        {
            "type": "end",
            "seconds": round(seconds, 3),
            "most_lag": round(most_lag, 3),
            "overruns": overruns,
        }
    )


def _line(values: dict[str, Any]) -> str:
    return strict_json(values) + "\n"
