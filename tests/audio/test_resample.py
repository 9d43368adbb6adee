"""The stream form of resampling equals the whole-file form, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import Resampler
from asr.errors import AudioError

RATES = [4000, 8000, 11025, 12345, 16000, 16001, 22254, 44100, 48000, 96000, 192000]


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    source_rate=st.sampled_from(RATES),
    rate=st.sampled_from([8000, 16000]),
    sizes=st.lists(st.integers(0, 5000), max_size=12),
)
def test_any_cutting_gives_the_same_samples(source_rate: int, rate: int, sizes: list[int]) -> None:
    count = sum(sizes)
    samples = np.random.default_rng(count).standard_normal(count).astype(np.float32)
    whole = Resampler(source_rate, rate).step(samples, final=True)
    stepped = Resampler(source_rate, rate)
    pieces = [
        stepped.step(piece, final=False) for piece in np.split(samples, np.cumsum(sizes, dtype=int))
    ]
    pieces.append(stepped.step(np.zeros(0, np.float32), final=True))
    assert np.array_equal(np.concatenate(pieces), whole)
    assert len(whole) == (2 * count * rate + source_rate) // (2 * source_rate)


@pytest.mark.parametrize("source_rate", [8000, 22254, 44100])
def test_it_is_soxr_and_keeps_the_clock_for_minutes(source_rate: int) -> None:
    samples = np.random.default_rng(1).standard_normal(source_rate * 300).astype(np.float32)
    found = Resampler(source_rate, 16000).step(samples, final=True)
    assert len(found) == 16000 * 300
    assert np.array_equal(found, soxr.resample(samples, source_rate, 16000, quality="HQ"))


def test_what_cannot_pass_does_not_fold_back() -> None:
    time = np.arange(48000) / 48000
    tone = np.sin(2 * np.pi * 9000 * time).astype(np.float32)  # above 8 kHz
    found = Resampler(48000, 16000).step(tone, final=True)
    assert np.abs(found[200:-200]).max() < 1e-5


def test_the_same_rate_passes_samples_through() -> None:
    samples = np.random.default_rng(0).standard_normal(99).astype(np.float32)
    assert np.array_equal(Resampler(16000, 16000).step(samples, final=True), samples)


def test_mistakes_are_named() -> None:
    for rate in (0, -16000, 16000.5, 3999):
        with pytest.raises(AudioError, match="a sample rate of"):
            Resampler(rate, 16000)  # type: ignore[arg-type]
    resampler = Resampler(8000, 16000)
    with pytest.raises(ValueError, match=r"\(n,\) float32"):
        resampler.step(np.zeros(9), final=False)
    resampler.step(np.zeros(9, np.float32), final=True)
    with pytest.raises(ValueError, match="has ended"):
        resampler.step(np.zeros(9, np.float32), final=False)
