from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from asr.folders import use_lines


def named(folder: Path) -> str:
    """The model folder that the command of a card names."""
    [command] = [line for line in use_lines(folder) if line.startswith("    ")]
    words = shlex.split(command)
    assert words[:3] == ["asr", "transcribe", "-m"]
    return words[3]


def test_the_command_of_a_card_names_the_folder_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert named(Path("exp/a b/model")) == "exp/a b/model"
    assert named(tmp_path / "exp" / "model") == "exp/model"
    assert named(tmp_path.parent / "model") == str(tmp_path.parent.resolve() / "model")
