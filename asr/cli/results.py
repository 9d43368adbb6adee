"""Writing the result of each input: a file for each format, or text on stdout."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asr.atomic import write_atomic
from asr.cli.console import Console, printable
from asr.errors import AsrError
from asr.output import FORMATS, OutputOptions
from asr.output.times import one_line
from asr.transcribe.files.jobs import TranscribeJob, label_of
from asr.types import Segment, Transcript

if TYPE_CHECKING:
    from asr.transcribe.files.source import AudioSource


@dataclass
class ResultWriter:
    """Where results go: to the files of their job, or as lines on stdout; and who is told of it."""

    console: Console
    printed: str
    """The format that is printed where a job has no files."""
    names: dict[str, str]
    """What printed text of an input begins with, by its label; empty: nothing."""
    options: OutputOptions
    refused: int = 0
    """What was named as input and is none."""
    count: int = 0
    failed: int = 0
    sound: float = 0.0
    """Seconds of sound of the inputs that are done."""
    one_line: bool = False
    """Text is printed as one line an input, when it is done; else a line a segment, at once."""
    begun: float = field(default_factory=time.monotonic)
    _starts: dict[str, float] = field(default_factory=dict)
    _lines: int = 0
    """Segments of the next input to be delivered whose text is printed already."""

    def sources(self, jobs: Iterable[TranscribeJob]) -> Iterator[AudioSource]:
        """The inputs of `jobs`; each is told to have started when it is asked for."""
        self.begun = time.monotonic()
        for job in jobs:
            self._starts[job.input.label] = time.monotonic()
            self.console.event("started", input=job.input.label)
            yield job.input.source

    def deliver(self, job: TranscribeJob, result: Transcript | AsrError) -> None:
        """Writes or prints one result.

        Raises:
            OutputError: a file cannot be written; going on would lose every result after it.
        """
        label = job.input.label
        printed, self._lines = self._lines, 0
        seconds = time.monotonic() - self._starts.get(label, self.begun)
        if isinstance(result, AsrError):
            self.failed += 1
            self.count += 1
            self.console.problem(result, input=label, seconds=round(seconds, 3))
            return
        if not self.console.as_json:  # there they are part of the event
            for note in result.notes:
                self.console.note(f"{printable(label)}: {note}")
        for name, path in job.files.items():
            write_atomic(path, FORMATS[name](result, self.options))
        if job.files and not self.console.as_json:
            self.console.note(f"wrote {', '.join(printable(str(at)) for at in job.files.values())}")
        if not job.files:
            self._print(job, result, printed)
        self.count += 1
        self.sound += result.duration
        self._tell_done(job, result, seconds)

    def stopped(self, jobs: int) -> None:
        """Says how far a run of so many jobs has come that ends here."""
        self.failed += jobs - self.count
        self.console.say(f"stopped: {self.count} of {jobs} inputs are done")

    def finished(self) -> None:
        """Tells what the run has done in all."""
        seconds = time.monotonic() - self.begun
        self.console.event(
            "finished",
            inputs=self.count + self.refused,
            failed=self.failed + self.refused,
            **_speed(seconds, self.sound),
        )

    def _tell_done(self, job: TranscribeJob, result: Transcript, seconds: float) -> None:
        self.console.event(
            "done",
            input=job.input.label,
            **_speed(seconds, result.duration),
            segments=len(result.segments),
            truncated=result.truncated,
            notes=list(result.notes),
            files=[str(path) for path in job.files.values()],
        )

    def print_segments(self, source: AudioSource, segments: Sequence[Segment]) -> None:
        """Prints what is new of the next input to be delivered, while it is being decoded.

        Raises:
            OutputError: as `Console.print`.
        """
        if self.printed == "txt" and not self.one_line:
            self._print_lines(label_of(source), segments[self._lines :])
            self._lines = len(segments)

    def _print(self, job: TranscribeJob, transcript: Transcript, printed: int) -> None:
        label = job.input.label
        if self.printed != "txt":
            self.console.print(FORMATS[self.printed](transcript, self.options))
        elif self.one_line or not transcript.segments:
            self.console.print(f"{self._name(label)}{transcript.text}".rstrip(" ") + "\n")
        else:
            self._print_lines(label, transcript.segments[printed:])

    def _print_lines(self, label: str, segments: Sequence[Segment]) -> None:
        lines = (f"{self._name(label)}{one_line(segment.text)}\n" for segment in segments)
        if text := "".join(lines):
            self.console.print(text)

    def _name(self, label: str) -> str:
        return f"{printable(self.names[label])}: " if self.names else ""


def short_names(labels: Sequence[str]) -> dict[str, str]:
    """What to call inputs in a list: without folders where the file names of all differ.

    Args:
        labels: paths as they were given.
    """
    names = {label: os.path.basename(label) or label for label in labels}
    return names if len(set(names.values())) == len(names) else {label: label for label in labels}


def _speed(seconds: float, sound: float) -> dict[str, float | None]:
    """Seconds of work, of sound, and the one for each of the other."""
    return {
        "seconds": round(seconds, 3),
        "duration": round(sound, 3),
        "real_time_factor": round(seconds / sound, 4) if sound else None,
    }
