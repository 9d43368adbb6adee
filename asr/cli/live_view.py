"""The display of `asr stream`: final segments as lines, on a terminal the partial text too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from asr.cli.console import Console
from asr.output import StreamEvents
from asr.types import Segment, StreamUpdate

#: What a terminal shows while nobody speaks.
LISTENING = "listening ..."
#: A lag that is worth telling, in seconds.
LATE_SECONDS = 2.0


class View(Protocol):
    """Shows updates."""

    def show(self, update: StreamUpdate) -> None:
        """Shows one."""
        ...


class JsonView:
    """Events on stdout, one a line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._events = StreamEvents()

    def show(self, update: StreamUpdate) -> None:
        """Prints what is new."""
        for line in self._events.lines(update):
            self._console.print(line)


class TextView:
    """The text of finals on stdout, one a line."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, update: StreamUpdate) -> None:
        """Prints the segments that ended."""
        for segment in update.final:
            self._console.print(segment.text + "\n")


class TerminalView:
    """The open segment at the bottom of a terminal, what may change of it dimmed; finals above it.

    Where stdout is a pipe or a file, finals go there, and only the open segment is shown.
    """

    def __init__(self, console: Console, live: Any, printed: bool) -> None:
        self._console = console
        self._live = live
        self._printed = printed

    def show(self, update: StreamUpdate) -> None:
        """Prints the segments that ended, and draws the open one anew."""
        if update.final:
            self._live.update("")  # or the old text stands below its final for a moment
        for segment in update.final:
            if self._printed:
                self._console.print(segment.text + "\n")
            else:
                self._live.console.print(_times(segment), segment.text)
        self._live.update(self._open(update), refresh=True)

    def _open(self, update: StreamUpdate) -> Any:
        """The last lines of the open segment, as many as the terminal has room for."""
        from rich.text import Text

        text = Text(overflow="fold")
        if update.partial and update.partial.text:
            text.append(update.partial.text[: update.stable])
            text.append(update.partial.text[update.stable :], style="dim")
        else:  # or an empty screen would leave it open whether anything goes on
            text.append(LISTENING, style="dim")
        if update.lag >= LATE_SECONDS:
            text.append(f"  [{update.lag:.0f} s behind]", style="yellow")
        console = self._live.console
        lines = text.wrap(console, console.width)
        room = max(1, console.height - 2)
        return Text("\n").join(lines[-room:])


def _times(segment: Segment) -> Any:
    from rich.text import Text

    return Text(f"{clock_time(segment.start)} - {clock_time(segment.end)} ", style="cyan")


def clock_time(seconds: float) -> str:
    """Seconds as people read them: 1:02.5, 1:00:02.5."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths // 10:02}.{tenths % 10}"
    return f"{hours}:{minutes:02}:{rest}" if hours else f"{minutes}:{rest}"


@contextmanager
def view(console: Console, as_json: bool) -> Iterator[View]:
    """The view that suits stdout and stderr, until the block ends."""
    printed = sys.stdout is None or not sys.stdout.isatty()
    terminal = sys.stderr if printed else sys.stdout
    if as_json:
        yield JsonView(console)
    elif terminal is None or not terminal.isatty():
        yield TextView(console)
    else:
        from rich.console import Console as Terminal
        from rich.live import Live

        screen = Terminal(file=terminal, highlight=False, markup=False, emoji=False)
        with Live(console=screen, transient=True, auto_refresh=False) as live:
            terminal_view = TerminalView(console, live, printed)
            terminal_view.show(StreamUpdate())
            yield terminal_view
