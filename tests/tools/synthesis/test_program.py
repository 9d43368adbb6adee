"""The program, and the engines that are installed."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tools.synthesis.engines import ENGINES
from tools.synthesis.sound import fault, shape

TOOL = REPOSITORY / "tools" / "synthesise.py"


def synthesise(*args: object, path: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), *map(str, args)]
    env = {"PYTHONPATH": str(REPOSITORY), "PATH": path if path is not None else "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)


@pytest.fixture
def text(tmp_path) -> Path:
    lines = ["The men came over the hill, and we saw them.", "She would not say what it was."]
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n")
    return tmp_path / "text.txt"


def test_a_missing_program_names_its_package(text, tmp_path):
    done = synthesise(text, "-o", tmp_path / "m.jsonl", "--hours", 1, path="")
    assert done.returncode == 2
    assert "apt-get install flite" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("option", "said"),
    [("espaek", "known: espeak, flite"), ("flite=x", "is no number"), ("flite=0", "above 0")],
)
def test_a_wrong_share_is_named(text, tmp_path, option, said):
    done = synthesise(text, "-o", tmp_path / "m.jsonl", "--hours", 1, "--share", option)
    assert done.returncode == 2
    assert said in done.stderr


def voices(name: str) -> list[str]:
    try:
        found = ENGINES[name].voices()
    except Exception as error:
        pytest.skip(str(error))
    return found or pytest.skip(f"{name} has no English voice here")


def test_the_program_speaks_with_what_is_installed(text, tmp_path):
    voices("flite")
    call = (text, "-o", tmp_path / "m.jsonl", "--hours", 1, "--share", "flite", "--seen", 1)
    done = synthesise(*call, "--leave-out", "flite:[!s]*")
    assert done.returncode == 1, "the text is too short for an hour, and that is said"
    assert "less than 1 h" in done.stderr
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert len(lines) == 2
    assert {line["speaker"] for line in lines} == {"flite:slt"}


@pytest.mark.parametrize("name", ENGINES)
def test_engines_speak_at_the_rate_they_are_asked_for(name):
    engine = ENGINES[name]
    text = "she would not say what it was, and we saw them come over the hill."
    for voice in islice(voices(name), 3):
        spoken = {
            rate: shape(*engine.synthesize(text, voice, rate, 1.05), 1.0) for rate in (1.0, 1.3)
        }
        for rate, samples in spoken.items():
            assert fault(samples, text, rate) is None
        assert len(spoken[1.3]) == pytest.approx(len(spoken[1.0]) / 1.3, rel=0.15)
