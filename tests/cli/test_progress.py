from __future__ import annotations

import io
import re
import sys
import threading
import time
from contextlib import suppress

import pytest

from asr.cli.console import Console
from asr.cli.progress import measure_in_background, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_inputs_and_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with progress(2) as shown:
        shown.decoded(3661.0)
        shown.input_done()
        Console().say("a message")
        shown.bar.refresh()
    assert "1/2" in terminal.getvalue()
    assert "1:01:01 of sound" in terminal.getvalue()
    assert "asr: a message\n" in terminal.getvalue()


def test_a_terminal_says_what_goes_on_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with Console().working("loading a\nmodel"):
        assert terminal.getvalue() == "loading a\\nmodel ..."
    assert terminal.getvalue().endswith(f"\r{' ' * 39}\r")  # nothing is left of it
    with suppress(KeyError), Console().working("x" * 100):
        assert terminal.getvalue().endswith("\r" + "x" * 39)  # one that is too long is cut
        raise KeyError
    assert terminal.getvalue().endswith(f"\r{' ' * 39}\r")


def test_what_goes_on_needs_no_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """`asr doctor` is to tell that it is missing."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    for name in [name for name in sys.modules if name.startswith("rich")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    done = []
    with Console().working("looking"):
        done.append(True)
    assert done


@pytest.mark.parametrize("console", [Console(quiet=True), Console(as_json=True)])
def test_who_wants_no_notes_is_not_told_what_goes_on(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with console.working("loading"):
        pass
    assert terminal.getvalue() == ""


def test_elsewhere_nothing_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", file := io.StringIO())
    with progress(2) as shown, Console().working("loading"):
        shown.decoded(10.0)
        shown.input_done()
    assert file.getvalue() == ""


def test_with_known_lengths_the_time_left_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with progress(2, 400.0) as shown:
        shown.started = time.monotonic() - 60
        shown.decoded(100.0)
        shown.bar.refresh()
    assert "0:01:40 of 0:06:40 of sound, 1.7 times real time, 0:0" in terminal.getvalue()
    assert re.search(r"0:0(2:59|3:00) left", terminal.getvalue())


def test_lengths_are_found_beside_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress(3) as shown:
        found = measure_in_background(shown, ["a", "b", "a"], {"a": 2.0, "b": 5.0}.get)
        for thread in threading.enumerate():
            if thread.name == "lengths":
                thread.join()
        assert found == {"a": 2.0, "b": 5.0}
        assert shown.seconds == 9.0
        shown.input_done(None, 2.0)  # it failed: nothing of it is decoded
        shown.input_done(6.0, 5.0)
        assert (shown.seconds, shown.sound) == (8.0, 6.0)


def test_an_unknown_length_leaves_the_whole_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress(2) as shown:
        measure_in_background(shown, ["a", "-"], {"a": 2.0}.get)
        for thread in threading.enumerate():
            if thread.name == "lengths":
                thread.join()
        assert shown.seconds is None


def test_quiet_shows_nothing_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with progress(2, quiet=True) as shown:
        shown.decoded(1.0)
    assert terminal.getvalue() == ""
