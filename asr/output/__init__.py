"""How transcripts are written: one function a format; `FORMATS` names them."""

from __future__ import annotations

from collections.abc import Callable

from asr.output.events import StreamEvents, end_line
from asr.output.json import as_json, as_json_line
from asr.output.txt import as_text
from asr.types import Transcript

#: format name, also the ending of the file: (transcript, name of the model) -> file contents
FORMATS: dict[str, Callable[[Transcript, str], str]] = {
    "txt": as_text,
    "json": as_json,
    "jsonl": as_json_line,
}

__all__ = ["FORMATS", "StreamEvents", "as_json", "as_json_line", "as_text", "end_line"]
