"""What a person sees while training runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from asr.train.module import StepResult
from asr.train.position import Position
from asr.train.report.duration import format_duration


class TrainingProgress:
    """Shows loss, accuracy, seconds of audio a second and the time that is left, on stderr.

    Args:
        every: seconds between plain lines.
    """

    def __init__(self, every: float, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.every = every
        self._bar: Any = None
        self._task: Any = None
        self._shown_at = float("-inf")
        self._begun = False
        if self.stream.isatty():
            self._open_bar()

    def step(
        self, result: StepResult, at: Position, speed: float, done: float, left: float
    ) -> None:
        """Shows one step.

        Args:
            speed: seconds of audio a second. done: the part of the run that is done, 0 to 1.
            left: seconds until the end, NaN where that is not known.
        """
        if self._bar is None and time.monotonic() - self._shown_at < self.every:
            return
        self._shown_at = time.monotonic()
        remaining = f", {format_duration(left)} left" if left == left else ""
        expected = f", WER {result.wer:.1%} expected" if result.wer == result.wer else ""
        text = (
            f"step {at.step}, epoch {at.epoch + bool(at.batch)}: loss {result.loss:.3f}, "
            f"accuracy {result.accuracy:.1%}{expected}, {speed:.0f}x real time{remaining}"
        )
        if self._bar is None:
            self.say(f"{text}, lr {result.lr:.2g}")
        else:
            self._draw(text, done)

    def line(self, text: str, done: float, more: str = "") -> None:
        """Shows how far something has come.

        Args:
            done: the part that is done, 0 to 1. more: what follows `text` where there is no bar.
        """
        if self._bar is not None:
            self._draw(text, done)
        elif time.monotonic() - self._shown_at >= self.every:
            self._shown_at = time.monotonic()
            self.say(text + more)

    def preparing(self, what: str) -> Callable[[int, int], None]:
        """Shows how far something that comes before the first step has come.

        Returns:
            what is to be told the parts done and the parts there are.
        """
        shown_at = time.monotonic()  # what does not take long needs no line

        def told(done: int, total: int) -> None:
            nonlocal shown_at
            text = f"{what}: {done} of {total}"
            if self._bar is not None:
                self._bar.update(self._task, completed=done / total, description=text)
            elif time.monotonic() - shown_at >= self.every:
                shown_at = time.monotonic()
                self.say(text)

        return told

    def say(self, text: str) -> None:
        """Prints lines, above the bar where there is one."""
        if self._bar is None:
            print(text, file=self.stream, flush=True)
        else:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Ends the bar; where training has not begun, nothing is left of it."""
        if self._bar is not None:
            self._bar.update(self._task, visible=self._begun)
            self._bar.stop()
            self._bar = None

    def _draw(self, text: str, done: float) -> None:
        self._begun = True
        self._bar.update(self._task, completed=done, description=text)

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._bar = Progress(
            BarColumn(bar_width=8),
            TextColumn("{task.description}", markup=False),
            console=Console(file=self.stream),
            refresh_per_second=2,
        )
        self._task = self._bar.add_task("starting", total=1.0)
        self._bar.start()
