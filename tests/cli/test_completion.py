"""Completing in a shell: the scripts, and what the program answers them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class

from asr.cli.completion import VARIABLE
from asr.cli.main import COMMANDS, program
from asr.output import FORMATS
from tests.cli.conftest import PROGRAM, Run
from tests.conftest import REPOSITORY


def completed(*words: str) -> list[tuple[str, str]]:
    """What may stand in place of the last word: (kind, value)."""
    kind = get_completion_class("bash")
    assert kind is not None
    *before, last = words
    found = kind(program, {}, "asr", VARIABLE).get_completions(list(before), last)
    return [(one.type, one.value) for one in found]


def plain(*words: str) -> list[str]:
    return [value for kind, value in completed(*words) if kind == "plain"]


def test_commands_and_options() -> None:
    assert plain("") == list(COMMANDS)
    assert plain("tra") == ["transcribe", "train"]
    assert plain("transcribe", "--hi") == ["--highlight-words"]
    assert {"--fast", "--accurate", "--nbest"} <= set(plain("transcribe", "--"))
    assert plain("completion", "") == ["bash", "zsh", "fish"]


def test_formats_one_after_the_other() -> None:
    assert plain("transcribe", "-f", "") == [*FORMATS, "all"]
    assert plain("transcribe", "-f", "js") == ["json", "jsonl"]
    assert plain("transcribe", "-f", "txt,t") == ["txt,tsv"]
    assert plain("transcribe", "a.wav", "--formats", "srt,T") == ["srt,TextGrid"]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("transcribe", "ta"), "file"),
        (("transcribe", "a.wav", "ta"), "file"),
        (("transcribe", "-o", "ou"), "dir"),
        (("transcribe", "-m", "mo"), "dir"),
        (("evaluate", "--lm", "l"), "dir"),
        (("doctor", "-m", "mo"), "dir"),
    ],
)
def test_files_and_folders_are_left_to_the_shell(words: tuple[str, ...], kind: str) -> None:
    assert completed(*words) == [(kind, words[-1])]


def test_devices() -> None:
    assert plain("transcribe", "--device", "c") == ["cpu", "cuda"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_printed(run: Run, shell: str) -> None:
    result = run("completion", shell)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"{VARIABLE}={shell}_complete" in result.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=result.stdout, text=True, check=True, timeout=20)


def test_another_shell_is_refused(run: Run) -> None:
    assert run("completion", "tcsh").exit_code == 2


def test_bash_completes_with_the_script(run: Run, tmp_path: Path) -> None:
    if not shutil.which("bash"):
        pytest.skip("no bash here")
    program_file = tmp_path / "asr"
    program_file.write_text(f"#!{sys.executable}\n{PROGRAM}\n")
    program_file.chmod(0o755)
    (tmp_path / "asr.bash").write_text(run("completion", "bash").stdout)
    script = (
        "source asr.bash; COMP_WORDS=(asr transcribe -f srt,v); COMP_CWORD=3; "
        '_asr_completion asr; echo "${COMPREPLY[@]}"'
    )
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
    }
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("srt,vtt\n", "")
