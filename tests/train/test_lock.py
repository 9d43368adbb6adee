from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asr.errors import OutputError, TrainingError
from asr.train.lock import alone_in

#: Another process that holds the folder until its input ends.
HOLDER = """
import sys
from pathlib import Path
from asr.train.lock import alone_in
with alone_in(Path(sys.argv[1])):
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
            alone_in(tmp_path),
        ):
            pass
        other.kill()
        other.wait()
    with alone_in(tmp_path):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="choose another folder"), alone_in(tmp_path / "file"):
        pass
