"""Cases A of the list of faults: names, folders, files that change (A1-3, A6, A15, A20, A22)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr.transcribe import recognizer
from asr.transcribe.files import segmenter
from tests.cli.conftest import Run, fails, text_of
from tests.conftest import RATE


def test_a1_a_path_that_is_not_there(transcribe: Run, recordings: Path) -> None:
    fails(transcribe, recordings, recordings / "gone.wav", "gone.wav: no such file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a1_no_permission_to_read(transcribe: Run, recordings: Path) -> None:
    (recordings / "two.flac").chmod(0)
    fails(transcribe, recordings, recordings / "two.flac", "two.flac: no permission")


def test_a2_a_folder_with_no_audio_in_it(transcribe: Run, recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fails(transcribe, recordings, tmp_path / "empty", "no audio in this folder: it is empty")


def test_a3_an_empty_file(transcribe: Run, recordings: Path) -> None:
    (recordings / "empty.wav").write_bytes(b"")
    fails(transcribe, recordings, recordings / "empty.wav", "empty.wav: empty file")


@pytest.mark.parametrize(
    ("data", "looks"),
    [
        (b"not a recording", "text"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(2000), "JPEG"),
        (b"PK\x03\x04\x14\x00" + bytes(2000), "zip"),
    ],
)
def test_a6_not_audio(transcribe: Run, recordings: Path, data: bytes, looks: str) -> None:
    (recordings / "talk.wav").write_bytes(data)
    fails(transcribe, recordings, recordings / "talk.wav", "talk.wav: not audio", looks)


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
    result = transcribe("-q", "-o", tmp_path / "out", "-f", "txt,jsonl", "--", name)
    assert (result.exit_code, result.stderr) == (0, "")
    names = sorted(os.listdir(tmp_path / "out"), key=len)
    assert names[0] == Path(name).stem + ".txt"
    assert (tmp_path / "out" / names[0]).read_text() == f"{text}\n"
    values = json.loads((tmp_path / "out" / names[1]).read_bytes())
    assert values["source"] == name
    printed = transcribe("--", name, "two.flac").stdout.splitlines()
    assert len(printed) == 2
    assert printed[0].endswith(f": {text}")


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
    assert result.stdout.startswith("one.wav: ")
    assert result.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda path: os.truncate(path, 1_000_000), "the file shrank while it was read: the sound"),
        (lambda path: path.open("ab").write(bytes(50_000)), "the file grew while it was read"),
        (Path.unlink, None),
    ],
)
def test_a22_a_file_that_changes_while_it_is_read(
    transcribe: Run,
    recordings: Path,
    sound: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], object],
    note: str | None,
) -> None:
    path = recordings / "long.wav"
    soundfile.write(path, np.tile(sound, 20), RATE)

    def changing(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for number, block in enumerate(blocks):
            if number == 1:
                change(path)
            yield block

    def cut(blocks: Iterable[np.ndarray], *more: Any) -> Iterator[tuple[float, np.ndarray]]:
        return segmenter.cut_segments(changing(blocks), *more)

    monkeypatch.setattr(recognizer, "cut_segments", cut)
    result = transcribe(path, "-f", "json")
    values = json.loads(result.stdout)
    assert result.exit_code == 0
    if note is None:
        assert (result.stderr, values["duration"]) == ("", 60.0)
    else:
        assert f"long.wav: {note}" in result.stderr
    assert (values["truncated"] is not None) == (values["duration"] < 60)


def test_a22_a_link_that_leads_back(transcribe: Run, recordings: Path) -> None:
    (recordings / "again").symlink_to(recordings)
    result = transcribe(recordings, "--recursive")
    assert result.exit_code == 1
    assert "again: a link back to a folder that it is in" in result.stderr
    assert result.stdout.count("\n") == 2
