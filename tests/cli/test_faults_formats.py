"""Cases A of the list of faults: what is in a file (A4, A5, A7 to A13, A16)."""

from __future__ import annotations

import json
import shutil
import struct
from difflib import SequenceMatcher
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr

from tests.audio.made import EXACT, packed
from tests.cli.conftest import Run, fails, peak_of, text_of
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


@pytest.mark.parametrize("name", ["verloc.flac", "tax.mp3", "boarding-house.opus"])
def test_a5_a_compressed_file_cut_off_in_the_middle(
    transcribe: Run, tmp_path: Path, name: str
) -> None:
    whole = (SAMPLES / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    result = transcribe(tmp_path / name, "-f", "json")
    assert result.exit_code == 0
    values = json.loads(result.stdout)
    assert f"cut off or damaged: the sound stops at {values['truncated']:.2f} s" in result.stderr
    assert 0 < values["truncated"] == pytest.approx(values["duration"], abs=1e-3)


@pytest.mark.parametrize("channels", [2, 3, 6, 8])
def test_a7_channels_are_mixed_and_one_side_keeps_its_level(
    transcribe: Run, tmp_path: Path, sound: np.ndarray, channels: int
) -> None:
    soundfile.write(tmp_path / "mono.wav", sound, RATE)
    expected = text_of(transcribe, tmp_path / "mono.wav")
    everywhere = np.repeat(sound[:, None], channels, axis=1)
    soundfile.write(tmp_path / "same.wav", everywhere, RATE)
    assert text_of(transcribe, tmp_path / "same.wav") == expected
    everywhere[:, :-1] = 0
    soundfile.write(tmp_path / "side.flac", everywhere, RATE)
    assert text_of(transcribe, tmp_path / "side.flac") == expected


def test_a8_any_rate_says_what_16_khz_says(run: Run, tmp_path: Path) -> None:
    """With the model that ships; below 16 kHz a part of the band is missing."""
    sound, rate = soundfile.read(SAMPLES / "quilter.wav", dtype="float32")
    rates = (8000, 11025, 16000, 22254, 44100, 96000, 192000)
    for other in rates:
        resampled = soxr.resample(sound, rate, other)
        soundfile.write(tmp_path / f"{other:06}.wav", resampled, other, subtype="PCM_24")
    result = run("transcribe", tmp_path, "--no-lm", "--beam", 2, "--one-line")
    assert (result.exit_code, result.stderr) == (0, "")
    said = [line.split(": ")[1] for line in result.stdout.splitlines()]
    assert len(said) == len(rates)
    for rate, text in zip(rates, said, strict=True):
        same = SequenceMatcher(None, said[2], text, autojunk=False).ratio()
        assert same > (0.9 if rate >= RATE else 0.6), (rate, text)


def test_a9_every_kind_of_sample_is_decoded(
    transcribe: Run, tmp_path: Path, sound: np.ndarray
) -> None:
    for kind in EXACT:
        (tmp_path / f"{kind}.x").write_bytes(packed(sound, RATE, kind))
    result = transcribe(*sorted(tmp_path.iterdir()), "--one-line")
    assert (result.exit_code, result.stderr) == (0, "")
    said = dict(line.split(": ") for line in result.stdout.splitlines())
    assert len(said) == len(EXACT)
    fine = {said[f"{kind}.x"] for kind, error in EXACT.items() if error <= 2**-15}
    assert len(fine) == 1
    assert all(text for text in said.values())


def test_a9_floats_beyond_full_scale_and_an_offset(
    transcribe: Run, tmp_path: Path, sound: np.ndarray
) -> None:
    for name, samples in (("loud", 3 * sound / np.abs(sound).max()), ("offset", sound + 0.4)):
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE, subtype="FLOAT")
        assert text_of(transcribe, tmp_path / f"{name}.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a9_what_is_no_number_is_named_with_its_second(
    transcribe: Run, recordings: Path, sound: np.ndarray, value: float
) -> None:
    broken = sound.copy()
    broken[2 * RATE + RATE // 2] = value
    soundfile.write(recordings / "broken.wav", broken, RATE, subtype="FLOAT")
    fails(transcribe, recordings, recordings / "broken.wav", "broken.wav: ", "2.500 s")


def test_a10_headers_that_claim_gigabytes_cost_no_memory(
    transcribe: Run, recordings: Path, sound: np.ndarray
) -> None:
    wav = bytearray(packed(sound, RATE, "wav-16"))
    place = wav.index(b"data") + 4
    wav[place : place + 4] = struct.pack("<I", 0x70000000)
    (recordings / "gigabytes.wav").write_bytes(wav)
    flac = bytearray(packed(sound, RATE, "flac"))
    flac[21] |= 0x0F  # 2 ** 36 - 1 samples: 49 days
    flac[22:26] = b"\xff" * 4
    (recordings / "days.flac").write_bytes(flac)
    soundfile.write(recordings / "honest.wav", sound, RATE)
    expected = text_of(transcribe, recordings / "honest.wav")
    for name in ("gigabytes.wav", "days.flac"):
        result, peak = peak_of(transcribe, recordings / name, "--one-line")
        assert (result.exit_code, result.stdout.strip()) == (0, expected)
        assert f"{name}: cut off or damaged: the sound stops at 3.00 s" in result.stderr
        assert peak < 50e6


def test_a11_a_compressed_bomb_stops_at_the_cap(transcribe: Run, recordings: Path) -> None:
    with soundfile.SoundFile(recordings / "bomb.flac", "w", 8000, 1, subtype="PCM_16") as file:
        for _ in range(60):
            file.write(np.zeros(8000 * 60, np.int16))
    assert (recordings / "bomb.flac").stat().st_size < 200_000
    result, peak = peak_of(
        transcribe, recordings / "bomb.flac", recordings / "one.wav", "--max-hours", 0.5
    )
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "bomb.flac: longer than 0.5 hours, the limit; raise it with --max-hours" in result.stderr
    assert result.stdout.startswith("one.wav: ")
    assert peak < 50e6


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


def test_a11_max_hours_is_a_cap(transcribe: Run, recordings: Path) -> None:
    result = transcribe(recordings, "--max-hours", 1.5 / 3600)
    assert result.exit_code == 1
    assert "two.flac: longer than" in result.stderr
    assert result.stdout.startswith("one.wav: ")
