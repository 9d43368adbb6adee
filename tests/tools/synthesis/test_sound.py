"""What becomes of the samples, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from tests.tools.synthesis.tones import buzz
from tools.synthesis.opus import opus
from tools.synthesis.sound import LETTERS_A_SECOND, RATE, fault, shape


@pytest.mark.parametrize("tract", [0.9, 1.0, 1.12])
def test_the_tract_changes_length_and_pitch_alike(tract):
    spoken = np.concatenate([np.zeros(22050), buzz(2.0, 200, 22050), np.zeros(44100)])
    samples = shape(spoken.astype(np.float32), 22050, tract)
    assert samples.dtype == np.float32
    assert len(samples) / RATE == pytest.approx(2.0 / tract + 0.3, abs=0.03), "margins of 0.15 s"
    peak = np.argmax(np.abs(np.fft.rfft(samples))) * RATE / len(samples)
    assert peak == pytest.approx(200 * tract, abs=1)
    assert 10 * np.log10(np.mean(samples**2)) == pytest.approx(-24, abs=0.1)


def test_level_stops_at_full_scale():
    spoken = np.zeros(RATE, np.float32)
    spoken[::1600] = 0.5
    assert np.max(np.abs(shape(spoken, RATE, 1.0))) <= 0.951


TEXT = "a" * round(2 * LETTERS_A_SECOND)  # two seconds


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (buzz(2.0), None),
        (buzz(1.2), None),
        (buzz(0.9), "too short for its text"),
        (buzz(5.5), "too long for its text"),
        (np.zeros(2 * RATE, np.float32), "silent"),
        (np.zeros(0, np.float32), "empty"),
        (np.full(2 * RATE, np.nan, np.float32), "not finite"),
        (np.concatenate([buzz(1), np.zeros(RATE * 3 // 2, np.float32)]), "mostly silence"),
        (
            np.concatenate([buzz(1), np.zeros(RATE * 8 // 5, np.float32), buzz(1)]),
            "a pause of more than 1.5 s",
        ),
    ],
)
def test_what_cannot_be_its_text_is_found(samples, said):
    assert fault(shape(samples, RATE, 1.0) if said == "not finite" else samples, TEXT, 1.0) == said


def test_a_slow_voice_may_take_longer():
    assert fault(buzz(5.5), TEXT, 0.8) is None


def test_opus_keeps_length_place_and_level():
    samples = buzz(1.3)
    samples[: RATE // 4] = 0
    for length in (len(samples), len(samples) - 333, 7000):
        heard, rate = soundfile.read(io.BytesIO(opus(samples[:length], RATE)), dtype="float32")
        assert (rate, len(heard)) == (RATE, length)
        assert np.mean(heard**2) == pytest.approx(np.mean(samples[:length] ** 2), rel=0.1)
        onset = np.argmax(np.abs(heard) > 0.05) - np.argmax(np.abs(samples) > 0.05)
        assert abs(onset) <= 160  # 10 ms
