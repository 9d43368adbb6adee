"""--hotwords on the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.cli.conftest import Run


def test_hotwords_come_from_a_list_or_a_file(
    transcribe: Run, recordings: Path, tmp_path: Path
) -> None:
    plain = json.loads(transcribe(recordings / "one.wav", "-f", "json").stdout)
    assert "hotwords" not in plain["segments"][0]["scores"]
    file = tmp_path / "words.txt"
    file.write_text("Nottingham Castle : 2\nquilter\n", encoding="utf-8")
    for given in ("Nottingham Castle : 2, Quilter", file):
        result = transcribe(
            *(recordings / "one.wav", "-f", "json"), "--hotwords", given, "--hotword-weight", 0.4
        )
        assert (result.exit_code, result.stderr) == (0, "")
        assert "hotwords" in json.loads(result.stdout)["segments"][0]["scores"]


def test_hotwords_come_through_a_pipe(transcribe: Run, recordings: Path) -> None:
    """It can be read only once: `--hotwords <(sort words.txt)`."""
    reading, writing = os.pipe()
    with open(reading), open(writing, "w") as words:
        words.write("Quilter")
        words.close()
        given = ("--hotwords", f"/dev/fd/{reading}")
        result = transcribe(recordings / "one.wav", "-f", "json", *given)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "hotwords" in json.loads(result.stdout)["segments"][0]["scores"]


def test_what_is_wrong_is_one_line_and_nothing_is_transcribed(
    transcribe: Run, recordings: Path
) -> None:
    for arguments, message in [
        (("--hotwords", "gone.txt"), "gone.txt: hotwords cannot be read: No such file"),
        (("--hotwords", "abc : much"), "'much' is no weight; write 'phrase : number'"),
        (("--hotwords", "blå"), "this model cannot write å"),
        (("--hotwords", ""), "it is empty"),
        (("--hotword-weight", 2), "--hotword-weight needs --hotwords"),
        (("--hotwords", "abc", "--hotword-weight", -1), "is not in the range x>=0"),
    ]:
        result = transcribe(recordings / "one.wav", *arguments)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
