from __future__ import annotations

import numpy as np
import pytest

from asr.config import parse
from asr.data.augment import (
    Augmenter,
    Noises,
    add_noise,
    add_room,
    change_speed,
    change_volume,
    lossy,
    room_responses,
    telephone,
)
from asr.data.config import AugmentConfig, NoiseConfig
from asr.errors import ConfigError, ManifestError
from tests.data.sound import RATE, lines, tone, write


def speechlike(seconds: float = 2.0) -> np.ndarray:
    """Noise in the band of speech, with onsets that correlation can find."""
    draw = np.random.default_rng(1)
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(draw.standard_normal(count))
    at = np.fft.rfftfreq(count, 1 / RATE)
    spectrum[(at < 400) | (at > 3000)] = 0
    sound = np.fft.irfft(spectrum, count) * (np.sin(np.arange(count) / RATE * 20) > 0)
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def lag(one: np.ndarray, other: np.ndarray) -> int:
    size = 2 * len(one)
    cross = np.fft.irfft(np.fft.rfft(other, size) * np.conj(np.fft.rfft(one, size)), size)
    shift = int(np.argmax(cross))
    return shift if shift < len(one) else shift - size


def level(samples: np.ndarray, low: float, high: float) -> float:
    at = np.fft.rfftfreq(len(samples), 1 / RATE)
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float(power[(at >= low) & (at < high)].sum() / len(samples) ** 2)


@pytest.mark.parametrize("factor", [0.9, 1.1, 0.93, 1.37])
def test_speed_changes_length_and_pitch(factor):
    fast = change_speed(tone(2.0, 440), factor, RATE)
    assert len(fast) == pytest.approx(2.0 * RATE / factor, abs=2)
    peak = np.argmax(np.abs(np.fft.rfft(fast))) * RATE / len(fast)
    assert peak == pytest.approx(440 * factor, abs=1)
    assert fast.dtype == np.float32


def test_speed_of_one_changes_nothing():
    samples = tone(0.1)
    assert change_speed(samples, 1.0, RATE) is samples


def test_volume_is_exact_and_never_beyond_full_scale():
    samples = tone(0.1)
    np.testing.assert_allclose(change_volume(samples, -6.0), samples * 10**-0.3, rtol=1e-6)
    assert np.abs(change_volume(samples, 40.0)).max() == pytest.approx(1.0)
    loud = samples * 5
    np.testing.assert_array_equal(change_volume(loud, 10.0), loud)


@pytest.mark.parametrize("snr", [-5.0, 0.0, 20.0])
def test_noise_has_the_ratio_asked_for(snr):
    samples, noise = speechlike(), np.random.default_rng(2).standard_normal(2 * RATE)
    added = add_noise(samples, noise.astype(np.float32), snr) - samples
    ratio = 10 * np.log10(np.mean(samples**2) / np.mean(added**2))
    assert ratio == pytest.approx(snr, abs=0.01)


def test_noise_leaves_silence_alone():
    silence = np.zeros(100, np.float32)
    np.testing.assert_array_equal(add_noise(silence, np.ones(100, np.float32), 0), silence)
    np.testing.assert_array_equal(add_noise(tone(0.1), np.zeros(1600, np.float32), 0), tone(0.1))


@pytest.mark.parametrize("length", [1, 100, 20000, 200000])
def test_room_is_the_convolution_at_the_same_level(length):
    draw = np.random.default_rng(3)
    samples = draw.standard_normal(length).astype(np.float32)
    response = (draw.standard_normal(3000) * np.exp(-np.arange(3000) / 500)).astype(np.float32)
    response[0] = 3
    wet = add_room(samples, response)
    expected = np.convolve(samples, response)[:length]
    expected *= np.sqrt(np.mean(samples**2) / np.mean(expected**2))
    np.testing.assert_allclose(wet, expected, atol=1e-4)


def test_responses_start_with_the_direct_sound(tmp_path):
    import soundfile

    response = np.zeros(4000, np.float32)
    response[700], response[1500] = 0.8, 0.2
    soundfile.write(tmp_path / "room.wav", response, RATE, subtype="FLOAT")
    (loaded,) = room_responses(str(tmp_path), RATE)
    assert int(np.argmax(np.abs(loaded))) == 0
    assert np.sum(loaded**2) == pytest.approx(1)
    samples = speechlike()
    assert lag(samples, add_room(samples, loaded)) == 0


def test_a_reflection_that_is_louder_than_the_direct_sound_does_not_replace_it(tmp_path):
    import soundfile

    response = np.zeros(4000, np.float32)
    response[700], response[1100] = 0.4, 0.8  # 25 ms later
    soundfile.write(tmp_path / "hall.wav", response, RATE, subtype="FLOAT")
    (loaded,) = room_responses(str(tmp_path), RATE)
    assert np.flatnonzero(loaded).tolist() == [0, 400]


def test_a_folder_without_responses_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no room responses"):
        room_responses(str(tmp_path), RATE)
    write(tmp_path / "silent.wav", 0.0)
    with pytest.raises(ConfigError, match="silent"):
        room_responses(str(tmp_path), RATE)


@pytest.mark.parametrize("law", ["mu", "a"])
def test_telephone_keeps_the_band_the_place_and_the_length(law):
    draw = np.random.default_rng(4)
    white = (0.1 * draw.standard_normal(2 * RATE)).astype(np.float32)
    heard = telephone(white, RATE, law)
    assert len(heard) == len(white)
    assert level(heard, 500, 3000) == pytest.approx(level(white, 500, 3000), rel=0.15)
    assert level(heard, 4100, 8000) < 1e-3 * level(white, 4100, 8000)
    assert level(heard, 0, 150) < 0.05 * level(white, 0, 150)
    assert abs(lag(speechlike(), telephone(speechlike(), RATE, law))) <= 1


@pytest.mark.parametrize("codec", ["mp3", "vorbis", "gsm", "opus"])
def test_codecs_keep_place_length_and_level_but_not_the_samples(codec):
    samples = speechlike()
    heard = lossy(samples, RATE, codec)
    assert heard.shape == samples.shape
    assert heard.dtype == np.float32
    assert abs(lag(samples, heard)) <= 16  # a millisecond
    assert np.mean(heard**2) == pytest.approx(np.mean(samples**2), rel=0.4)
    assert np.abs(heard - samples).max() > 1e-3
    assert len(lossy(samples[:50], RATE, codec)) == 50
    assert np.abs(lossy(samples * 10, RATE, codec)).max() > 1.5, "loud sound is not cut off"


EVERYTHING = {
    "speed": {"factors": [0.9, 1.1]},
    "volume": {"probability": 1.0},
    "noise": {"probability": 1.0},
    "room": {"probability": 1.0},
    "telephone": {"probability": 0.5},
    "codec": {"probability": 0.5},
}


@pytest.fixture
def augment(tmp_path) -> AugmentConfig:
    write(tmp_path / "noise" / "n.wav", 0.5, 3000)
    noise = {"audio_filepath": "n.wav", "duration": 0.5}
    manifest = lines(tmp_path / "noise" / "m.jsonl", [noise])
    write(tmp_path / "rooms" / "r.wav", 0.05)
    values = {**EVERYTHING, "noise": {"probability": 1.0, "manifest": str(manifest)}}
    values["room"] = {"probability": 1.0, "folder": str(tmp_path / "rooms")}
    return parse(AugmentConfig, values, "test")


def test_what_is_heard_is_a_function_of_seed_epoch_and_name(augment):
    samples = speechlike()
    one, other = (Augmenter(augment, RATE, seed=1) for _ in range(2))
    first = one(samples, 3, "a", 0.9)
    one(samples, 4, "b", 1.1)  # whatever was drawn in between
    np.testing.assert_array_equal(one(samples, 3, "a", 0.9), first)
    np.testing.assert_array_equal(other(samples, 3, "a", 0.9), first)
    for changed in (
        one(samples, 4, "a", 0.9),
        one(samples, 3, "b", 0.9),
        Augmenter(augment, RATE, seed=2)(samples, 3, "a", 0.9),
    ):
        assert not np.array_equal(changed, first)
    assert len(first) == pytest.approx(len(samples) / 0.9, abs=2)


def test_nothing_asked_for_changes_nothing():
    samples = tone(0.2)
    np.testing.assert_array_equal(
        Augmenter(AugmentConfig(), RATE, 0)(samples, 0, "a", 1.0), samples
    )


def test_noise_is_repeated_where_it_is_short(augment):
    assert augment.noise is not None
    noises = Noises(augment.noise, RATE)
    stretch = noises.stretch(0, 100, RATE * 2)
    assert len(stretch) == RATE * 2
    np.testing.assert_array_equal(stretch[:8000], stretch[8000:16000])
    assert len(noises.stretch(0, 3, 10)) == 10


def test_noise_that_cannot_be_read_is_refused(tmp_path):
    manifest = lines(tmp_path / "m.jsonl", [{"audio_filepath": "gone.wav", "duration": 1.0}])
    with pytest.raises(ManifestError, match=r"1 noise clips cannot be read.*gone\.wav"):
        Noises(NoiseConfig(manifest=str(manifest)), RATE)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"volum": {}}, "did you mean 'volume'"),
        ({"volume": {"gain_db": [3, -3]}}, "the lower limit comes first"),
        ({"speed": {"factors": [3.0]}}, "speed.factors"),
        ({"codec": {"codecs": ["aac"]}}, "codec.codecs"),
        ({"room": {}}, "room.folder"),
    ],
)
def test_wrong_configurations_are_named(values, said):
    with pytest.raises(ConfigError, match=said):
        parse(AugmentConfig, values, "recipe")
