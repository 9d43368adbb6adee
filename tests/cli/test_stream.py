"""`asr stream`: sources, what is printed where, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.transcribe.recognizer import Recognizer, load_model
from tests.audio.microphones import plugged
from tests.cli.conftest import PROGRAM, Run, start
from tests.conftest import RATE, REPOSITORY, SAMPLES
from tests.transcribe.small import saved


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Recognizer:
    return load_model(tiny_model, "cpu")


@pytest.fixture
def stream(run: Run, tiny_model: Path) -> Run:
    def call(*arguments: object, **more: object) -> object:
        return run("stream", "-m", tiny_model, "--device", "cpu", *arguments, **more)

    return call  # type: ignore[return-value]


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory, sound: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    silence = np.zeros(RATE, np.float32)
    soundfile.write(path, np.concatenate([sound[:RATE], silence, sound[RATE : 2 * RATE]]), RATE)
    return path


@pytest.fixture(scope="module")
def said(model: Recognizer, talk: Path) -> list[str]:
    segments = model.transcribe(talk, chunk_ms=640).segments
    assert len(segments) == 2
    return [segment.text for segment in segments]


def test_a_recording_gives_the_finals_of_transcribe(
    stream: Run, talk: Path, said: list[str]
) -> None:
    result = stream("--simulate", talk, "--pace", 0)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == said


def test_pace_is_that_of_the_recording(stream: Run, talk: Path, said: list[str]) -> None:
    begun = time.monotonic()
    result = stream("--simulate", talk, "--pace", 2)
    assert time.monotonic() - begun > 1.4
    assert result.stdout.splitlines() == said


def test_events(stream: Run, talk: Path, model: Recognizer, said: list[str]) -> None:
    result = stream("--simulate", talk, "--pace", 0, "--json", "--chunk-ms", 320)
    events = [json.loads(line) for line in result.stdout.splitlines()]
    finals = [one for one in events if one["type"] == "final"]
    expected = model.transcribe(talk, chunk_ms=320).segments
    assert [one["text"] for one in finals] == [one.text for one in expected]
    assert [one["start"] for one in finals] == [round(one.start, 3) for one in expected]
    assert any(one["type"] == "partial" for one in events)
    assert events[-1] | {"most_lag": 0} == {
        **{"type": "end", "seconds": 3.0, "most_lag": 0, "overruns": 0}
    }


@pytest.mark.parametrize("form", ["int16", "float32"])
def test_raw_samples_on_standard_input(
    stream: Run, model: Recognizer, sound: np.ndarray, form: str
) -> None:
    pcm = (sound * 32767).astype("<i2")
    data = pcm if form == "int16" else (pcm / 32768).astype("<f4")
    stereo = np.repeat(data[:, None], 2, axis=1)
    options = ("--pcm", form, "--channels", 2, "--channel", 1, "--sample-rate", 8000)
    result = stream("-", *options, input=stereo.tobytes())
    assert (result.exit_code, result.stderr) == (0, "")
    expected = model.transcribe(pcm, 8000, chunk_ms=640).segments
    assert result.stdout.splitlines() == [one.text for one in expected]


def test_s3_an_odd_number_of_bytes_is_told_after_the_text(stream: Run, sound: np.ndarray) -> None:
    data = (sound * 32767).astype("<i2").tobytes()
    result = stream("-", input=data + b"\0")
    assert result.exit_code == 1
    assert result.stdout == stream("-", input=data).stdout != ""
    assert result.stderr.startswith("asr: the sound ended within a sample, 1 bytes")


def test_empty_standard_input_is_an_error(stream: Run) -> None:
    result = stream("-", input=b"")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "asr: standard input: empty: no samples came; check the program that writes them\n"
    )


def test_the_rules_of_endpoints_can_be_said(stream: Run, talk: Path) -> None:
    rules = ("silence_seconds=1.3", "noise_seconds=1.5")
    told = [part for rule in rules for part in ("--endpoint", rule)]
    whole = stream("--simulate", talk, "--pace", 0, *told)
    assert (whole.exit_code, whole.stdout.count("\n")) == (0, 1)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("max_segment=9", "unknown key 'max_segment', did you mean 'max_segment_seconds'?"),
        ("silence_seconds=99", "key 'silence_seconds'"),
        ("silence_seconds", "write key=number"),
        ("silence_seconds=long", "'long' is no number"),
    ],
)
@pytest.mark.parametrize("command", ["stream", "transcribe"])
def test_wrong_rules_are_wrong_calls(
    run: Run, talk: Path, rule: str, said: str, command: str
) -> None:
    name = ("--simulate", talk) if command == "stream" else (talk,)
    result = run(command, *name, "--endpoint", rule)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_files_know_chunks_and_rules_too(
    run: Run, tiny_model: Path, talk: Path, model: Recognizer
) -> None:
    options = ("--chunk-ms", 320, "--left-ms", 1280, "--endpoint", "silence_seconds=0.3")
    result = run("transcribe", "-m", tiny_model, "--device", "cpu", "--one-line", talk, *options)
    from asr import EndpointConfig

    rules = EndpointConfig(silence_seconds=0.3)
    expected = model.transcribe(talk, chunk_ms=320, left_ms=1280, endpoint=rules).text
    assert (result.exit_code, result.stdout) == (0, f"{expected}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("talk.wav",), "'talk.wav': only -"),
        (("-", "--simulate", "a.wav"), "- and --simulate do not go together"),
        (("--simulate", "a.wav", "--input", "1"), "do not go together"),
        (("--simulate", "a.wav", "--sample-rate", "16000"), "a recording says its own"),
        (("--simulate", "a.wav", "--pcm", "int16", "--channel", "1"), "leave out --pcm, --channel"),
        (("-", "--pace", "2"), "only --simulate has a pace: leave out --pace"),
        (("--pcm", "int16"), "a microphone gives no raw bytes: leave out --pcm"),
        (
            ("--simulate", str(SAMPLES / "quilter.wav"), "--chunk-ms", "100"),
            "chunk_ms must be a multiple",
        ),
        (("-", "--pcm", "mp3"), "mp3"),
    ],
)
def test_wrong_calls(stream: Run, arguments: tuple[str, ...], said: str) -> None:
    result = stream(*arguments, input=b"")
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_a_recording_that_is_not_there(stream: Run) -> None:
    result = stream("--simulate", "gone.wav")
    assert result.exit_code == 1
    assert result.stderr.startswith("asr: gone.wav: no such file")


def test_s6_no_microphone_and_what_there_is(
    stream: Run, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugged(monkeypatch, "Desk", "Head set")
    listed = run("stream", "--list-inputs")
    assert (listed.exit_code, listed.stdout.count("\n")) == (0, 2)
    result = stream("--input", "Car")
    assert result.exit_code == 1
    assert "microphone 'Car'" in result.stderr
    assert "0: Desk" in result.stderr
    plugged(monkeypatch)
    assert "no device to record with" in run("stream", "--list-inputs").stderr
    assert "no device to record with" in stream().stderr


def test_s6_an_unplugged_microphone_ends_with_what_was_heard(
    stream: Run, model: Recognizer, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = plugged(monkeypatch, "Desk")
    pcm = (sound * 32767).astype(np.int16)

    def speak() -> None:
        fake.say(pcm[:RATE, None], overflow=True)
        fake.say(pcm[RATE:, None], overflow=True)
        fake.unplug()

    fake.started = speak
    result = stream()
    expected = model.transcribe(pcm, RATE, chunk_ms=640).segments
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [one.text for one in expected]
    told = result.stderr.splitlines()
    assert told[0] == "asr: listening to Desk; Ctrl-C ends"
    assert "overrun: sound was lost" in told[1]
    assert told[2] == "asr: 2 overruns of the microphone"
    assert "'Desk' gives no sound any more" in told[3]


# A microphone that says what a file holds, and then nothing; it tells when all is said.
SPEAKING = """
import sys, threading
import soundfile
from tests.audio.microphones import FakeSoundDevice
from asr.audio import microphone
microphone.GONE_SECONDS = 600.0
fake = FakeSoundDevice("Desk")
sound = soundfile.read(sys.argv.pop(1), dtype="int16")[0][:, None]
fake.started = lambda: [fake.say(sound[at : at + 800]) for at in range(0, len(sound), 800)]
sys.modules["sounddevice"] = fake
from asr.cli.main import main; main()
"""


def test_ctrl_c_is_how_a_microphone_ends(tiny_model: Path, talk: Path, said: list[str]) -> None:
    call = ("stream", "-m", tiny_model, "--device", "cpu", "--json")
    process = start(SPEAKING, talk, *call)
    assert process.stdout
    lines = list[str]()
    while "final" not in (line := process.stdout.readline()):
        lines.append(line)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    events = [json.loads(one) for one in [*lines, line, *out.splitlines()]]
    assert [one["text"] for one in events if one["type"] == "final"] == said
    assert events[-1]["seconds"] == 3.0
    assert (process.returncode, err) == (0, "asr: listening to Desk; Ctrl-C ends\n")


def pcm_process(
    tiny_model: Path, *arguments: object, code: str = PROGRAM, **more: object
) -> subprocess.Popen[str]:
    call = ("stream", "-m", tiny_model, "--device", "cpu", "-", *arguments)
    return start(code, *call, stdin=subprocess.PIPE, **more)


def feed(process: subprocess.Popen[str], sound: np.ndarray) -> None:
    assert process.stdin
    process.stdin.buffer.write((sound * 32767).astype("<i2").tobytes())
    process.stdin.buffer.flush()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_what_was_heard_is_printed(
    tiny_model: Path, sound: np.ndarray, how: signal.Signals
) -> None:
    process = pcm_process(tiny_model, "--json")
    feed(process, sound)
    assert process.stdout
    while json.loads(process.stdout.readline())["type"] != "partial":
        pass
    process.send_signal(how)  # the pipe is still open
    out, err = process.communicate(timeout=60)
    events = [json.loads(line) for line in out.splitlines()]
    assert [one["type"] for one in events[-2:]] == ["final", "end"]
    assert events[-1]["seconds"] == 3.0
    assert (process.returncode, err) == (130, "")


# Hearing never comes back.
STUCK = """
import time
from asr.transcribe.streams.stream import Stream
Stream.feed = lambda *_: (print("stuck", flush=True), time.sleep(600))
from asr.cli.main import main; main()
"""


def test_a_second_interrupt_ends_at_once(tiny_model: Path, sound: np.ndarray) -> None:
    process = pcm_process(tiny_model, code=STUCK)
    feed(process, sound)
    assert process.stdout
    assert process.stdout.readline() == "stuck\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "asr: interrupted\n")


def test_a_reader_that_goes_ends_it_quietly(tiny_model: Path, talk: Path, said: list[str]) -> None:
    words = f"stream -m {tiny_model} --device cpu --simulate {talk} --pace 0".split()
    command = [sys.executable, "-c", PROGRAM, *words]
    done = subprocess.run(
        ["sh", "-c", '"$@" | head -1', "sh", *command],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert (done.stdout, done.stderr) == (said[0] + "\n", "")


def test_a_terminal_shows_what_is_open_dimmed(
    tiny_model: Path, talk: Path, said: list[str]
) -> None:
    ours, theirs = pty.openpty()
    process = start(
        PROGRAM,
        *("stream", "-m", tiny_model, "--device", "cpu", "--simulate", talk, "--pace", 3),
        stdout=theirs,
        stdin=subprocess.DEVNULL,
    )
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 120
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 1.0)[0]:
            try:
                data = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            shown += data
    os.close(ours)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    text = shown.decode()
    assert "\x1b[2mlistening ..." in text  # dim
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # the cursor is back
    plain = "".join(text.split())
    for segment in said:
        assert "".join(segment.split()) in plain


def test_a_model_that_cannot_stream_says_what_that_costs(
    run: Run, sound: np.ndarray, tmp_path: Path
) -> None:
    folder = saved(tmp_path, encoder={"type": "test-whole-only"})
    path = tmp_path / "talk.wav"
    soundfile.write(path, sound, RATE)
    expected = load_model(folder, "cpu").transcribe(path, chunk_ms=640).segments
    call = ("stream", "-m", folder, "--device", "cpu")
    result = run(*call, "--simulate", path, "--pace", 0)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [segment.text for segment in expected]
    assert "cannot stream: each second of sound is encoded up to about 6 times" in result.stderr
    pcm = (sound * 32768).astype("<i2").tobytes()
    assert len(run(*call, "-", input=pcm).stdout.splitlines()) == len(expected)


def test_chunks_of_recordings_too(run: Run, sound: np.ndarray, tmp_path: Path) -> None:
    folder = saved(tmp_path, encoder={"type": "test-whole-only"})
    soundfile.write(tmp_path / "talk.wav", sound, RATE)
    line = {"audio_filepath": str(tmp_path / "talk.wav"), "text": "hello"}
    (tmp_path / "test.jsonl").write_text(json.dumps(line) + "\n")
    for command, source in (("transcribe", "talk.wav"), ("evaluate", "test.jsonl")):
        call = (command, "-m", folder, "--device", "cpu", tmp_path / source)
        note = run(*call, "--chunk-ms", 640).stderr
        assert "cannot stream: each second of sound is encoded up to about 6 times" in note
        assert "without --chunk-ms each segment is encoded once" in note
        assert run(*call, "--chunk-ms", 640, "-q").stderr == run(*call).stderr == ""
