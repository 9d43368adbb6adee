"""Options of `asr transcribe` for output formats, files and logs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from asr.cli import options
from asr.cli.console import Console
from asr.cli.option_types import KeyNumber, NameList
from asr.output import FORMATS, SubtitleConfig

F = TypeVar("F", bound=Callable[..., Any])

SUBTITLES = {"srt", "vtt"}
#: Formats that hold other hypotheses than the best.
WITH_ALTERNATIVES = {"json", "jsonl"}


def _limits(context: click.Context, _: click.Parameter, values: Any) -> dict[str, float]:
    from asr.config import parse

    parse(SubtitleConfig, limits := dict(values), "--subtitles")
    return limits


def _log_format(context: click.Context, _: click.Parameter, value: str) -> None:
    context.ensure_object(Console).as_json = value == "json"


formats = click.option(
    "-f",
    "--formats",
    "--format",
    type=NameList(tuple(FORMATS)),
    default="txt",
    show_default=True,
    metavar=",".join((*FORMATS, "all")),
    help="What to write; without -o, the one to print.",
)
one_line = click.option(
    "--one-line",
    is_flag=True,
    help="Print the text of each input as one line, when it is done; not a line for each segment.",
)
subtitles = click.option(
    "--subtitles",
    type=KeyNumber("line_chars=42"),
    multiple=True,
    callback=_limits,
    metavar="KEY=VALUE",
    help="Limits of srt and vtt, as line_chars=42, lines=2, max_seconds=7 or chars_per_second=20; "
    "may be repeated. All keys are in docs/transcribing.md.",
)
highlight_words = click.option(
    "--highlight-words", is_flag=True, help="In vtt, underline each word while it is being said."
)
nbest = click.option(
    "--nbest",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Write the N best hypotheses of each segment to json, with their scores.",
)
log_format = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    is_eager=True,
    expose_value=False,
    callback=_log_format,
    help="How messages on standard error are written; json has an event for each input.",
)


def output_options(command: F) -> F:
    """Adds all options of this file, in the order of the help."""
    for option in (options.quiet, log_format, highlight_words, subtitles, nbest, one_line, formats):
        command = option(command)
    return command


def subtitle_config(
    formats: tuple[str, ...], limits: dict[str, float], highlight_words: bool
) -> SubtitleConfig:
    """How subtitles are cut.

    Raises:
        click.UsageError: an option is given for a format that is not written.
    """
    if limits and not SUBTITLES & set(formats):
        raise click.UsageError("--subtitles is for srt and vtt: add -f srt, or leave it out")
    marked = {"highlight_words": True} if highlight_words else {}
    config = SubtitleConfig.model_validate({**limits, **marked})
    if config.highlight_words and "vtt" not in formats:
        raise click.UsageError("--highlight-words is for vtt: add -f vtt, or leave it out")
    return config


def check_one_line(one_line: bool, output: Path | None, formats: tuple[str, ...]) -> None:
    """Refuses --one-line where no text is printed.

    Raises:
        click.UsageError: so it is.
    """
    if one_line and (output is not None or formats != ("txt",)):
        raise click.UsageError("--one-line is for text that is printed: leave out -o and -f")


def check_nbest(formats: tuple[str, ...], nbest: int | None) -> None:
    """Refuses --nbest where nothing that is written would hold what it asks for.

    Raises:
        click.UsageError: so it is.
    """
    if nbest is not None and nbest > 1 and not WITH_ALTERNATIVES & set(formats):
        raise click.UsageError("--nbest is for json and jsonl: add -f json, or leave it out")
