"""Cases A of the list of faults: sound without words (A17), and hours of it (A21)."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli.conftest import Run, text_of
from tests.conftest import RATE, SAMPLES

random = np.random.default_rng(17)


def seconds(count: float) -> np.ndarray:
    return np.arange(round(count * RATE)) / RATE


def breathing() -> np.ndarray:
    """Noise without highs, that comes and goes every four seconds."""
    soft = np.convolve(random.standard_normal(20 * RATE), np.ones(8) / 8, mode="same")
    return 0.02 * np.maximum(0, np.sin(2 * np.pi * seconds(20) / 4)) * soft


def music() -> np.ndarray:
    """Chords that change every half second."""
    notes = 220 * 2 ** (random.integers(0, 24, (40, 3)) / 12)
    chords = [np.sin(2 * np.pi * seconds(0.5)[:, None] * one).sum(1) for one in notes]
    fading = np.tile(np.exp(-4 * seconds(0.5)), 40)
    return 0.1 * np.concatenate(chords) * fading


def clicks() -> np.ndarray:
    sound = np.zeros(20 * RATE)
    sound[random.integers(0, len(sound), 60)] = 0.8
    return sound


WORDLESS = {
    "silence": np.zeros(20 * RATE),
    "noise": 0.05 * random.standard_normal(20 * RATE),
    "tone": 0.3 * np.sin(2 * np.pi * 440 * seconds(20)),
    "music": music(),
    "clicks": clicks(),
    "breathing": breathing(),
}


@pytest.mark.parametrize("name", WORDLESS)
def test_a17_no_words_where_nobody_speaks(run: Run, tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / "a.wav", WORDLESS[name].astype(np.float32), RATE)
    result = run("transcribe", tmp_path / "a.wav")
    assert (result.exit_code, result.stdout) == (0, "\n")


def test_a17_long_pauses_and_cut_off_words_make_no_others(run: Run, tmp_path: Path) -> None:
    sound, _ = soundfile.read(SAMPLES / "quilter.wav", dtype="float32")
    tone = (1e-4 * random.standard_normal(30 * RATE)).astype(np.float32)
    cut = sound[: round(2.9 * RATE)]  # within a word
    soundfile.write(tmp_path / "cut.wav", cut, RATE)
    soundfile.write(tmp_path / "pauses.wav", np.concatenate([sound, tone, cut, tone, sound]), RATE)
    whole, part = (shipped(run, one) for one in (SAMPLES / "quilter.wav", tmp_path / "cut.wav"))
    said = shipped(run, tmp_path / "pauses.wav").split()
    assert abs(len(said) - 2 * len(whole.split()) - len(part.split())) <= 1


def shipped(run: Run, path: Path) -> str:
    result = run("transcribe", path)
    assert result.exit_code == 0, result.stderr
    return result.stdout.rstrip("\n")


def hours(path: Path, count: int, sound: np.ndarray) -> None:
    """A wav file of silence with `sound` in the middle of every hour: holes on the disk."""
    size = 2 * RATE * 3600 * count
    form = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    head = b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt " + struct.pack("<I", 16) + form
    head += b"data" + struct.pack("<I", size)
    samples = (32767 * sound).astype("<i2").tobytes()
    with path.open("wb") as file:
        file.write(head)
        for hour in range(count):
            file.seek(len(head) + 2 * RATE * (3600 * hour + 1800))
            file.write(samples)
        file.truncate(len(head) + size)


def memory(name: str) -> float:
    """VmRSS or VmHWM of this process, in MiB."""
    [line] = [one for one in STATUS.read_text().splitlines() if one.startswith(f"{name}:")]
    return int(line.split()[1]) / 1024


STATUS, PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@pytest.mark.slow
@pytest.mark.skipif(not PEAK.exists(), reason="peak memory is read from Linux's /proc")
def test_a21_ten_hours_in_one_file_in_flat_memory(
    transcribe: Run, tmp_path: Path, sound: np.ndarray
) -> None:
    hours(tmp_path / "long.wav", 10, sound)
    quiet = np.zeros(5 * RATE, np.float32)
    soundfile.write(tmp_path / "part.wav", np.concatenate([quiet, sound, quiet]), RATE)
    part = text_of(transcribe, tmp_path / "part.wav")
    PEAK.write_text("5")  # the peak is counted from here
    before = memory("VmRSS")
    result = transcribe(tmp_path / "long.wav", "-f", "json")
    assert memory("VmHWM") - before < 100  # ten hours of samples are 2200
    assert (result.exit_code, result.stderr) == (0, "")
    values = json.loads(result.stdout)
    assert values["duration"] == 36000.0
    assert [segment["text"] for segment in values["segments"]] == [part] * 10
    starts = [segment["start"] for segment in values["segments"]]
    assert starts == pytest.approx([3600 * hour + 1800 for hour in range(10)], abs=1.1)
