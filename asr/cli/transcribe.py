"""`asr transcribe`: what recordings say, on stdout or in files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asr.cli import options
from asr.cli.console import DONE, SOME_FAILED, Console
from asr.cli.load import check_model, note_chunks, note_confidence, open_model
from asr.cli.output_options import check_nbest, check_one_line, output_options, subtitle_config
from asr.cli.progress import measure_in_background, progress
from asr.cli.results import ResultWriter, short_names
from asr.errors import AsrError
from asr.output import WITH_CONFIDENCE, OutputOptions
from asr.transcribe.files.jobs import (
    STDIN,
    Input,
    TranscribeJob,
    check_folders,
    find_inputs,
    missing,
    output_jobs,
)
from asr.types import Transcript

if TYPE_CHECKING:
    from asr.transcribe.options import TranscribeOptions
    from asr.transcribe.recognizer import Recognizer


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", shell_complete=options.a_file)
@click.option(
    "-o",
    "--output",
    callback=options.path,
    shell_complete=options.a_folder,
    metavar="DIR",
    help="Write files to this folder instead of printing the text.",
)
@output_options
@options.search_options
@options.chunk_ms(None, "whole segments")
@options.left_ms
@options.endpoint
@click.option("-r", "--recursive", is_flag=True, help="Look into folders of folders.")
@click.option(
    "--skip-existing", is_flag=True, help="With -o: leave out inputs whose files are all there."
)
@click.option(
    "--max-hours",
    type=click.FloatRange(min=0, min_open=True),
    default=12.0,
    show_default=True,
    metavar="H",
    help="The longest recording to accept.",
)
@click.pass_obj
def transcribe(
    console: Console,
    paths: tuple[str, ...],
    output: Path | None,
    formats: tuple[str, ...],
    one_line: bool,
    subtitles: dict[str, float],
    highlight_words: bool,
    recursive: bool,
    skip_existing: bool,
    model: str | None,
    device: str,
    max_hours: float,
    lm: str | None,
    no_lm: bool,
    batch_seconds: float | None,
    **choices: Any,
) -> int:
    """Write what recordings say.

    PATH is an audio or video file, a folder of them, a quoted pattern ("talks/**/*.mp3"), or - for
    standard input. The text is printed while it is decoded, a line for each segment, with the name
    of the input first where there are several; -o writes a file for each input instead, as soon as
    it is done.

    Exit status: 0 all done, 1 some inputs failed and the others are done, 2 the call is wrong,
    130 interrupted.
    """
    if output is None and (skip_existing or len(formats) > 1):
        wanted = "--skip-existing" if skip_existing else "more than one format"
        raise click.UsageError(f"{wanted} needs a folder to write to: add -o DIR")
    check_one_line(one_line, output, formats)
    if paths.count(STDIN) > 1:
        raise click.UsageError("standard input (-) can be read only once")
    check_nbest(formats, choices["nbest"])
    asked = options.transcribe_options(choices, no_lm)
    check_model(model, lm, no_lm)
    written = OutputOptions(subtitles=subtitle_config(formats, subtitles, highlight_words))
    from asr.audio import AUDIO_ENDINGS, AudioLimits

    found = list(find_inputs(paths, AUDIO_ENDINGS, recursive))
    inputs = [item for item in found if isinstance(item, Input)]
    jobs = (
        output_jobs(inputs, output, formats)
        if output
        else [TranscribeJob(one, {}) for one in inputs]
    )
    todo = [job for job in jobs if not (skip_existing and job.done)]
    check_folders(todo)
    problems = [item for item in found if isinstance(item, AsrError)]
    for problem in problems:
        console.problem(problem)
    if len(todo) < len(jobs):
        console.note(f"{len(jobs) - len(todo)} of {len(jobs)} inputs are done already")
    names = short_names([job.input.label for job in jobs]) if len(found) > 1 else {}
    writer = ResultWriter(console, formats[0], names, written, one_line=one_line)
    writer.refused = len(problems)
    if present := _present(todo, writer):
        limits = AudioLimits.for_hours(max_hours)
        recognizer = open_model(console, model, device, lm, no_lm, limits=limits)
        run(recognizer, present, writer, asked, batch_seconds)
    writer.finished()
    return SOME_FAILED if writer.refused or writer.failed else DONE


def _present(jobs: list[TranscribeJob], writer: ResultWriter) -> list[TranscribeJob]:
    """The jobs whose input is there; of the others is told before a model is opened."""
    present = []
    for job in jobs:
        source = job.input.source
        if isinstance(source, Path) and not os.path.lexists(source):
            writer.deliver(job, missing(source))
        else:
            present.append(job)
    return present


def run(
    recognizer: Recognizer,
    jobs: list[TranscribeJob],
    writer: ResultWriter,
    asked: TranscribeOptions,
    batch_seconds: float | None,
) -> None:
    """Transcribes the inputs of `jobs`, and delivers each as soon as it is done."""
    from asr.audio.duration import claimed_seconds

    writer.options = replace(writer.options, model=recognizer.name)
    formats = {writer.printed}.union(*(job.files for job in jobs))
    if formats & WITH_CONFIDENCE:
        note_confidence(writer.console, recognizer, asked)
    note_chunks(writer.console, recognizer, asked)
    sources = [job.input.source for job in jobs]

    def length(source: str | Path) -> float | None:
        """A file that tells nothing adds to the whole when it is done; mostly it is broken."""
        return None if source == STDIN else claimed_seconds(source, recognizer.limits) or 0.0

    with progress(len(jobs), quiet=writer.console.quiet) as shown:
        lengths = measure_in_background(shown, sources, length)
        results = recognizer.transcribe_many(
            writer.sources(jobs),
            batch_seconds=batch_seconds,
            progress=shown.decoded,
            on_segments=None if jobs[0].files else writer.print_segments,
            options=asked,
        )
        try:
            for job, (source, result) in zip(jobs, results, strict=True):
                writer.deliver(job, result)
                seconds = result.duration if isinstance(result, Transcript) else None
                shown.input_done(seconds, lengths.get(source))
        except KeyboardInterrupt:
            writer.stopped(len(jobs))
            raise
        except AsrError as error:
            writer.console.problem(error)
            writer.stopped(len(jobs))
