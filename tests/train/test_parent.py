"""No process of a run outlives the one that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from asr.train.parent import end_with_parent, known_to_children

PARENT = """
import subprocess, sys, time
from asr.train.parent import known_to_children
with known_to_children():
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
time.sleep(100)
"""
CHILD = """
import time
from asr.train.parent import end_with_parent
end_with_parent()
print("on", flush=True)
time.sleep(100)
"""


@pytest.mark.skipif(os.name != "posix", reason="nobody looks there")
def test_a_process_ends_with_the_one_that_started_it() -> None:
    command = [sys.executable, "-c", PARENT, CHILD]
    root = Path(__file__).parents[2]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "on\n"
    parent.send_signal(signal.SIGKILL)
    told, _ = parent.communicate(timeout=60)  # the pipe is open as long as either is there
    assert told == ""


def test_what_nobody_started_goes_on() -> None:
    with known_to_children():
        known = dict(os.environ)
    assert set(known) - set(os.environ) == {"ASR_STARTED_BY"}
    end_with_parent()
    assert "end-with-parent" not in [thread.name for thread in threading.enumerate()]
