from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asr.errors import OutputError, TrainingError
from asr.train.lock import locked

#: Another process that holds the folder until its input ends.
HOLDER = """
import sys
from pathlib import Path
from asr.train.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_runs_do_not_share_a_folder_and_a_killed_one_leaves_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(TrainingError, match="another run is training there"),
            locked(tmp_path),
        ):
            pass
        other.kill()
        other.wait()
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="choose another folder"), locked(tmp_path / "file"):
        pass


#: Holds the folder as well, until it is killed; a process that it has forked goes on.
FORKING = """
import os, sys, time
from pathlib import Path
from asr.train.lock import locked
with locked(Path(sys.argv[1])):
    if os.fork() == 0:
        print("forked", flush=True)
        time.sleep(30)
    sys.stdin.read()
"""


@pytest.mark.skipif(os.name != "posix", reason="no fork there")
def test_a_forked_process_does_not_hold_the_folder(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORKING, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"forked\n"
        with pytest.raises(TrainingError, match="another run"), locked(tmp_path):
            pass
        other.kill()
        other.wait()
        with locked(tmp_path):
            pass
        os.killpg(other.pid, signal.SIGKILL)
