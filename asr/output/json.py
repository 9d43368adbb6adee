"""JSON: a transcript with all its values, as one object."""

from __future__ import annotations

import re
from typing import Any

from asr.output.options import OutputOptions
from asr.strict_json import strict_json
from asr.types import Segment, Transcript, Word


def as_json(transcript: Transcript, options: OutputOptions) -> str:
    """One indented object, for people and programs; lists of numbers stay on one line."""
    text = strict_json(to_dict(transcript, options.model), indent=2) + "\n"
    # Line breaks are only ever between values: inside strings JSON writes them as escapes.
    return re.sub(r"\[\n[-\d,\s]+\]", _on_one_line, text)


def as_json_line(transcript: Transcript, options: OutputOptions) -> str:
    """The same object on one line: files in this format can be joined end to end."""
    return strict_json(to_dict(transcript, options.model)) + "\n"


def to_dict(transcript: Transcript, model: str) -> dict[str, Any]:
    """A transcript as plain values.

    Keys: `source, text, duration, truncated, notes, model, segments`. Times are seconds, rounded
    to the millisecond. `truncated` is null for a whole input. A segment has `start, end, text,
    score, scores, tokens`, `language` where the model has a choice of languages, and `words` and
    `alternatives` where there are any. A word has `text, start, end`, and `confidence` where it is
    known. Scores of minus infinity are written as null.
    """
    return {
        "source": transcript.source,
        "text": transcript.text,
        "duration": round(transcript.duration, 3),
        "truncated": None if transcript.truncated is None else round(transcript.truncated, 3),
        "notes": list(transcript.notes),
        "model": model,
        "segments": [segment_values(segment) for segment in transcript.segments],
    }


def _on_one_line(match: re.Match[str]) -> str:
    return "[" + " ".join(match[0][1:-1].split()) + "]"


def segment_values(segment: Segment) -> dict[str, Any]:
    """A segment as plain values; see `to_dict`."""
    values: dict[str, Any] = {
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "score": round(segment.score, 5),
        "scores": {name: round(score, 5) for name, score in segment.scores.items()},
        "tokens": list(segment.tokens),
    }
    if segment.language is not None:
        values["language"] = segment.language
    if segment.words:
        values["words"] = [_word(word) for word in segment.words]
    if segment.alternatives:
        values["alternatives"] = [
            {
                key: value
                for key, value in segment_values(other).items()
                if key not in ("start", "end", "language")
            }
            for other in segment.alternatives
        ]
    return values


def _word(word: Word) -> dict[str, Any]:
    values: dict[str, Any] = {
        "text": word.text,
        "start": round(word.start, 3),
        "end": round(word.end, 3),
    }
    if word.confidence is not None:
        values["confidence"] = round(word.confidence, 4)
    return values
