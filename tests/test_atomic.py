from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from asr.atomic import check_writable, write_atomic
from asr.errors import OutputError
from asr.output import render
from asr.types import Transcript


def test_replaces_what_was_there_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    write_atomic(path, "new ü\n")
    assert path.read_text(encoding="utf-8") == "new ü\n"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_mode_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "interruption", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt]
)
def test_a_write_that_breaks_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: Any
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def broken(_: int) -> None:
        raise interruption

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises((OutputError, KeyboardInterrupt)):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"a\.txt: cannot be written: No space left on device"):
        write_atomic(tmp_path / "a.txt", "new")


def test_the_longest_name_that_a_file_system_takes_works(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".txt")
    write_atomic(path, "x")
    assert path.read_text() == "x"


def test_a_source_name_that_is_not_unicode_survives_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.wav")
    path = tmp_path / "a.json"
    write_atomic(path, render(Transcript((), 0.0, name), "json"))
    assert json.loads(path.read_bytes())["source"] == name


def test_check_writable_makes_the_folder(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_check_writable_refuses_what_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file: cannot be written to: .*; name another folder"):
        check_writable(tmp_path / "file")
