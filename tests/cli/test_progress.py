from __future__ import annotations

import io
import sys

import pytest

from asr.cli.console import Console
from asr.cli.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_inputs_and_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with progress(2) as shown:
        shown.heard(3661.0)
        shown.input_done()
        Console().say("a message")
        shown.bar.refresh()
    assert "1/2" in terminal.getvalue()
    assert "1:01:01 of sound" in terminal.getvalue()
    assert "asr: a message\n" in terminal.getvalue()


def test_elsewhere_nothing_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", file := io.StringIO())
    with progress(2) as shown:
        shown.heard(10.0)
        shown.input_done()
    assert file.getvalue() == ""
