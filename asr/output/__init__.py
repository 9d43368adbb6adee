"""Output formats: one file and one function for each; `FORMATS` names them."""

from __future__ import annotations

from collections.abc import Callable

from asr.errors import ConfigError
from asr.output.ctm import as_ctm
from asr.output.events import StreamEvents, end_line
from asr.output.html import as_html
from asr.output.json import as_json, as_json_line
from asr.output.options import OutputOptions, SubtitleConfig
from asr.output.srt import as_srt
from asr.output.textgrid import as_textgrid
from asr.output.tsv import as_tsv
from asr.output.txt import as_text
from asr.output.vtt import as_vtt
from asr.types import Transcript

#: Format name, also the ending of the file: what writes the contents of the file.
FORMATS: dict[str, Callable[[Transcript, OutputOptions], str]] = {
    "txt": as_text,
    "json": as_json,
    "jsonl": as_json_line,
    "srt": as_srt,
    "vtt": as_vtt,
    "tsv": as_tsv,
    "ctm": as_ctm,
    "TextGrid": as_textgrid,
    "html": as_html,
}
#: Those that tell the confidence of words.
WITH_CONFIDENCE = frozenset({"json", "jsonl", "ctm", "html"})


def render(
    transcript: Transcript,
    format: str,
    *,
    model: str = "",
    subtitles: SubtitleConfig | None = None,
) -> str:
    """The contents of a file in one of the `FORMATS`.

    Args:
        model: its name, which json holds.
        subtitles: how srt and vtt are cut; None is the usual way.

    Raises:
        ConfigError: there is no such format.
    """
    if format not in FORMATS:
        raise ConfigError(f"format '{format}': there are {', '.join(FORMATS)}")
    return FORMATS[format](transcript, OutputOptions(model, subtitles or SubtitleConfig()))


__all__ = ["FORMATS", "OutputOptions", "StreamEvents", "SubtitleConfig", "end_line", "render"]
