"""The tests run the same where SIGINT is ignored, as in the background of a shell."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.conftest import REPOSITORY

# A process of tests, and a process that a test starts.
NESTED = """
import subprocess, sys
import tests.conftest
show = "import signal; print(signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))"
subprocess.run([sys.executable, "-c", show], check=True)
"""


def _ignore() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def test_child_processes_get_the_default_handlers() -> None:
    result = subprocess.run(
        [sys.executable, "-c", NESTED],
        preexec_fn=_ignore,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    expected = f"{signal.default_int_handler} {signal.Handlers.SIG_DFL}"
    assert result.stdout.strip() == expected
