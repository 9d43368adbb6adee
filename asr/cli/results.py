"""Writing the result of each input: a file for each format, or text on stdout."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asr.atomic import write_atomic
from asr.cli.console import Console, printable
from asr.errors import AsrError
from asr.output import FORMATS, OutputOptions
from asr.transcribe.files.jobs import TranscribeJob
from asr.types import Transcript

if TYPE_CHECKING:
    from asr.transcribe.files.source import AudioSource


@dataclass
class ResultWriter:
    """Where results go: to the files of their job, or as lines on stdout; and who is told of it."""

    console: Console
    printed: str
    """The format that is printed where a job has no files."""
    named: bool
    """Printed text begins with the name of its input."""
    options: OutputOptions
    refused: int = 0
    """What was named as input and is none."""
    count: int = 0
    failed: int = 0
    sound: float = 0.0
    """Seconds of sound of the inputs that are done."""
    begun: float = field(default_factory=time.monotonic)
    _starts: dict[str, float] = field(default_factory=dict)

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
        if not job.files:
            self._print(job, result)
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

    def _print(self, job: TranscribeJob, transcript: Transcript) -> None:
        if self.printed != "txt":
            text = FORMATS[self.printed](transcript, self.options)
        else:
            name = f"{printable(job.input.label)}: " if self.named else ""
            text = f"{name}{transcript.text}".rstrip(" ") + "\n"
        self.console.print(text)


def _speed(seconds: float, sound: float) -> dict[str, float | None]:
    """Seconds of work, of sound, and the one for each of the other."""
    return {
        "seconds": round(seconds, 3),
        "duration": round(sound, 3),
        "real_time_factor": round(seconds / sound, 4) if sound else None,
    }
