"""How far a run has come, on stderr, where that is a terminal; elsewhere nothing is printed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """Counts inputs and seconds of sound; `bar` is rich's, None where there is no terminal."""

    bar: Any = None
    task: Any = None
    sound: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def heard(self, seconds: float) -> None:
        """So many seconds of sound were just decoded."""
        self.sound += seconds
        if self.bar is not None:
            speed = self.sound / max(time.monotonic() - self.started, 1e-3)
            clock = f"{_clock(self.sound)} of sound, {speed:.1f} times real time"
            self.bar.update(self.task, sound=clock)

    def input_done(self) -> None:
        """One more input is finished."""
        if self.bar is not None:
            self.bar.advance(self.task)


@contextmanager
def progress(inputs: int | None) -> Iterator[Progress]:
    """Shows the progress of a run over so many inputs (None: unknown) until the block ends."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield Progress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bar

    # What is printed meanwhile goes above the bar, if it goes to this terminal at all.
    with Bar(
        SpinnerColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[sound]}"),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
    ) as bar:
        yield Progress(bar, bar.add_task("", total=inputs, sound=""))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
