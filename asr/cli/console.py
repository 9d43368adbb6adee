"""Messages of the commands: to stdout or stderr, and the exit status.

Results go to stdout; messages go to stderr, one line each: `asr: FILE: what is wrong; what to do`,
or one JSON object each where a program reads them.
"""

from __future__ import annotations

import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import import_module
from typing import Any, TextIO

from asr.errors import AsrError, ConfigError, DependencyError, ModelError, OutputError
from asr.strict_json import strict_json

#: Exit statuses of every command.
DONE, SOME_FAILED, WRONG_CALL, INTERRUPTED = 0, 1, 2, 130

# Found before any input was worked on: the call, or what it runs on, must change first.
_WRONG_CALL_ERRORS = (ConfigError, ModelError, DependencyError, OutputError)


@dataclass
class Console:
    """Prints messages; one instance serves one run of the program.

    Attributes:
        debug: errors come with their tracebacks.
        as_json: messages are JSON objects: `{"time", "event", ...}`.
        quiet: what is no error is not said.
    """

    debug: bool = False
    as_json: bool = False
    quiet: bool = False

    def say(self, message: str) -> None:
        """Prints one message as one line on stderr. Where that is closed or full, work goes on."""
        if self.as_json:
            self.event("message", message=message)
        else:
            _log(printable(f"asr: {message}"))

    def note(self, message: str) -> None:
        """Prints a message that nothing depends on, unless `quiet`."""
        if not self.quiet:
            self.say(message)

    def event(self, name: str, **values: Any) -> None:
        """Prints what happens as one JSON object on stderr; nothing where people read it."""
        if self.as_json:
            now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            values = {"time": now, "event": name, **values}
            _log(strict_json(values))

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Shows on a terminal what goes on until the block ends; nothing is left of it then.

        Elsewhere, and where `quiet`, nothing is shown.
        """
        if self.quiet or self.as_json or sys.stderr is None or not sys.stderr.isatty():
            yield
            return
        width = shutil.get_terminal_size().columns - 1  # a full line would begin the next one
        with suppress(OSError):
            _write(sys.stderr, f"{printable(what)} ..."[:width])
        try:
            yield
            with suppress(ImportError):  # doctor tells of it
                import_module("rich.progress")  # what mostly comes next is to be drawn at once
        finally:
            with suppress(OSError):
                _write(sys.stderr, f"\r{' ' * width}\r")

    def print(self, text: str) -> None:
        """Prints a result on stdout, at once: who reads from a pipe sees it when it is there.

        Raises:
            OutputError: stdout is closed, or the disk is full that it goes to.
            BrokenPipeError: who read from the pipe has gone.
        """
        if sys.stdout is None:
            raise OutputError("standard output: it is closed; send it to a file, or use -o")
        try:
            _write(sys.stdout, text)
        except BrokenPipeError:
            raise
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"standard output: cannot be written: {reason}") from error

    def problem(self, error: BaseException, **where: Any) -> None:
        """Prints an error as one line on stderr, after its traceback where that was asked for.

        Args:
            where: what it belongs to, for those who read JSON.
        """
        if self.as_json:
            fields: dict[str, Any] = {"kind": type(error).__name__, "message": describe(error)}
            if self.debug:
                fields["traceback"] = "".join(traceback.format_exception(error))
            self.event("failed" if where else "error", **where, **fields)
            return
        if self.debug:
            traceback.print_exception(error, file=sys.stderr)
        self.say(describe(error))


def _log(line: str) -> None:
    if sys.stderr is not None:
        with suppress(OSError):
            _write(sys.stderr, line + "\n")


def _write(stream: TextIO, text: str) -> None:
    """Writes `text`; what the terminal's encoding does not have is written as escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def printable(text: str) -> str:
    """`text` on one line: control characters are written as escapes (a name may hold newlines)."""
    return "".join(
        char if char.isprintable() or char == " " else char.encode("unicode_escape").decode()
        for char in text
    )


def describe(error: BaseException) -> str:
    """What to tell the user about `error`; an error that is not ours is called a bug."""
    if isinstance(error, AsrError):
        return str(error)
    detail = " ".join(str(error).split())
    kind = type(error).__name__
    text = f"{kind}: {detail}" if detail else kind
    return f"{text}; this is a bug in asr: run again with --debug and report what it prints"


def status_of(error: AsrError) -> int:
    """The exit status of a command that `error` ended."""
    return WRONG_CALL if isinstance(error, _WRONG_CALL_ERRORS) else SOME_FAILED
