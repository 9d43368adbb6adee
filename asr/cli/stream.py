"""`asr stream`: what is being said, while it is said."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asr.cli import options
from asr.cli.console import DONE, INTERRUPTED, SOME_FAILED, Console
from asr.cli.live_view import LATE_SECONDS, clock_time, view
from asr.cli.load import check_model, note_confidence, open_model, reencoding_note
from asr.errors import AsrError, AudioError
from asr.interrupts import stop_on_signal
from asr.output import end_line
from asr.transcribe.files.jobs import STDIN, missing
from asr.types import StreamUpdate

if TYPE_CHECKING:
    from asr.audio import Microphone
    from asr.transcribe.listen.live import Live
    from asr.transcribe.listen.source import LiveBlocks

#: Samples a second of raw sound where nothing else is said.
RAW_RATE = 16000


def _list_inputs(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from asr.audio import input_devices

        console: Console = context.ensure_object(Console)
        devices = input_devices()
        if not devices:
            console.say("there is no device to record with here")
        console.print("".join(f"{one}\n" for one in devices))
        context.exit(DONE)


@click.command()
@click.argument("source", required=False, metavar="[-]")
@click.option(
    "--simulate",
    callback=options.not_empty,
    metavar="FILE",
    help="Listen to a recording as if it were being spoken.",
)
@click.option(
    "--pace",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="X",
    help="With --simulate: 1 as it was spoken, 2 twice as fast, 0 as fast as can be.",
)
@click.option(
    "--input",
    "microphone",
    callback=options.not_empty,
    metavar="NAME|NUMBER",
    help="The microphone; see --list-inputs.  [default: the system's]",
)
@click.option(
    "--list-inputs",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_inputs,
    help="List the microphones, and end.",
)
@click.option(
    "--sample-rate",
    type=click.IntRange(4000, 384000),
    metavar="HZ",
    help="Of raw samples (16000 unless given), or to record with.",
)
@click.option(
    "--pcm",
    type=click.Choice(["int16", "float32"]),
    default="int16",
    show_default=True,
    help="What raw samples are, little endian.",
)
@click.option(
    "--channels",
    type=click.IntRange(1, 32),
    default=1,
    show_default=True,
    metavar="N",
    help="Of raw samples or of the microphone.",
)
@click.option(
    "--channel", type=click.IntRange(0, 31), metavar="N", help="Hear only this one, from 0."
)
@options.model_options
@options.chunk_ms(640.0, "640")
@options.left_ms
@options.endpoint
@click.option("--json", "as_json", is_flag=True, help="Print events, one JSON object a line.")
@click.pass_obj
def stream(
    console: Console,
    source: str | None,
    simulate: str | None,
    microphone: str | None,
    model: str | None,
    device: str,
    lm: str | None,
    no_lm: bool,
    as_json: bool,
    pace: float,
    sample_rate: int | None,
    pcm: Any,
    channels: int,
    channel: int | None,
    **choices: Any,
) -> int:
    """Write what is being said, while it is said.

    Listens to the microphone, to raw samples on standard input (-), or to a recording at the pace
    at which it was spoken (--simulate). Each segment is printed when it ends. On a terminal the
    one that is being spoken is shown too; what may still change of it is dim.

    Ctrl-C ends it: what was heard so far is printed. A second one ends it at once.

    \b
    ffmpeg -i URL -f s16le -ac 1 -ar 16000 - | asr stream -
    asr stream --simulate talk.mp3 --json

    Exit status: 0 the sound ended (a microphone's by Ctrl-C), 1 it broke off, 2 the call is wrong,
    130 interrupted.
    """
    _check(source, simulate, microphone)
    asked = options.transcribe_options(choices, no_lm)
    check_model(model, lm, no_lm)
    _check_sound(source, simulate)
    recognizer = open_model(console, model, device, lm, no_lm)
    from asr.audio import Microphone
    from asr.transcribe.listen.live import Live
    from asr.transcribe.listen.source import open_live

    if as_json:
        note_confidence(console, recognizer, asked)
    recognizer.stream(recognizer.sample_rate, options=asked)  # refuses wrong options at once
    if note := reencoding_note(recognizer):
        console.say(f"{note}; a longer --chunk-ms costs less")
    rate, recorder = sample_rate or RAW_RATE, None
    if simulate:
        opened = _simulated(simulate, recognizer.sample_rate, pace)
    elif source:
        opened = open_live(sys.stdin.buffer, rate, rate, pcm, channels, channel)
    else:
        recorder = Microphone(microphone, sample_rate, channels)
        console.say(f"listening to {recorder.name}; Ctrl-C ends")
        opened = open_live(recorder, None, rate, channel=channel)
    live = Live(recognizer.stream(opened.rate, options=asked), opened)
    return Listening(console, live, recorder, timed=pace > 0, piped=bool(source)).run(as_json)


def _check(source: str | None, simulate: str | None, microphone: str | None) -> None:
    """Refuses what does not go together."""
    sources = {"-": source, "--simulate": simulate, "--input": microphone}
    given = [name for name, value in sources.items() if value is not None]
    if source not in (None, STDIN):
        raise click.UsageError(
            f"'{source}': only - (raw samples on standard input) can stand here; for a recording "
            "there is --simulate, or asr transcribe"
        )
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} do not go together; give one")
    if simulate:
        options.refuse(("sample_rate", "pcm", "channels", "channel"), "a recording says its own")
    else:
        options.refuse(("pace",), "only --simulate has a pace")
    if not simulate and not source:
        options.refuse(("pcm",), "a microphone gives no raw bytes")
    if source and (sys.stdin is None or sys.stdin.isatty()):
        raise AudioError("standard input: no pipe; send raw samples into it, or leave - out")


def _check_sound(source: str | None, simulate: str | None) -> None:
    """Finds out before the model is loaded whether there can be any sound."""
    if simulate and simulate != STDIN and not os.path.lexists(simulate):
        raise missing(Path(simulate))
    if not simulate and not source:
        from asr.audio import Microphone, input_devices

        if not input_devices():
            Microphone()  # which says why there is none


def _simulated(path: str, rate: int, pace: float) -> LiveBlocks:
    from asr.audio import open_audio, paced
    from asr.transcribe.listen.source import LiveBlocks

    opened = open_audio(path, rate)
    return LiveBlocks(rate, paced(opened, rate, pace), close=opened.close)


@dataclass
class Listening:
    """One run: shows what is heard, and tells what went wrong with the sound."""

    console: Console
    live: Live
    microphone: Microphone | None
    timed: bool
    """Whether sound comes at its own pace, so that hearing can be late."""
    piped: bool = False
    """Whether sound comes from standard input, which must not be empty."""
    most_lag: float = 0.0
    overruns: int = 0
    interrupted: bool = False

    def run(self, as_json: bool) -> int:
        """Listens to the end; returns the exit status."""
        problem = None
        try:
            with self._interrupts(), view(self.console, as_json) as shown:
                for update in self.live:
                    shown.show(update)
                    self._watch(update)
        except AsrError as error:
            problem = error
        finally:
            self.live.close()
        if as_json:
            self.console.print(end_line(self.live.stream.seconds, self.most_lag, self.overruns))
        if self.timed and self.most_lag >= LATE_SECONDS:
            self.console.say(
                f"hearing was up to {self.most_lag:.1f} s behind the sound; nothing was dropped; "
                "a longer --chunk-ms or a smaller --beam is faster"
            )
        if self.overruns > 1:
            self.console.say(f"{self.overruns} overruns of the microphone")
        if self.piped and not (problem or self.interrupted or self.live.stream.seconds):
            problem = AudioError(
                "standard input: empty: no samples came; check the program that writes them"
            )
        if problem is not None:
            self.console.problem(problem)
            return SOME_FAILED
        return INTERRUPTED if self.interrupted and self.microphone is None else DONE

    def _watch(self, update: StreamUpdate) -> None:
        """Tells when sound is lost or late, each the first time."""
        now = f"at {clock_time(self.live.stream.seconds)}"
        if self.timed and update.lag >= LATE_SECONDS > self.most_lag:
            self.console.say(f"{now}: transcription lags {update.lag:.1f} s behind the audio")
        self.most_lag = max(self.most_lag, update.lag)
        overruns = self.microphone.overruns if self.microphone else 0
        if overruns and not self.overruns:
            self.console.say(
                f"{now}: overrun: sound was lost before it got here; close other programs"
            )
        self.overruns = overruns

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM ends the sound, the second one the program."""

        def stop() -> None:
            self.interrupted = True
            self.live.stop()

        with stop_on_signal(stop):
            yield
