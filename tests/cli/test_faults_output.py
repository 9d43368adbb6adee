"""Cases A of the list of faults: outputs that cannot be written (A18), and interruption (A19)."""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli.conftest import PROGRAM, Run, ended, start
from tests.conftest import RATE


def test_a18_a_folder_that_cannot_be_written(transcribe: Run, recordings: Path) -> None:
    result = transcribe(recordings / "one.wav", "-o", recordings / "two.flac" / "out")
    assert result.exit_code == 2
    assert "cannot be written to" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a18_a_disk_that_fills_up_leaves_no_half_file(
    tiny_model: Path, recordings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(
        PROGRAM,
        *("transcribe", "-m", tiny_model, recordings, "-o", out, "-f", "json"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200)),
    )
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert err.splitlines() == [
        f"asr: {out / 'one.json'}: cannot be written: File too large",
        "asr: stopped: 0 of 2 inputs are done",
    ]
    assert list(out.iterdir()) == []


def wrote(path: Path) -> str:
    """The message about a transcript in two formats."""
    return f"asr: wrote {path}.txt, {path}.json"


# Decodes a recording at a time, and from the third on never comes back; MARK tells when.
STUCK = """
import itertools, pathlib, time
from asr.transcribe.files.segment_decoder import SegmentDecoder
decode, calls = SegmentDecoder.__call__, itertools.count(1)
def stuck(*a):
    if next(calls) <= 2:
        return decode(*a)
    pathlib.Path(MARK).touch()
    time.sleep(600)
SegmentDecoder.__call__ = stuck
from asr.cli.main import main; main()
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a19_interrupted_in_the_middle_of_a_folder(
    tiny_model: Path, transcribe: Run, tmp_path: Path, sound: np.ndarray, how: signal.Signals
) -> None:
    folder, out = tmp_path / "talks", tmp_path / "out"
    folder.mkdir()
    for name in "abcd":
        soundfile.write(folder / f"{name}.wav", sound, RATE)
    options = ("-o", out, "-f", "txt,json")
    mark = tmp_path / "mark"
    program = STUCK.replace("MARK", repr(str(mark)))
    process = start(
        program, "transcribe", "-m", tiny_model, folder, *options, "--batch-seconds", "0.5"
    )
    deadline = time.monotonic() + 120
    while not mark.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines() == [
        wrote(out / "a"),
        wrote(out / "b"),
        "asr: stopped: 2 of 4 inputs are done",
        "asr: interrupted",
    ]
    assert sorted(os.listdir(out)) == ["a.json", "a.txt", "b.json", "b.txt"]
    before = (out / "a.txt").stat().st_mtime_ns
    result = transcribe(folder, *options, "--skip-existing")
    assert (result.exit_code, result.stderr.splitlines()) == (
        0,
        ["asr: 2 of 4 inputs are done already", *(wrote(out / name) for name in "cd")],
    )
    assert len(os.listdir(out)) == 8
    assert (out / "a.txt").stat().st_mtime_ns == before
    assert {path.read_text() for path in out.glob("*.txt")} == {(out / "a.txt").read_text()}


# It comes while Python finalises an object, where an exception is printed and forgotten.
LOST = """
import os, signal, time
from asr.transcribe.files.segment_decoder import SegmentDecoder
if NUMBER == signal.SIGTERM:  # as in the background of a shell
    signal.signal(signal.SIGINT, signal.SIG_IGN)
class Swallowing:
    def __del__(self):
        os.kill(os.getpid(), NUMBER)
        time.sleep(600)
def stuck(*a):
    Swallowing()
    time.sleep(600)
SegmentDecoder.__call__ = stuck
from asr.cli.main import main; main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a19_no_interrupt_is_lost(tiny_model: Path, recordings: Path, number: int) -> None:
    program = LOST.replace("NUMBER", str(int(number)))
    process = start(program, "transcribe", "-m", tiny_model, recordings / "one.wav")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "asr: interrupted"
    assert "KeyboardInterrupt" not in err


# A second signal comes while the first one is being cleaned up after, a third while Python leaves.
TWICE = """
import atexit, os, signal, time
from asr.transcribe.files.segment_decoder import SegmentDecoder
def stuck(*a):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(600)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)
        print("cleaned up", flush=True)
SegmentDecoder.__call__ = stuck
def leave():
    time.sleep(0.6)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
atexit.register(leave)
from asr.cli.main import main; main()
"""


def test_a19_interrupted_twice_is_interrupted_once(tiny_model: Path, recordings: Path) -> None:
    process = start(TWICE, "transcribe", "-q", "-m", tiny_model, recordings / "one.wav")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert out == "cleaned up\n"
    assert err.splitlines() == ["asr: stopped: 0 of 1 inputs are done", "asr: interrupted"]


def test_a19_two_runs_that_write_to_one_folder(
    tiny_model: Path, transcribe: Run, tmp_path: Path, sound: np.ndarray
) -> None:
    folder, out = tmp_path / "talks", tmp_path / "out"
    folder.mkdir()
    for name in "abcdef":
        soundfile.write(folder / f"{name}.wav", sound, RATE)
    options = ("-o", out, "-f", "txt,json", "--skip-existing", "--batch-seconds", "3")
    both = [start(PROGRAM, "transcribe", "-m", tiny_model, folder, *options) for _ in range(2)]
    assert [ended(one)[0] for one in both] == [0, 0]
    names = sorted(f"{name}.{ending}" for name in "abcdef" for ending in ("json", "txt"))
    assert sorted(os.listdir(out)) == names
    assert transcribe(folder, *options).stderr == "asr: 6 of 6 inputs are done already\n"
    assert {path.read_text() for path in out.glob("*.txt")} == {(out / "a.txt").read_text()}
