"""Every format comes back as the samples that went in, whatever its name (A8, A9, A12, A13)."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio import AudioLimits, load_audio, open_audio
from asr.errors import AudioError
from tests.audio.made import EXACT, KINDS, RATE, example, muxed, packed, sound


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_its_samples(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "recording.txt"  # by content, never by ending
    path.write_bytes(example(kind))
    audio = load_audio(path, RATE)
    wanted = sound(4.0)
    assert audio.rate == RATE
    assert audio.samples.dtype == np.float32
    assert audio.truncated is None
    assert audio.notes == ()
    assert abs(audio.duration - 4.0) < 0.13  # codecs of fixed frames fill the last one
    if kind in EXACT:
        assert len(audio.samples) == len(wanted)
        assert np.abs(audio.samples - wanted).max() <= EXACT[kind]
    else:
        both = min(len(wanted), len(audio.samples))
        delays = (
            range(-1200, 1201)
            if kind in ("aac", "ts", "avi", "mp4-fragments", "mp3-bare")
            else (0,)
        )
        assert _best_correlation(audio.samples[:both], wanted[:both], delays) > 0.97


def _best_correlation(found: np.ndarray, wanted: np.ndarray, delays: object) -> float:
    """The likeness at the best delay: bare AAC and MP3 do not say how long their start-up is."""
    middle = slice(4000, 40000)
    return max(
        float(np.corrcoef(np.roll(found, -delay)[middle], wanted[middle])[0, 1])
        for delay in delays  # type: ignore[attr-defined]
    )


@pytest.mark.parametrize("kind", ["mp3", "m4a", "opus", "flac"])
def test_the_ending_does_not_count(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "named.wav"
    path.write_bytes(example(kind))
    assert np.array_equal(
        load_audio(path, RATE).samples, load_audio(io.BytesIO(example(kind)), RATE).samples
    )


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 22050, 22254, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("kind", ["wav-16", "flac"])
def test_any_rate_is_resampled(kind: str, rate: int) -> None:
    time = np.arange(rate + 7) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    audio = load_audio(io.BytesIO(packed(tone, rate, kind)), RATE)
    assert len(audio.samples) == round(len(tone) * RATE / rate)
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(audio.samples)) / RATE)
    assert np.abs(audio.samples - wanted)[200:-200].max() < 1e-3


def test_floats_beyond_full_scale_and_offsets_are_kept() -> None:
    samples = sound(0.5) * 5 + 0.25
    assert np.array_equal(
        load_audio(io.BytesIO(packed(samples, RATE, "wav-float")), RATE).samples, samples
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_no_number_is_named_with_its_second(value: float, channels: int) -> None:
    samples = np.stack([sound(6.0)] * channels, axis=1)
    samples[5 * RATE + 160, channels - 1] = value
    with pytest.raises(AudioError, match=r"^audio stream: a sample of .* at 5\.010 s is no sound"):
        load_audio(io.BytesIO(packed(samples, RATE, "wav-float")), RATE)


def test_floats_that_were_never_scaled_get_a_note() -> None:
    samples = sound(0.5) * 32768
    audio = load_audio(io.BytesIO(packed(samples, RATE, "wav-float")), RATE)
    assert "divide them by 32768" in audio.notes[0]


def test_of_several_audio_tracks_the_first_is_used() -> None:
    tracks = [sound(2.0), np.zeros(2 * RATE, np.float32)]
    audio = load_audio(io.BytesIO(muxed(tracks, RATE, "matroska", "aac", video=True)), RATE)
    assert audio.notes == ("2 audio tracks: only the first is used",)
    assert np.abs(audio.samples).max() > 0.2


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_video_without_sound_is_refused(container: str) -> None:
    with pytest.raises(AudioError, match=r"^audio stream: no audio track;"):
        load_audio(io.BytesIO(muxed([], RATE, container, "aac", video=True)), RATE)


def test_a_track_that_starts_late_keeps_the_times_of_the_video() -> None:
    late = muxed([sound(1.0)], RATE, "matroska", "pcm_s16le", video=True, first_time=2.0)
    audio = load_audio(io.BytesIO(late), RATE)
    assert audio.duration == pytest.approx(3.0, abs=0.01)
    assert not audio.samples[: 2 * RATE - 100].any()
    assert "silence stands for 2.0 s" in audio.notes[0]


def test_the_sound_of_a_header_without_samples_is_empty() -> None:
    audio = load_audio(io.BytesIO(packed(np.zeros(0, np.float32), RATE, "wav-16")), RATE)
    assert audio.samples.shape == (0,)
    assert audio.truncated is None
    assert audio.notes == ("no sound: the header is followed by no samples",)


@pytest.mark.parametrize("kind", ["wav-16", "flac", "aiff", "mov"])
@pytest.mark.parametrize("count", [1, 160, 1600])
def test_very_short_recordings_give_what_they_have(kind: str, count: int) -> None:
    samples = sound(1.0)[:count]
    audio = load_audio(io.BytesIO(packed(samples, RATE, kind)), RATE)
    assert len(audio.samples) == count
    assert np.abs(audio.samples - samples).max() <= EXACT[kind]
    assert audio.notes == ()


@pytest.mark.parametrize("kind", ["mp3", "vorbis", "opus", "m4a"])
@pytest.mark.parametrize("count", [160, 1600])
def test_very_short_compressed_recordings_are_no_error(kind: str, count: int) -> None:
    audio = load_audio(io.BytesIO(packed(sound(1.0)[:count], RATE, kind)), RATE)
    assert len(audio.samples) >= count


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (AudioLimits(max_rate=12000), r"16000 samples a second; 4000 to 12000 can be used"),
        (AudioLimits(max_channels=1), r"2 channels; at most 1 can be used"),
        (AudioLimits(max_bytes=1000), r"more than 1,000 bytes, the limit; .*--max-hours"),
        (AudioLimits(max_seconds=1.5), r"longer than .* hours, the limit; .*--max-hours"),
    ],
)
def test_past_a_limit_is_an_error(limits: AudioLimits, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(packed(np.stack([sound(2.0)] * 2, axis=1), RATE, "wav-16"))
    for source in (path, io.BytesIO(path.read_bytes())):
        with pytest.raises(AudioError, match=message):
            load_audio(source, RATE, limits)


def test_rates_below_speech_are_refused() -> None:
    with pytest.raises(AudioError, match=r"1000 samples a second; 4000 to 384000"):
        load_audio(io.BytesIO(packed(sound(1.0, 1000), 1000, "wav-16")), RATE)


@pytest.mark.parametrize("kind", ["wav-16", "flac", "opus", "mp3", "m4a", "webm"])
def test_the_size_of_blocks_changes_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not the mix of channels, of which one is silent until late."""
    samples = np.stack([sound(3.0, 44100), 0.3 * sound(3.0, 44100, seed=1)], axis=1)
    samples[:100000, 1] = 0
    if kind in ("m4a", "webm"):  # our writer makes one channel
        data = example(kind)
    else:
        rate = 48000 if kind == "opus" else 44100
        data = packed(samples, rate, kind)
    whole = load_audio(io.BytesIO(data), RATE)
    for frames in (997, 4096):
        monkeypatch.setattr("asr.audio.sndfile_decoder.BLOCK_FRAMES", frames)
        monkeypatch.setattr("asr.audio.child_decoder.BLOCK_FRAMES", frames)
        with open_audio(io.BytesIO(data), RATE) as stream:
            blocks = list(stream)
        assert len(blocks) > 10
        assert np.array_equal(np.concatenate(blocks), whole.samples)


def test_the_stream_tells_how_far_it_is() -> None:
    with open_audio(io.BytesIO(example("wav-16", 20.0)), RATE) as stream:
        seconds = [stream.seconds for _ in stream]
        assert seconds == sorted(seconds)
        assert seconds[0] < 5
        assert stream.seconds == 20.0
        assert (stream.source_rate, stream.channels, stream.rate) == (RATE, 1, RATE)


def test_real_opus_decodes_as_its_manifest_says() -> None:
    default = Path(__file__).parents[2].parent / "shared" / "corpora"
    corpora = Path(os.environ.get("ASR_CORPORA", default))
    manifest = corpora / "dev" / "librispeech" / "manifest.jsonl"
    if not manifest.exists():
        pytest.skip(f"no corpus at {corpora}; name its folder in ASR_CORPORA")
    with manifest.open(encoding="utf-8") as lines:
        entry = json.loads(next(lines))
    path = manifest.parent / entry["audio_filepath"]
    audio = load_audio(path, RATE)
    assert audio.duration == pytest.approx(entry["duration"], abs=0.02)
    assert audio.notes == ()
    assert np.array_equal(audio.samples, soundfile.read(path, dtype="float32")[0])
