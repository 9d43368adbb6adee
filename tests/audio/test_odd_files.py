"""Files as recorders, telephones, podcast hosts and tag editors make them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from asr.audio import AUDIO_ENDINGS, from_samples, load_audio
from asr.audio.duration import exact_seconds
from tests.audio.made import RATE, example, muxed, packed, sound


def test_comfort_noise_of_telephones_is_silence_and_all_speech_is_read() -> None:
    """FFmpeg refuses such packets; with them the rest of the call was lost."""
    audio = load_audio(Path(__file__).with_name("call.amr"), RATE)
    assert audio.truncated is None
    assert audio.duration == pytest.approx(5.86, abs=0.001)
    assert np.abs(audio.samples[RATE:]).max() > 0.3
    assert audio.notes == (
        "28 packets could not be decoded (not yet implemented in ffmpeg, patches welcome); "
        "silence stands for 0.56 s at 0.14 s, 5.64 s, 5.82 s",
    )


def test_a_damaged_packet_is_silence_and_the_note_says_where() -> None:
    data = bytearray(example("mp3-bare"))
    middle = data.index(b"\xff\xf3", len(data) // 2)
    data[middle + 4 : middle + 200] = bytes(196)
    audio = load_audio(io.BytesIO(bytes(data)), RATE)
    assert audio.truncated is None
    assert "silence stands for 0.04 s at 2.0" in audio.notes[0]
    whole = load_audio(io.BytesIO(example("mp3-bare")), RATE)
    assert abs(len(audio.samples) - len(whole.samples)) <= 576  # a packet


@pytest.mark.parametrize(("rate", "channels"), [(24000, 1), (44100, 1), (24000, 2)])
def test_recordings_of_other_formats_that_are_joined_are_all_read(rate: int, channels: int) -> None:
    first = packed(np.stack([sound(2.0, 44100)] * 2, axis=1), 44100, "mp3")
    samples = sound(3.0, rate)
    second = packed(np.stack([samples] * channels, axis=1), rate, "mp3")
    audio = load_audio(io.BytesIO(first + second), RATE)
    assert audio.truncated is None
    assert audio.duration == pytest.approx(5.0, abs=0.15)
    assert "rate or channels change at 2.0" in audio.notes[0]
    assert "converted to 44100 Hz, 2 channels" in audio.notes[0]
    alone = load_audio(io.BytesIO(second), RATE).samples[RATE : 2 * RATE]
    place = len(audio.samples) - 2 * RATE
    rest = audio.samples[place - RATE // 4 : place + RATE + RATE // 4]
    best = np.correlate(rest, alone, "valid").max() / float(alone @ alone)
    assert best > 0.9


@pytest.mark.parametrize("times", [(10.0, 90010.0), (7200.0, 10.0)])
def test_time_stamps_that_jump_are_no_silence(times: tuple[float, float]) -> None:
    """A recorder that was restarted, or segments of a broadcast around a discontinuity."""
    parts = [muxed([sound(2.0)], RATE, "mpegts", "aac", first_time=time) for time in times]
    audio = load_audio(io.BytesIO(b"".join(parts)), RATE)
    assert audio.duration == pytest.approx(4.0, abs=0.3)
    assert "joined without a gap" in " ".join(audio.notes)


@pytest.mark.parametrize("kind", ["wav-16", "aiff", "flac", "caf", "m4a"])
def test_an_id3_tag_may_stand_before_any_format(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "tagged"
    path.write_bytes(b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256) + example(kind))
    audio = load_audio(path, RATE)
    assert audio.notes == ()
    assert np.array_equal(audio.samples, load_audio(io.BytesIO(example(kind)), RATE).samples)


@pytest.mark.parametrize("cancelled", [1.0, 0.98])
def test_a_channel_that_is_the_other_upside_down_is_turned_over(cancelled: float) -> None:
    side = sound(6.0, 48000)
    samples = np.stack([side, -cancelled * side], axis=1)
    audio = load_audio(io.BytesIO(packed(samples, 48000, "wav-float")), 48000)
    assert np.allclose(audio.samples, side * (1 + cancelled) / 2, atol=1e-6)
    assert "turned over" in audio.notes[0]


def test_a_recording_that_begins_upside_down_only_is_mixed_as_usual() -> None:
    samples = np.stack([sound(8.0)] * 2, axis=1)
    samples[: 5 * RATE, 1] *= -1  # longer than the first block
    audio = load_audio(io.BytesIO(packed(samples, RATE, "wav-float")), RATE)
    assert np.array_equal(audio.samples[5 * RATE :], samples[5 * RATE :, 0])


def test_a_recording_near_silence_gets_a_note() -> None:
    quiet = sound(1.0) * np.float32(10 ** (-63 / 20) / np.abs(sound(1.0)).max())
    assert "very quiet: the loudest sample is at -63 dB" in from_samples(quiet, RATE, RATE).notes[0]
    assert from_samples(quiet * 8, RATE, RATE).notes == ()
    assert from_samples(np.zeros(RATE, np.float32), RATE, RATE).notes == ()


def test_lengths_of_mp3_files_are_never_guessed(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    for data, known in [
        (example("mp3-ffmpeg"), 4.0),
        (b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256) + example("mp3-ffmpeg"), 4.0),
        (example("mp3-bare"), None),
        (example("mp3-ffmpeg") * 2, None),
    ]:
        path.write_bytes(data)
        assert exact_seconds(path) == known


def test_folders_are_searched_for_what_can_be_decoded() -> None:
    named = [".m4v", ".wmv", ".mts", ".flv", ".ts", ".3g2", ".spx", ".ac3", ".wav", ".awb"]
    assert set(named) <= set(AUDIO_ENDINGS)
    assert len(set(AUDIO_ENDINGS)) == len(AUDIO_ENDINGS)
