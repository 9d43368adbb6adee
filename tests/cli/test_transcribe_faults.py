"""Cases A of the list of faults, as a user meets them on the command line."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from asr.transcribe import recognizer
from tests.cli.conftest import PROGRAM, Run, start
from tests.conftest import RATE, SAMPLES


def text_of(transcribe: Run, path: Path) -> str:
    result = transcribe(path)
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
    assert result.stdout == f"{recordings / 'one.wav'}: {expected}\n"


def test_a1_a_path_that_is_not_there(transcribe: Run, recordings: Path) -> None:
    fails(transcribe, recordings, recordings / "gone.wav", "gone.wav: no such file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a1_no_permission_to_read(transcribe: Run, recordings: Path) -> None:
    (recordings / "two.flac").chmod(0)
    fails(transcribe, recordings, recordings / "two.flac", "two.flac: no permission")


def test_a2_a_folder_with_no_audio_in_it(transcribe: Run, recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fails(transcribe, recordings, tmp_path / "empty", "no audio in this folder", ".wav", ".opus")


def test_a3_an_empty_file(transcribe: Run, recordings: Path) -> None:
    (recordings / "empty.wav").write_bytes(b"")
    fails(transcribe, recordings, recordings / "empty.wav", "empty.wav: empty file")


def test_a4_a_header_without_samples(transcribe: Run, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0, np.float32), RATE)
    result = transcribe(tmp_path / "a.wav")
    assert (result.exit_code, result.stdout) == (0, "\n")
    assert "a.wav: no sound" in result.stderr


def test_a5_a_file_cut_off_in_the_middle(transcribe: Run, tmp_path: Path) -> None:
    whole = (SAMPLES / "quilter.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[: len(whole) // 2])
    result = transcribe(tmp_path / "a.wav", "-f", "json")
    assert result.exit_code == 0
    assert "a.wav: cut off or damaged: the sound stops at 2.9" in result.stderr
    values = json.loads(result.stdout)
    assert values["truncated"] == pytest.approx(2.93, abs=0.01)
    assert values["notes"]
    assert values["text"]


def test_a6_not_audio(transcribe: Run, recordings: Path) -> None:
    (recordings / "notes.txt").rename(recordings / "notes.wav")
    fails(transcribe, recordings, recordings / "notes.wav", "notes.wav: not audio", "text")


def test_a12_the_content_counts_not_the_ending(transcribe: Run, tmp_path: Path) -> None:
    shutil.copy(SAMPLES / "tax.mp3", tmp_path / "tax.wav")
    assert text_of(transcribe, tmp_path / "tax.wav") == text_of(transcribe, SAMPLES / "tax.mp3")


def video(path: Path, tracks: list[np.ndarray]) -> None:
    """A video of one second with audio tracks, (N,) each at 16 kHz."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        voices = [container.add_stream("aac", rate=RATE, layout="mono") for _ in tracks]
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        for voice, samples in zip(voices, tracks, strict=True):
            for begin in range(0, len(samples), 1024):
                block = np.ascontiguousarray(samples[None, begin : begin + 1024])
                sound = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                sound.sample_rate, sound.pts = RATE, begin
                container.mux(voice.encode(sound))
            container.mux(voice.encode(None))


def test_a13_the_first_of_several_audio_tracks(
    transcribe: Run, tmp_path: Path, sound: np.ndarray
) -> None:
    video(tmp_path / "one.mp4", [sound])
    video(tmp_path / "two.mp4", [sound, np.zeros_like(sound)])
    result = transcribe(tmp_path / "two.mp4")
    assert result.exit_code == 0
    assert result.stdout.strip() == text_of(transcribe, tmp_path / "one.mp4")
    assert "two.mp4: " in result.stderr
    assert "first" in result.stderr


def test_a13_a_video_without_sound(transcribe: Run, recordings: Path) -> None:
    video(recordings / "silent.mp4", [])
    fails(transcribe, recordings, recordings / "silent.mp4", "silent.mp4: no audio track")


@pytest.mark.parametrize("name", ["quilter.wav", "verloc.flac", "boarding-house.opus", "tax.mp3"])
def test_a14_standard_input(transcribe: Run, name: str) -> None:
    result = transcribe("-", input=(SAMPLES / name).read_bytes())
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == text_of(transcribe, SAMPLES / name)


def test_a14_a_pipe_that_cannot_seek(tiny_model: Path, transcribe: Run) -> None:
    process = start(PROGRAM, "transcribe", "-m", tiny_model, "-", stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.buffer.write((SAMPLES / "tax.mp3").read_bytes())
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


@pytest.mark.parametrize(
    "name",
    [
        "with space.wav",
        "two\nlines.wav",
        "日本語 ü.wav",
        "-dash.wav",
        "*.wav",
        "x" * 251 + ".wav",
        os.fsdecode(b"caf\xe9.wav"),
    ],
)
def test_a15_odd_names_work_as_inputs_and_outputs(
    transcribe: Run, recordings: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = text_of(transcribe, recordings / "one.wav")
    (recordings / "one.wav").rename(recordings / name)
    monkeypatch.chdir(recordings)
    result = transcribe("-o", tmp_path / "out", "-f", "txt,jsonl", "--", name)
    assert (result.exit_code, result.stderr) == (0, "")
    names = sorted(os.listdir(tmp_path / "out"), key=len)
    assert names[0] == Path(name).stem + ".txt"
    assert (tmp_path / "out" / names[0]).read_text() == f"{text}\n"
    values = json.loads((tmp_path / "out" / names[1]).read_bytes())
    assert values["source"] == name
    printed = transcribe("--", name, "two.flac").stdout.splitlines()
    assert len(printed) == 2
    assert printed[0].endswith(f": {text}")


@pytest.mark.parametrize("samples", [1, 160, 1600])
def test_a16_next_to_nothing(
    transcribe: Run, tmp_path: Path, sound: np.ndarray, samples: int
) -> None:
    soundfile.write(tmp_path / "a.wav", sound[1000 : 1000 + samples], RATE)
    result = transcribe(tmp_path / "a.wav")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.count("\n") == 1


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


# Decodes a recording at a time, and from the third on never comes back.
STUCK = """
import itertools, time
from asr.transcribe.decode import StretchDecoder
decode, calls = StretchDecoder.__call__, itertools.count(1)
StretchDecoder.__call__ = lambda *a: decode(*a) if next(calls) <= 2 else time.sleep(600)
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
    process = start(
        STUCK, "transcribe", "-m", tiny_model, folder, *options, "--batch-seconds", "0.5"
    )
    deadline = time.monotonic() + 120
    while not (out / "b.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines() == [
        "asr: stopped: 2 of 4 inputs are done",
        "asr: interrupted",
    ]
    assert sorted(os.listdir(out)) == ["a.json", "a.txt", "b.json", "b.txt"]
    before = (out / "a.txt").stat().st_mtime_ns
    result = transcribe(folder, *options, "--skip-existing")
    assert (result.exit_code, result.stderr) == (0, "asr: 2 of 4 inputs are done already\n")
    assert len(os.listdir(out)) == 8
    assert (out / "a.txt").stat().st_mtime_ns == before
    assert {path.read_text() for path in out.glob("*.txt")} == {(out / "a.txt").read_text()}


def test_a20_two_inputs_with_the_same_output(
    transcribe: Run, recordings: Path, tmp_path: Path
) -> None:
    shutil.copy(recordings / "two.flac", recordings / "one.flac")
    result = transcribe(recordings, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        f"asr: {recordings / 'one.flac'} and {recordings / 'one.wav'} would both be written to "
    )
    assert not (tmp_path / "out").exists()
    assert transcribe(recordings).exit_code == 0  # printing them is no problem


def test_a22_a_file_that_vanishes(
    transcribe: Run, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = recognizer.load_model

    def slow(*arguments: object, **options: object) -> recognizer.Recognizer:
        (recordings / "two.flac").unlink()
        return original(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(recognizer, "load_model", slow)
    result = transcribe(recordings)
    assert result.exit_code == 1
    assert "two.flac: no such file" in result.stderr
    assert result.stdout.startswith(f"{recordings / 'one.wav'}: ")
    assert result.stdout.count("\n") == 1


def test_a22_a_link_that_leads_back(transcribe: Run, recordings: Path) -> None:
    (recordings / "again").symlink_to(recordings)
    result = transcribe(recordings, "--recursive")
    assert result.exit_code == 1
    assert "again: a link back to a folder that it is in" in result.stderr
    assert result.stdout.count("\n") == 2


FULL = Path("/dev/full")


def ended(process: subprocess.Popen[str]) -> tuple[int, str, list[str]]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err.splitlines()


def test_a_closed_stdout_is_told_where_it_is_needed(
    tiny_model: Path, recordings: Path, tmp_path: Path
) -> None:
    call = ("transcribe", "-m", tiny_model, recordings)
    closed = "import sys; sys.stdout = None\n" + PROGRAM
    said = "asr: standard output: it is closed; send it to a file, or use -o"
    assert ended(start(closed, *call)) == (1, "", [said, "asr: stopped: 0 of 2 inputs are done"])
    assert ended(start(closed, *call, "-o", tmp_path / "out")) == (0, "", [])
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


def test_max_hours_is_a_cap(transcribe: Run, recordings: Path) -> None:
    result = transcribe(recordings, "--max-hours", 1.5 / 3600)
    assert result.exit_code == 1
    assert "two.flac: longer than" in result.stderr
    assert result.stdout.startswith(f"{recordings / 'one.wav'}: ")
