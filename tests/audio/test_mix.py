"""Mixing to mono (A7)."""

from __future__ import annotations

import io

import numpy as np
import pytest

from asr.audio import from_samples, load_audio
from asr.audio.mix import SILENT_PEAK, Downmix, MixPlan, mix_plan
from tests.audio.made import RATE, packed, sound


@pytest.mark.parametrize("channels", range(1, 9))
def test_the_mix_is_the_mean_of_the_channels(channels: int) -> None:
    samples = np.stack([sound(1.0, seed=seed) for seed in range(channels)], axis=1)
    audio = load_audio(io.BytesIO(packed(samples, RATE, "wav-float")), RATE)
    assert np.allclose(audio.samples, samples.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("channels", range(2, 9))
@pytest.mark.parametrize("kind", ["wav-16", "flac"])
def test_a_recording_on_one_side_keeps_its_level(channels: int, kind: str) -> None:
    samples = np.zeros((RATE, channels), np.float32)
    samples[:, -1] = sound(1.0)
    audio = load_audio(io.BytesIO(packed(samples, RATE, kind)), RATE)
    assert np.abs(audio.samples - samples[:, -1]).max() <= 2**-15


def test_noise_of_an_unused_input_does_not_halve_the_level() -> None:
    noise = SILENT_PEAK * 0.99 * (2 * np.random.default_rng(0).random(RATE) - 1)
    samples = np.stack([sound(1.0), noise.astype(np.float32)], axis=1)
    audio = from_samples(samples, RATE, RATE)
    assert np.array_equal(audio.samples, samples[:, 0] + samples[:, 1])  # nothing is left out


def test_a_channel_that_speaks_only_once_counts_from_the_start() -> None:
    samples = np.stack([sound(20.0), np.zeros(20 * RATE, np.float32)], axis=1)
    samples[-100:, 1] = 0.5
    audio = load_audio(io.BytesIO(packed(samples, RATE, "wav-float")), RATE)
    assert np.array_equal(audio.samples, samples.sum(axis=1) / 2)


def test_silence_is_mixed_like_sound() -> None:
    quiet = np.full((100, 4), SILENT_PEAK / 2, np.float32)
    assert mix_plan([quiet], 4) == MixPlan(4)
    assert mix_plan([], 3) == MixPlan(3)


def test_looking_for_sound_ends_when_all_channels_are_heard() -> None:
    taken = []

    def blocks() -> object:
        for number in range(10):
            taken.append(number)
            yield np.ones((5, 2), np.float32)

    assert mix_plan(blocks(), 2) == MixPlan(2)  # type: ignore[arg-type]
    assert taken == [0]


def test_channels_that_cancel_each_other_get_a_note() -> None:
    """Where only most of the recording is of opposite polarity, nothing can be turned over."""
    mix = Downmix(2, MixPlan(2))
    side = sound(1.0)
    mix(np.stack([side, -side], axis=1))
    assert "the channels cancel each other" in mix.notes()[0]
    assert from_samples(np.stack([side, side], axis=1), RATE, RATE).notes == ()
    assert from_samples(np.zeros((100, 2), np.float32), RATE, RATE).notes == ()


def test_a_block_of_one_frame_is_mixed_as_in_a_long_one() -> None:
    samples = np.random.default_rng(0).standard_normal((999, 7)).astype(np.float32)
    whole = Downmix(7, MixPlan(7))(samples)
    mix = Downmix(7, MixPlan(7))
    assert np.array_equal(np.concatenate([mix(samples[i : i + 1]) for i in range(999)]), whole)
