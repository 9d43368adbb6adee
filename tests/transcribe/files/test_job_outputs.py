from __future__ import annotations

import os
from pathlib import Path

import pytest

from asr.errors import ConfigError
from asr.transcribe.files.jobs import STDIN, Input, TranscribeJob, file_name, output_jobs


def plan(*inputs: tuple[str, str], formats: str = "txt") -> list[TranscribeJob]:
    made = [Input(Path(source), Path(output)) for source, output in inputs]
    return output_jobs(made, Path("out"), formats.split(","))


def test_outputs_are_named_after_inputs_in_each_format() -> None:
    [job] = plan(("a/talk.v2.mp3", "2020/talk.v2"), formats="txt,json")
    assert job.files == {
        "txt": Path("out/2020/talk.v2.txt"),
        "json": Path("out/2020/talk.v2.json"),
    }


def test_two_inputs_with_one_output_are_both_named() -> None:
    with pytest.raises(
        ConfigError, match=r"^x/a\.wav and y/a\.mp3 would both be written to out/a\.txt; rename"
    ):
        plan(("x/a.wav", "a"), ("b.wav", "b"), ("y/a.mp3", "a"))


def test_the_same_input_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a\.wav and a\.wav"):
        plan(("a.wav", "a"), ("a.wav", "a"))


def test_a_transcript_must_not_overwrite_an_input() -> None:
    with pytest.raises(ConfigError, match=r"out/a\.txt would overwrite the input out/a\.txt"):
        plan(("out/a.txt", "a"))


def test_standard_input_has_a_name() -> None:
    [job] = output_jobs([Input(STDIN, Path("stdin"))], Path("out"), ["txt"])
    assert job.files == {"txt": Path("out/stdin.txt")}


def test_a_name_too_long_for_its_ending_is_cut_and_stays_unique() -> None:
    stem = "ü" * 125 + "x"  # 251 bytes: with .wav as long as a name may be
    assert file_name(Path(stem), "txt") == Path(f"{stem}.txt")
    names = {file_name(Path("2020", stem + more), "jsonl") for more in ("", "1", "2")}
    assert len(names) == 3
    for name in names:
        assert name.parent == Path("2020")
        assert len(os.fsencode(name.name)) <= 255
        assert name.name.startswith("ü" * 100)
        assert name.suffix == ".jsonl"


def test_done_means_that_every_file_is_there(tmp_path: Path) -> None:
    files = {"txt": tmp_path / "a.txt", "json": tmp_path / "a.json"}
    job = TranscribeJob(Input(Path("a.wav"), Path("a")), files)
    assert not job.done
    files["txt"].write_text("")
    assert not job.done
    files["json"].write_text("")
    assert job.done
