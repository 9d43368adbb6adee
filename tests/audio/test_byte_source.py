"""Where bytes come from: paths of any name, pipes, streams; and what is said when they do not."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from asr.audio import AudioLimits, load_audio, open_audio
from asr.errors import AudioError, ConfigError
from tests.audio.made import RATE, example


@contextmanager
def pipe_of(data: bytes) -> Iterator[io.BufferedReader]:
    """The reading end of a pipe into which `data` is being written."""
    reading, writing = os.pipe()

    def write() -> None:
        # Broken: the reader has seen enough.
        with open(writing, "wb") as file, suppress(BrokenPipeError):
            file.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    with open(reading, "rb") as file:
        yield file
    writer.join()


@pytest.mark.parametrize("kind", ["wav-16", "flac", "opus", "vorbis", "mp3", "m4a", "webm"])
def test_a_pipe_gives_what_the_file_gives(kind: str) -> None:
    with pipe_of(example(kind)) as pipe:
        audio = load_audio(pipe, RATE)
        assert not pipe.closed
    assert np.array_equal(audio.samples, load_audio(io.BytesIO(example(kind)), RATE).samples)
    assert audio.notes == ()


@pytest.mark.parametrize("kind", ["wav-16", "flac", "opus", "mp3"])
def test_a_pipe_that_is_closed_early_is_truncated(kind: str) -> None:
    data = example(kind)
    with pipe_of(data[: len(data) // 2]) as pipe:
        audio = load_audio(pipe, RATE)
    assert audio.truncated == pytest.approx(2.0, abs=1.1)


@pytest.mark.parametrize("kind", ["wav-16", "mp3"])
def test_dash_is_standard_input(kind: str) -> None:
    program = (
        "from asr.audio import open_audio\n"
        f"with open_audio('-', {RATE}) as stream:\n"
        "    print(sum(map(len, stream)), stream.name)\n"
    )
    for data, wanted in ((example(kind), f"{4 * RATE} standard input\n"), (b"", "")):
        done = subprocess.run(
            [sys.executable, "-c", program], input=data, capture_output=True, check=False
        )
        assert done.stdout.decode() == wanted
        if not data:
            assert b"AudioError: standard input: empty: no bytes came" in done.stderr


def test_a_path_called_dash_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-").write_bytes(example("wav-16"))
    assert load_audio(Path("-"), RATE).duration == 4.0
    assert load_audio("./-", RATE).duration == 4.0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_named_pipe_is_read_like_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(example("flac"),))
    writer.start()
    with open_audio(path, RATE) as stream:
        assert sum(len(block) for block in stream) == 4 * RATE
        assert stream.name == str(path)
    writer.join()


def test_a_pipe_of_text_is_refused_before_it_ends() -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def read(self, count: int = -1) -> bytes:
            self.taken += count
            return b"y\n" * (count // 2)

    endless = Endless()
    with pytest.raises(AudioError, match="not audio: it looks like text"):
        open_audio(endless, RATE)  # type: ignore[arg-type]
    assert endless.taken < 1e6


def test_a_pipe_is_read_as_far_as_the_cap_on_bytes() -> None:
    data = example("wav-16")
    with (
        pipe_of(data) as pipe,
        pytest.raises(AudioError, match=r"more than 100,000 bytes, the limit"),
    ):
        load_audio(pipe, RATE, AudioLimits(max_bytes=100_000))


def test_a_stream_is_read_from_where_it_stands() -> None:
    file = io.BytesIO(b"prefix" + example("wav-16"))
    file.seek(6)
    assert load_audio(file, RATE).duration == 4.0
    assert not file.closed


@pytest.mark.parametrize(
    "name",
    [
        "two words.wav",
        "line\nbreak.wav",
        "-dash.wav",
        "Größe 音 🎙.wav",
        "http:--host.wav",
        "concat:a|b.wav",
        "%d.wav",
        "x" * 251 + ".wav",
        b"not \xff\xfe utf-8.wav",
    ],
)
@pytest.mark.parametrize("kind", ["wav-16", "m4a"])
def test_names_of_any_characters(name: str | bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(name)
    try:
        path.write_bytes(example(kind))
    except OSError as error:
        pytest.skip(f"this file system does not take the name: {error}")
    for given in (path, str(path), os.fsencode(path)):
        assert load_audio(given, RATE).duration == pytest.approx(4.0, abs=0.05)
    path.write_bytes(b"text\n")
    with pytest.raises(AudioError) as caught:
        load_audio(path, RATE)
    message = str(caught.value)
    assert "\n" not in message
    message.encode()  # can be printed


@pytest.mark.parametrize("url", ["https://a.org/b.mp3", Path("https://a.org/b.mp3")])
def test_a_url_is_named_whole_and_says_what_to_do(url: str | Path) -> None:
    with pytest.raises(AudioError, match=r"^https://a.org/b.mp3: a URL, .* download it first"):
        load_audio(url, RATE)


def test_paths_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for path, why in (
        (tmp_path / "missing.wav", "no such file; "),
        (tmp_path / "no" / "such" / "folder", "no such file; "),
        (tmp_path, "a folder, not an audio file; "),
        (tmp_path / "loop", "symbolic links that lead in a circle; "),
        (tmp_path / "dangling", "the link leads to nothing; "),
        (tmp_path / ("x" * 256), r"cannot be opened \(file name too long\); "),
    ):
        with pytest.raises(AudioError, match=f"^{path}: {why}"):
            open_audio(path, RATE)
    with pytest.raises(AudioError, match=r"^'a\\x00b': not a path"):
        open_audio("a\0b", RATE)


def test_a_file_without_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(example("wav-16"))
    path.chmod(0)
    if os.access(path, os.R_OK):  # the superuser may read everything

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("asr.audio.byte_source.open", refuse, raising=False)
    with pytest.raises(AudioError, match=r"a\.wav: no permission to read it; "):
        open_audio(path, RATE)


def test_what_is_no_source_is_refused() -> None:
    with pytest.raises(AudioError, match="opened as text; open it in binary mode"):
        open_audio(io.StringIO("sound"), RATE)  # type: ignore[arg-type]
    with pytest.raises(AudioError, match="ndarray: not something that sound can be read from"):
        open_audio(np.zeros(99), RATE)  # type: ignore[arg-type]
    closed = io.BytesIO(b"x")
    closed.close()
    with pytest.raises(AudioError, match="cannot be read"):
        open_audio(closed, RATE)


def test_files_are_closed_also_after_errors(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("no list of open files on this system")
    good, bad = tmp_path / "good.wav", tmp_path / "bad.wav"
    good.write_bytes(example("wav-16"))
    bad.write_bytes(example("wav-16")[:30])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        load_audio(good, RATE)
        load_audio(io.BytesIO(example("m4a")), RATE)
        for source in (bad, io.BytesIO(b"text\n"), io.BytesIO(example("m4a")[:999])):
            with pytest.raises(AudioError):
                load_audio(source, RATE)
    assert len(os.listdir("/proc/self/fd")) == before


def test_limits_are_checked() -> None:
    assert AudioLimits.for_hours(24).max_bytes == 2 * AudioLimits().max_bytes
    assert AudioLimits.for_hours(1).max_bytes == AudioLimits().max_bytes
    assert AudioLimits.for_hours(1).max_seconds == 3600
    for hours in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="max-hours"):
            AudioLimits.for_hours(hours)
    with pytest.raises(ConfigError, match="max_channels"):
        AudioLimits(max_channels=0)


def test_the_bytes_of_a_file_are_not_taken_for_a_path() -> None:
    with pytest.raises(AudioError, match=r"^[\d,]+ bytes: not a path; .* io\.BytesIO$"):
        load_audio(example("flac"), RATE)
