"""What a person sees while training runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from lightning.pytorch.callbacks import ProgressBar

from asr.config import format_duration


class TrainingProgress(ProgressBar):
    """Shows steps and the time that is left on stderr. Lightning's `print` goes above the bar.

    Args:
        every: seconds between plain lines.
    """

    def __init__(self, every: float, stream: TextIO | None = None) -> None:
        super().__init__()
        self.stream = stream or sys.stderr
        self.every = every
        self._enabled = True
        self._bar: Any = None
        self._task: Any = None
        self._shown_at = float("-inf")
        self._begun = False
        if self.stream.isatty():
            self._open_bar()

    def disable(self) -> None:
        """Shows nothing from here on: in all processes but the first."""
        self.close()
        self._enabled = False

    def enable(self) -> None:
        """Shows plain lines again."""
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        """As the function of that name; for `LightningModule.print`."""
        self.say(kwargs.get("sep", " ").join(map(str, args)))

    def step(self, text: str, done: float, left: float, more: str = "") -> None:
        """Shows one step.

        Args:
            done: the part of the run that is done, 0 to 1.
            left: seconds until the end, NaN where that is not known.
            more: what follows where there is no bar.
        """
        remaining = f", {format_duration(left)} left" if left == left else ""
        if self._bar is not None:
            self._begun = True
            self._bar.update(self._task, completed=done, description=text + remaining)
        elif time.monotonic() - self._shown_at >= self.every:
            self._shown_at = time.monotonic()
            self.say(text + remaining + more)

    def preparing(self, what: str) -> Callable[[int, int], None]:
        """Shows how far something that comes before the first step has come.

        Returns:
            what is to be told the parts done and the parts there are.
        """
        shown_at = time.monotonic()  # what does not take long needs no line

        def show(done: int, total: int) -> None:
            nonlocal shown_at
            text = f"{what}: {done} of {total}"
            if self._bar is not None:
                self._bar.update(self._task, completed=done / total, description=text)
            elif time.monotonic() - shown_at >= self.every:
                shown_at = time.monotonic()
                self.say(text)

        return show

    def say(self, text: str) -> None:
        """Prints lines, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        elif self._enabled:
            print(text, file=self.stream, flush=True)

    def warn(self, text: str) -> None:
        """The same in every process: for what concerns only one of them."""
        if self._enabled:
            self.say(text)
        else:
            print(text, file=self.stream, flush=True)

    def close(self) -> None:
        """Ends the bar; where training has not begun, nothing is left of it."""
        if self._bar is not None:
            self._bar.update(self._task, visible=self._begun)
            self._bar.stop()
            self._bar = None

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
