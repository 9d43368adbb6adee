"""Running the program as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from tests.conftest import RATE, REPOSITORY

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Runs `asr ARGUMENTS` in this process: `.exit_code`, `.stdout`, `.stderr`."""
    from asr.cli.main import program

    def call(*arguments: object, **more: object) -> Result:
        result = CliRunner().invoke(program, [str(one) for one in arguments], **more)  # type: ignore[arg-type]
        assert "Traceback" not in result.stderr or "--debug" in arguments
        return result

    return call


@pytest.fixture
def transcribe(run: Run, tiny_model: Path) -> Run:
    """Runs `asr transcribe` with the tiny model."""

    def call(*arguments: object, **more: object) -> Result:
        return run("transcribe", "-m", tiny_model, "--device", "cpu", *arguments, **more)

    return call


@pytest.fixture
def recordings(tmp_path: Path, sound: np.ndarray) -> Path:
    """A folder with one.wav and two.flac, and a text file that is no recording."""
    folder = tmp_path / "talks"
    folder.mkdir()
    soundfile.write(folder / "one.wav", sound[:RATE], RATE)
    soundfile.write(folder / "two.flac", sound[: 2 * RATE], RATE)
    (folder / "notes.txt").write_text("not a recording")
    return folder


def start(code: str, *arguments: object, **more: object) -> subprocess.Popen[str]:
    """Starts Python with `code` and the arguments of the program; output is captured."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        stdout=more.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


PROGRAM = "from asr.cli.main import main; main()"


def ended(process: subprocess.Popen[str]) -> tuple[int, str, list[str]]:
    """Waits for a program: its status, stdout, and the lines of its stderr."""
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err.splitlines()


def text_of(transcribe: Run, path: Path) -> str:
    """What the recording says, as it is printed on one line."""
    result = transcribe(path, "--one-line")
    assert result.exit_code == 0, result.stderr
    return result.stdout.rstrip("\n")


def fails(transcribe: Run, recordings: Path, bad: object, *said: str) -> None:
    """`bad` gives one line on stderr and status 1, and the other input is done."""
    result = transcribe(bad, recordings / "one.wav")
    assert result.exit_code == 1
    assert result.stderr.startswith("asr: ")
    assert result.stderr.count("\n") == 1
    for part in said:
        assert part in result.stderr
    expected = text_of(transcribe, recordings / "one.wav")
    assert result.stdout == f"one.wav: {expected}\n"


def peak_of(transcribe: Run, *arguments: object) -> tuple[Result, int]:
    """A run, and the most bytes that its samples and objects took."""
    tracemalloc.start()
    result = transcribe(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, peak
