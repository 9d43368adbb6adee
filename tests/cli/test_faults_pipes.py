"""Cases A of the list of faults: standard input (A14), and output that nobody can take."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Run, ended, fails, start, text_of
from tests.conftest import SAMPLES


@pytest.mark.parametrize("name", ["quilter.wav", "verloc.flac", "boarding-house.opus", "tax.mp3"])
def test_a14_standard_input(transcribe: Run, name: str) -> None:
    result = transcribe("-", "--one-line", input=(SAMPLES / name).read_bytes())
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == text_of(transcribe, SAMPLES / name)


def test_a14_a_pipe_that_cannot_seek_and_is_slow(tiny_model: Path, transcribe: Run) -> None:
    process = start(
        PROGRAM, "transcribe", "--one-line", "-m", tiny_model, "-", stdin=subprocess.PIPE
    )
    assert process.stdin
    data = (SAMPLES / "tax.mp3").read_bytes()
    for place in range(0, len(data), 10_000):
        process.stdin.buffer.write(data[place : place + 10_000])
        process.stdin.buffer.flush()
        time.sleep(0.05)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert out.strip() == text_of(transcribe, SAMPLES / "tax.mp3")


def test_a14_standard_input_closed_early(transcribe: Run) -> None:
    result = transcribe("-", input=(SAMPLES / "quilter.wav").read_bytes()[:100000])
    assert result.exit_code == 0
    assert result.stdout.strip()
    assert "standard input: cut off" in result.stderr


def test_a14_standard_input_without_a_byte(transcribe: Run, recordings: Path) -> None:
    fails(transcribe, recordings, "-", "standard input: empty")


def test_a14_standard_input_only_once(transcribe: Run) -> None:
    result = transcribe("-", "-", input=b"")
    assert result.exit_code == 2
    assert "can be read only once" in result.stderr


FULL = Path("/dev/full")


def test_a_closed_stdout_is_told_where_it_is_needed(
    tiny_model: Path, recordings: Path, tmp_path: Path
) -> None:
    call = ("transcribe", "-m", tiny_model, recordings)
    closed = "import sys; sys.stdout = None\n" + PROGRAM
    said = "asr: standard output: it is closed; send it to a file, or use -o"
    assert ended(start(closed, *call)) == (1, "", [said, "asr: stopped: 0 of 2 inputs are done"])
    assert ended(start(closed, *call, "-q", "-o", tmp_path / "out")) == (0, "", [])
    assert len(os.listdir(tmp_path / "out")) == 2


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
def test_a_full_disk_behind_stdout_is_one_line(tiny_model: Path, recordings: Path) -> None:
    with FULL.open("w") as full:
        process = start(PROGRAM, "transcribe", "-m", tiny_model, recordings, stdout=full)
        assert ended(process)[2] == [
            "asr: standard output: cannot be written: No space left on device",
            "asr: stopped: 0 of 2 inputs are done",
        ]
    assert process.returncode == 1


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full"])
@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
def test_messages_that_cannot_be_printed_stop_nothing(
    tiny_model: Path, recordings: Path, where: str
) -> None:
    call = [sys.executable, "-c", PROGRAM, "transcribe", "-m", tiny_model, "gone.wav", recordings]
    done = subprocess.run(
        ["sh", "-c", f'"$@" {where}', "sh", *map(str, call)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.count("\n")) == (1, 2)
