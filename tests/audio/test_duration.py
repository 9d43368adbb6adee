from __future__ import annotations

import os
from pathlib import Path

import pytest

from asr.audio import AudioLimits, load_audio
from asr.audio.duration import claimed_seconds, exact_seconds
from tests.conftest import SAMPLES


@pytest.mark.parametrize("name", ["boarding-house.opus", "quilter.wav", "tax.mp3", "verloc.flac"])
def test_headers_tell_how_long_a_recording_is(name: str) -> None:
    sound = load_audio(SAMPLES / name, 16000)
    assert claimed_seconds(SAMPLES / name) == pytest.approx(len(sound.samples) / 16000, abs=0.1)


@pytest.mark.parametrize("name", ["boarding-house.opus", "quilter.wav", "verloc.flac"])
def test_exact_lengths_are_those_of_the_samples(name: str) -> None:
    sound = load_audio(SAMPLES / name, 16000)
    assert exact_seconds(SAMPLES / name) == pytest.approx(len(sound.samples) / 16000, abs=1 / 16000)


def test_what_libsndfile_does_not_read_has_no_exact_length() -> None:
    assert exact_seconds(SAMPLES / "unscrewing.m4a") is None


def test_what_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "empty.wav").touch()
    os.mkfifo(tmp_path / "pipe.wav")
    for name in ("text.wav", "empty.wav", "pipe.wav", "none.wav", "."):
        assert claimed_seconds(tmp_path / name) is None
    assert claimed_seconds("-") is None


def test_more_than_is_accepted_is_not_believed() -> None:
    path = SAMPLES / "quilter.wav"
    assert claimed_seconds(path, AudioLimits(max_seconds=5.0)) is None
