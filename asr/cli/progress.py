"""The progress display, on stderr where that is a terminal; elsewhere nothing is printed."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class ProgressDisplay:
    """Counts inputs and seconds of sound; `bar` is rich's, None where there is no terminal.

    With the length of all sound known, the bar is of seconds and tells how long is left;
    without, of inputs.
    """

    bar: Any = None
    task: Any = None
    inputs: int | None = None
    seconds: float | None = None
    sound: float = 0.0
    done: int = 0
    total: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def decoded(self, seconds: float) -> None:
        """So many seconds of sound were just decoded."""
        self.sound += seconds
        self.show()

    def input_done(self, seconds: float | None = None, expected: float | None = None) -> None:
        """One more input is finished.

        Args:
            seconds: how long it was; None where it could not be used.
            expected: how long it was expected to be.
        """
        self.done += 1
        self.total += seconds or 0.0
        self.sound = max(self.sound, self.total)  # silence is skipped without being decoded
        if self.seconds is not None and expected is not None:
            self.seconds += (seconds or 0.0) - expected
        self.show()

    def expect(self, seconds: float | None) -> None:
        """So long are all inputs together."""
        self.seconds = seconds
        self.show()

    def show(self) -> None:
        """Draws the bar as it is now."""
        if self.bar is None:
            return
        speed = self.sound / max(time.monotonic() - self.started, 1e-3)
        total, left = "", ""
        if self.seconds is not None:
            total = f" of {_clock(self.seconds)}"
            if self.sound:
                left = f", {_clock(max(0.0, self.seconds - self.sound) / speed)} left"
        sound = f"{_clock(self.sound)}{total} of sound, {speed:.1f} times real time{left}"
        counted = (self.sound, self.seconds) if self.seconds else (self.done, self.inputs)
        inputs = f"{self.done}/{self.inputs}" if self.inputs is not None else ""
        done, total_ = counted
        self.bar.update(self.task, completed=done, total=total_, inputs=inputs, sound=sound)


@contextmanager
def progress(
    inputs: int | None, seconds: float | None = None, quiet: bool = False
) -> Iterator[ProgressDisplay]:
    """Shows the progress of a run until the block ends; nothing where stderr is no terminal.

    Args:
        inputs: how many there are, None: unknown.
        seconds: how long all of them are, None: unknown; see `ProgressDisplay.expect`.
        quiet: show nothing on a terminal either.
    """
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield ProgressDisplay(inputs=inputs, seconds=seconds)
        return
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bar

    # What is printed meanwhile goes above the bar, if it goes to this terminal at all.
    bar = Bar(
        SpinnerColumn(),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[inputs]}"),
        TextColumn("{task.fields[sound]}"),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
    )
    display = ProgressDisplay(
        bar, bar.add_task("", total=None, inputs="", sound=""), inputs, seconds
    )
    display.show()
    with bar:
        yield display


def measure_in_background(
    display: ProgressDisplay, paths: Sequence[Any], length: Callable[[Any], float | None]
) -> dict[Any, float]:
    """Finds out, beside the work, how long all inputs are, and then tells the progress.

    Returns:
        the length of each path, filled meanwhile. One that is not known leaves the total unknown.
    """
    lengths: dict[Any, float] = {}
    if display.bar is None:
        return lengths

    def measure() -> None:
        for path in dict.fromkeys(paths):
            seconds = length(path)
            if seconds is None:
                return
            lengths[path] = seconds
        display.expect(sum(lengths[path] for path in paths))

    threading.Thread(target=measure, name="lengths", daemon=True).start()
    return lengths


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
