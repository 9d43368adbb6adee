"""No process of a run outlives the one that started it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from asr.train.trainer import end_children

ROOT = Path(__file__).parents[2]

PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-c", sys.argv[1]], env={**os.environ, "ASR_STARTED_BY": str(os.getpid())}
)
time.sleep(float(sys.argv[2]))
"""
CHILD = """
import time
from asr.train.trainer import end_with_parent
end_with_parent()
print("on", flush=True)
time.sleep(100)
"""
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux alone")


@linux
def test_a_process_ends_with_the_one_that_started_it() -> None:
    with _parent(seconds=100) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "on\n"
        parent.send_signal(signal.SIGKILL)
        told, _ = parent.communicate(timeout=60)  # the pipe is open as long as either is there
        assert told == ""


@linux
def test_a_process_whose_parent_has_ended_already_does_not_begin() -> None:
    with _parent(seconds=0) as parent:  # ends while the other still imports
        told, _ = parent.communicate(timeout=60)
        assert told == ""


def test_what_nobody_started_goes_on() -> None:
    command = [sys.executable, "-c", CHILD.replace("100", "0")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("on\n", 0)


def test_children_end_where_there_is_no_sigkill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no such signal."""
    sent: list[int] = []
    trainer: Any = SimpleNamespace(
        strategy=SimpleNamespace(launcher=SimpleNamespace(kill=sent.append))
    )
    end_children(trainer)
    with monkeypatch.context() as patched:
        patched.delattr(signal, "SIGKILL")
        end_children(trainer)
    assert sent == [signal.SIGKILL, signal.SIGTERM]


def _parent(seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PARENT, CHILD, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
