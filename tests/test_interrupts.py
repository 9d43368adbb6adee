"""Handlers of SIGINT and SIGTERM: set, deferred, and put back."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from asr.interrupts import SIGNALS, defer_interrupts, handle_signals, stop_on_signal
from tests.conftest import REPOSITORY


class _Stopped(Exception):
    pass


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def number(request: pytest.FixtureRequest) -> Iterator[int]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stopped

    before = signal.signal(request.param, stop)
    yield request.param
    assert signal.signal(request.param, before) is stop


def test_an_interrupt_comes_when_the_block_has_ended(number: int) -> None:
    seen = []
    with pytest.raises(_Stopped), defer_interrupts():  # noqa: PT012 - what comes after counts
        signal.raise_signal(number)
        seen.append("the end of the block")
    assert seen


def test_handlers_are_put_back_after_an_error(number: int) -> None:
    with pytest.raises(ZeroDivisionError), defer_interrupts():
        _ = 1 / 0
    with pytest.raises(_Stopped):
        signal.raise_signal(number)


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with defer_interrupts():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_change_no_handlers() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def look() -> None:
        with defer_interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_stops_and_the_second_interrupts(number: int) -> None:
    before, stops = signal.getsignal(number), []
    with pytest.raises(KeyboardInterrupt), stop_on_signal(lambda: stops.append(1)):  # noqa: PT012
        signal.raise_signal(number)
        assert stops == [1]
        signal.raise_signal(number)
    assert stops == [1]
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_is_not_handled() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    calls: list[int] = []
    try:
        with handle_signals(lambda number, frame: calls.append(number)):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert calls == [signal.SIGTERM]


def test_a_handler_that_python_did_not_install_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a program that embeds Python has installed it, `getsignal` returns None."""
    before, original = signal.getsignal(signal.SIGINT), signal.getsignal
    calls: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(
            signal,
            "getsignal",
            lambda number: None if number == signal.SIGINT else original(number),
        )
        with handle_signals(lambda number, frame: calls.append(number)) as install:
            install()
            assert original(signal.SIGINT) is before
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is before
    assert calls == [signal.SIGTERM]


# Ctrl-C while the module {module} is being imported.
IMPORTING = """
import importlib.abc, signal, sys

class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "{module}":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from {entry} import main
main()
"""


@pytest.mark.parametrize("module", ["asr.cli.main", "click", "asr.interrupts"])
def test_an_interrupt_while_the_program_is_imported_gives_no_traceback(module: str) -> None:
    settings = (REPOSITORY / "pyproject.toml").read_text()
    entry = re.search(r'^asr = "(.+):main"$', settings, re.MULTILINE)
    assert entry
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING.format(module=module, entry=entry[1])],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "asr: interrupted\n")
