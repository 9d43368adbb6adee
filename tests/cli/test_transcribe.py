from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.cli.console import Console
from asr.cli.results import short_names
from asr.transcribe.recognizer import load_model
from tests.cli.conftest import Run
from tests.conftest import RATE, SAMPLES


def test_one_input_prints_its_text(transcribe: Run, recordings: Path, tiny_model: Path) -> None:
    result = transcribe(recordings / "one.wav")
    expected = load_model(tiny_model, "cpu").transcribe(recordings / "one.wav").text
    assert expected
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{expected}\n", "")


def test_several_inputs_are_named_and_in_order(transcribe: Run, recordings: Path) -> None:
    result = transcribe(recordings / "two.flac", recordings / "one.wav", "--batch-seconds", 0.5)
    assert result.exit_code == 0
    names = [line.split(": ")[0] for line in result.stdout.splitlines()]
    assert names == ["two.flac", "one.wav"]
    assert transcribe(recordings).stdout.splitlines() == result.stdout.splitlines()[::-1]


def test_files_are_written_in_every_format(
    transcribe: Run, recordings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out"
    result = transcribe(recordings, "-o", out, "-f", "txt,json,jsonl")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.splitlines() == [
        f"asr: wrote {out / stem}.txt, {out / stem}.json, {out / stem}.jsonl"
        for stem in ("one", "two")
    ]
    assert transcribe(recordings, "-o", out, "-q").stderr == ""
    endings = ("json", "jsonl", "txt")
    names = sorted(f"{stem}.{ending}" for stem in ("one", "two") for ending in endings)
    assert sorted(path.name for path in out.iterdir()) == names
    values = json.loads((out / "one.json").read_text())
    assert values["source"] == str(recordings / "one.wav")
    assert values["model"] == "tiny"
    assert values["duration"] == 1.0
    assert values["truncated"] is None
    [segment] = values["segments"]
    assert set(segment) == {"start", "end", "text", "score", "scores", "tokens", "words"}
    assert json.loads((out / "one.jsonl").read_text()) == values
    assert (out / "one.txt").read_text() == values["text"] + "\n"
    assert values["text"] in transcribe(recordings / "one.wav").stdout


def test_json_can_be_printed(transcribe: Run, recordings: Path) -> None:
    values = [
        json.loads(line) for line in transcribe(recordings, "-f", "jsonl").stdout.split("\n")[:2]
    ]
    assert [Path(value["source"]).name for value in values] == ["one.wav", "two.flac"]
    assert json.loads(transcribe(recordings / "one.wav", "-f", "json").stdout) == values[0]


@pytest.mark.parametrize("how", [(), ("--chunk-ms", 640)])
def test_segments_are_printed_one_a_line_while_the_rest_is_decoded(
    transcribe: Run,
    tmp_path: Path,
    sound: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    how: tuple[object, ...],
) -> None:
    pause = np.zeros(RATE, np.float32)
    for folder, count in (("a", 4), ("b", 3)):
        (tmp_path / folder).mkdir()
        talk = np.concatenate([sound, pause] * count)
        soundfile.write(tmp_path / folder / "talk.wav", talk, RATE)
    names = [tmp_path / folder / "talk.wav" for folder in "ab"]
    printed: list[str] = []
    show = Console.print
    monkeypatch.setattr(
        Console, "print", lambda self, text: (printed.append(text), show(self, text))
    )
    # Room for one segment at a time: what is decoded is printed before the next one is read.
    options = ("--batch-seconds", 1, *how)
    lines = transcribe(*names, *options).stdout.splitlines()
    assert len(lines) == 7
    assert len(printed) > 2  # not a text for each input
    assert [line.split(": ")[0] for line in lines] == [str(names[0])] * 4 + [str(names[1])] * 3
    whole = transcribe(*names, *options, "--one-line").stdout.splitlines()
    assert whole == [
        f"{name}: " + " ".join(line.split(": ")[1] for line in lines if line.startswith(str(name)))
        for name in names
    ]


def test_inputs_are_named_without_folders_where_that_is_unambiguous() -> None:
    assert short_names(["a/one.wav", "b/two.wav"]) == {
        "a/one.wav": "one.wav",
        "b/two.wav": "two.wav",
    }
    same = ["a/one.wav", "b/one.wav", "standard input"]
    assert short_names(same) == {name: name for name in same}
    assert short_names(["a/one.wav", "a/one.wav"]) == {"a/one.wav": "one.wav"}


def test_recursive_keeps_folders(transcribe: Run, recordings: Path, tmp_path: Path) -> None:
    result = transcribe(tmp_path, "--recursive", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out" / "talks").iterdir()) == [
        "one.txt",
        "two.txt",
    ]


def test_skip_existing_does_only_the_rest(
    transcribe: Run, recordings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "one.txt").write_text("kept")
    result = transcribe(recordings, "-o", out, "--skip-existing")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "asr: 1 of 2 inputs are done already",
        f"asr: wrote {out / 'two.txt'}",
    ]
    assert (out / "one.txt").read_text() == "kept"
    assert (out / "two.txt").read_text() not in ("", "kept")
    result = transcribe(recordings, "-o", out, "--skip-existing")
    assert (result.exit_code, result.stderr) == (0, "asr: 2 of 2 inputs are done already\n")
    result = transcribe(recordings, "-o", out)
    assert result.exit_code == 0
    assert (out / "one.txt").read_text() != "kept"


def test_search_options_reach_the_search(transcribe: Run, recordings: Path) -> None:
    one = recordings / "one.wav"

    def scores(*options: object) -> set[str]:
        printed = transcribe(one, "-f", "json", *options).stdout
        return set(json.loads(printed)["segments"][0]["scores"])

    assert scores() == {"attention", "ctc"}
    assert scores("--ctc-weight", 0) == {"attention"}
    narrow, wide = transcribe(recordings, "--beam", 1), transcribe(recordings, "--beam", 8)
    assert narrow.stdout != wide.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--skip-existing"], "--skip-existing needs a folder to write to: add -o DIR"),
        (["-f", "txt,json"], "more than one format needs a folder to write to: add -o DIR"),
        (["-f", "text"], "'text' is not known; did you mean 'txt'?"),
        (["--one-line", "-o", "out"], "--one-line is for text that is printed: leave out -o and"),
        (["--one-line", "-f", "srt"], "--one-line is for text that is printed: leave out -o and"),
        (["-f", ","], "no name given; known: txt,json,jsonl"),
        (["--device", "gpu"], "there are auto, cpu, cuda"),
        (["-m", "nowhere"], "nowhere: no such model folder"),
        (["--max-hours", "0"], "0.0 is not in the range"),
        (["--beam", "100000"], "100000 is not in the range"),
        (["--batch-seconds", "inf"], "batch_seconds must be a number above 0 and finite"),
        (["-m", ""], "it is empty; name a path"),
        (["-o", ""], "it is empty; name a path"),
    ],
)
def test_a_wrong_call_is_told_before_anything_is_done(
    transcribe: Run, recordings: Path, options: list[str], said: str
) -> None:
    result = transcribe(recordings / "one.wav", *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert said in result.stderr


def test_any_number_of_hours_is_a_limit(transcribe: Run, recordings: Path) -> None:
    assert transcribe(recordings / "one.wav", "--max-hours", "1e300").exit_code == 0


def test_an_empty_path_is_not_the_current_folder(transcribe: Run, recordings: Path) -> None:
    result = transcribe("", recordings / "one.wav")
    assert (result.exit_code, result.stdout.count("\n")) == (1, 1)
    assert result.stderr.startswith("asr: '': an empty path;")


def test_what_is_done_needs_no_folder_that_can_be_written(
    transcribe: Run, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert transcribe(recordings, "-o", tmp_path / "out").exit_code == 0

    def refuse(path: Path, data: bytes) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    result = transcribe(recordings, "-o", tmp_path / "out", "--skip-existing")
    assert (result.exit_code, result.stderr) == (0, "asr: 2 of 2 inputs are done already\n")


def test_the_samples_are_transcribed(transcribe: Run) -> None:
    result = transcribe(SAMPLES)
    assert result.exit_code == 0, result.stderr
    lines = (SAMPLES / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    names = sorted(json.loads(line)["audio_filepath"] for line in lines)
    assert list(dict.fromkeys(line.split(": ")[0] for line in result.stdout.splitlines())) == names


def test_the_text_does_not_depend_on_what_is_asked_for(
    transcribe: Run, tmp_path: Path, sound: np.ndarray
) -> None:
    pause = np.zeros(RATE, np.float32)
    soundfile.write(tmp_path / "a.wav", np.concatenate([sound, pause] * 8), RATE)

    def text(*options: object) -> str:
        assert transcribe(tmp_path / "a.wav", "-o", tmp_path / "out", *options).exit_code == 0
        return (tmp_path / "out" / "a.txt").read_text()

    expected = text("-f", "txt")
    assert expected.count("\n") > 4
    assert text("-f", "all") == expected
    assert text("-f", "all", "--nbest", 2) == expected
    assert text("-f", "txt,vtt", "--highlight-words", "--batch-seconds", 5) == expected
    values = json.loads((tmp_path / "out" / "a.json").read_text())
    assert values["text"].split() == expected.split()
