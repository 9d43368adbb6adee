"""`asr transcribe`: what recordings say, on stdout or in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from asr.cli import options
from asr.cli.console import DONE, SOME_FAILED, Console, shown
from asr.cli.inputs import STDIN, Input, find_inputs
from asr.cli.outputs import Job, check_folders, plan_outputs
from asr.cli.progress import progress
from asr.errors import AsrError
from asr.output import FORMATS
from asr.types import Transcript
from asr.whole import write_whole


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "-o",
    "--output",
    callback=options.path,
    metavar="DIR",
    help="Write files to this folder instead of printing the text.",
)
@click.option(
    "-f",
    "--formats",
    "--format",
    type=options.NameList(tuple(FORMATS)),
    default="txt",
    show_default=True,
    metavar=",".join(FORMATS),
    help="What to write; without -o, the one to print.",
)
@options.search_options
@options.chunk_ms(None, "whole stretches")
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
    recursive: bool,
    skip_existing: bool,
    **choices: Any,
) -> int:
    """Write what recordings say.

    PATH is an audio or video file, a folder of them, a quoted pattern ("talks/**/*.mp3"), or - for
    standard input. The text is printed, one line an input, with the name first where there are
    several; -o writes a file for each input instead, as soon as it is done.

    Exit status: 0 all done, 1 some inputs failed and the others are done, 2 the call is wrong,
    130 interrupted.
    """
    if output is None and (skip_existing or len(formats) > 1):
        wanted = "--skip-existing" if skip_existing else "more than one format"
        raise click.UsageError(f"{wanted} needs a folder to write to: add -o DIR")
    if paths.count(STDIN) > 1:
        raise click.UsageError("standard input (-) can be read only once")
    from asr.audio import AUDIO_ENDINGS

    found = list(find_inputs(paths, AUDIO_ENDINGS, recursive))
    inputs = [item for item in found if isinstance(item, Input)]
    jobs = plan_outputs(inputs, output, formats) if output else [Job(one, {}) for one in inputs]
    todo = [job for job in jobs if not (skip_existing and job.done)]
    check_folders(todo)
    problems = [item for item in found if isinstance(item, AsrError)]
    for problem in problems:
        console.problem(problem)
    if len(todo) < len(jobs):
        console.say(f"{len(jobs) - len(todo)} of {len(jobs)} inputs are done already")
    delivery = Delivery(console, printed=formats[0], named=len(found) > 1)
    if todo:
        run(todo, delivery, **choices)
    return SOME_FAILED if problems or delivery.failed else DONE


def run(
    jobs: list[Job],
    delivery: Delivery,
    model: str | None,
    device: str,
    max_hours: float,
    lm: str | None,
    no_lm: bool,
    **search: Any,
) -> None:
    """Transcribes the inputs of `jobs`, and delivers each as soon as it is done."""
    from asr.audio import AudioLimits
    from asr.transcribe.recognizer import load_model

    options.leave_cores_free()
    recognizer = load_model(
        model,
        device,
        lm=options.language_model(lm, no_lm),
        limits=AudioLimits.for_hours(max_hours),
    )
    delivery.model = recognizer.name
    with progress(len(jobs)) as shown_progress:
        results = recognizer.transcribe_many(
            [job.input.source for job in jobs], progress=shown_progress.heard, **search
        )
        try:
            for job, (_, result) in zip(jobs, results, strict=True):
                delivery.deliver(job, result)
                shown_progress.input_done()
        except KeyboardInterrupt:
            delivery.stopped(len(jobs))
            raise
        except AsrError as error:
            delivery.console.problem(error)
            delivery.stopped(len(jobs))


@dataclass
class Delivery:
    """Where results go: to the files of their job, or as lines on stdout."""

    console: Console
    printed: str
    """The format that is printed where a job has no files."""
    named: bool
    """Printed text begins with the name of its input."""
    model: str = ""
    count: int = 0
    failed: int = 0

    def deliver(self, job: Job, result: Transcript | AsrError) -> None:
        """Writes or prints one result.

        Raises:
            OutputError: a file cannot be written; going on would lose every result after it.
        """
        if isinstance(result, AsrError):
            self.console.problem(result)
            self.failed += 1
            self.count += 1
            return
        for note in result.notes:
            self.console.say(f"{shown(job.input.label)}: {note}")
        for name, path in job.files.items():
            write_whole(path, FORMATS[name](result, self.model))
        if not job.files:
            self._print(job, result)
        self.count += 1

    def stopped(self, jobs: int) -> None:
        """Says how far a run of so many jobs has come that ends here."""
        self.failed += jobs - self.count
        self.console.say(f"stopped: {self.count} of {jobs} inputs are done")

    def _print(self, job: Job, transcript: Transcript) -> None:
        if self.printed != "txt":
            text = FORMATS[self.printed](transcript, self.model)
        else:
            name = f"{shown(job.input.label)}: " if self.named else ""
            text = f"{name}{transcript.text}".rstrip(" ") + "\n"
        self.console.print(text)
