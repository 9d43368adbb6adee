"""Cases A of the list of faults: what is in a file (A4, A5, A7 to A13, A16)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from tests.cli.conftest import Run, fails, text_of
from tests.conftest import RATE, SAMPLES


def test_a4_a_header_without_samples(transcribe: Run, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0, np.float32), RATE)
    result = transcribe(tmp_path / "a.wav")
    assert (result.exit_code, result.stdout) == (0, "\n")
    assert "a.wav: no sound" in result.stderr


def test_a5_a_file_cut_off_in_the_middle(transcribe: Run, tmp_path: Path) -> None:
    whole = (SAMPLES / "quilter.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[: len(whole) // 2])
    result = transcribe(tmp_path / "a.wav", "-f", "json")
    assert result.exit_code == 0
    assert "a.wav: cut off or damaged: the sound stops at 2.9" in result.stderr
    values = json.loads(result.stdout)
    assert values["truncated"] == pytest.approx(2.93, abs=0.01)
    assert values["notes"]
    assert values["text"]


def test_a12_the_content_counts_not_the_ending(transcribe: Run, tmp_path: Path) -> None:
    shutil.copy(SAMPLES / "tax.mp3", tmp_path / "tax.wav")
    assert text_of(transcribe, tmp_path / "tax.wav") == text_of(transcribe, SAMPLES / "tax.mp3")


def video(path: Path, tracks: list[np.ndarray]) -> None:
    """A video of one second with audio tracks, (N,) each at 16 kHz."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        voices = [container.add_stream("aac", rate=RATE, layout="mono") for _ in tracks]
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        for voice, samples in zip(voices, tracks, strict=True):
            for begin in range(0, len(samples), 1024):
                block = np.ascontiguousarray(samples[None, begin : begin + 1024])
                sound = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                sound.sample_rate, sound.pts = RATE, begin
                container.mux(voice.encode(sound))
            container.mux(voice.encode(None))


def test_a13_the_first_of_several_audio_tracks(
    transcribe: Run, tmp_path: Path, sound: np.ndarray
) -> None:
    video(tmp_path / "one.mp4", [sound])
    video(tmp_path / "two.mp4", [sound, np.zeros_like(sound)])
    result = transcribe(tmp_path / "two.mp4")
    assert result.exit_code == 0
    assert result.stdout.strip() == text_of(transcribe, tmp_path / "one.mp4")
    assert "two.mp4: " in result.stderr
    assert "first" in result.stderr


def test_a13_a_video_without_sound(transcribe: Run, recordings: Path) -> None:
    video(recordings / "silent.mp4", [])
    fails(transcribe, recordings, recordings / "silent.mp4", "silent.mp4: no audio track")


@pytest.mark.parametrize("samples", [1, 160, 1600])
def test_a16_next_to_nothing(
    transcribe: Run, tmp_path: Path, sound: np.ndarray, samples: int
) -> None:
    soundfile.write(tmp_path / "a.wav", sound[1000 : 1000 + samples], RATE)
    result = transcribe(tmp_path / "a.wav")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.count("\n") == 1


def test_max_hours_is_a_cap(transcribe: Run, recordings: Path) -> None:
    result = transcribe(recordings, "--max-hours", 1.5 / 3600)
    assert result.exit_code == 1
    assert "two.flac: longer than" in result.stderr
    assert result.stdout.startswith(f"{recordings / 'one.wav'}: ")
