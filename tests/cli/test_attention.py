"""`asr attention`: a picture of any utterance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli.conftest import Run
from tests.conftest import RATE


@pytest.fixture
def recording(tmp_path: Path, sound: np.ndarray) -> Path:
    path = tmp_path / "talk.wav"
    soundfile.write(path, sound, RATE)
    return path


@pytest.mark.parametrize("heads", [[], ["--heads"]])
def test_it_draws(run: Run, tiny_model: Path, recording: Path, heads: list[str]) -> None:
    picture = recording.parent / "picture.png"
    result = run("attention", recording, "-m", tiny_model, "-o", picture, *heads)
    assert result.exit_code == 0, result.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert result.stdout.startswith(f"{picture}")
    assert "diagonality" in result.stdout


def test_without_a_name_the_picture_stands_beside_the_recording(
    run: Run, tiny_model: Path, recording: Path
) -> None:
    assert run("attention", recording, "-m", tiny_model).exit_code == 0
    assert (recording.parent / "talk.attention.png").exists()


def test_a_segment_that_is_not_there(run: Run, tiny_model: Path, recording: Path) -> None:
    result = run("attention", recording, "-m", tiny_model, "--segment", 9)
    assert result.exit_code == 2
    assert "there is no segment 9" in result.stderr


def test_a_recording_in_which_nothing_is_said(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(RATE), RATE)
    result = run("attention", silent, "-m", tiny_model)
    assert result.exit_code == 1
    assert (
        result.stderr == f"asr: {silent}: nothing is said in it that could be drawn; name another\n"
    )
