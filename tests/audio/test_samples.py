"""Arrays of samples: every type with a full scale, and no others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from asr.audio import Resampler, from_samples
from asr.errors import AudioError
from tests.audio.made import RATE, sound


@pytest.mark.parametrize("dtype", ["int16", "int32", "float16", "float32", "float64"])
def test_every_type_has_its_full_scale(dtype: str) -> None:
    scale = {"int16": 2**15, "int32": 2**31}.get(dtype, 1)
    given = (sound(0.5).astype(np.float64) * scale).astype(dtype)
    audio = from_samples(given, RATE, RATE)
    assert audio.samples.dtype == np.float32
    assert np.array_equal(audio.samples, (given.astype(np.float64) / scale).astype(np.float32))
    assert audio.duration == 0.5
    assert audio.truncated is None
    assert audio.notes == ()


def test_tensors_and_lists_are_arrays() -> None:
    samples = sound(0.1)
    for given in (torch.from_numpy(samples), samples.tolist()):
        assert np.array_equal(from_samples(given, RATE, RATE).samples, samples)
    with pytest.raises(AudioError, match="detached and on the CPU"):
        from_samples(torch.zeros(9, requires_grad=True), RATE, RATE)


def test_the_given_array_is_not_changed_and_not_shared() -> None:
    samples = sound(0.1)
    audio = from_samples(samples, RATE, RATE)
    audio.samples[:] = 7
    assert np.array_equal(samples, sound(0.1))


def test_channels_are_mixed_and_rates_changed() -> None:
    samples = np.stack([sound(1.0, 44100), sound(1.0, 44100, seed=1)], axis=1)
    audio = from_samples(samples, 44100, RATE)
    mixed = (samples[:, 0] + samples[:, 1]) / np.float32(2)
    assert np.array_equal(audio.samples, Resampler(44100, RATE).step(mixed, final=True))


@pytest.mark.parametrize("shape", [(0,), (0, 2)])
def test_no_samples_are_empty_audio(shape: tuple[int, ...]) -> None:
    assert from_samples(np.zeros(shape, np.float32), 8000, RATE).samples.shape == (0,)


def test_one_sample_is_enough() -> None:
    assert from_samples(np.ones(1, np.float32), 8000, RATE).samples.shape == (2,)


@pytest.mark.parametrize(
    "given",
    [
        np.zeros(9, bool),
        np.zeros(9, complex),
        np.zeros(9, object),
        np.zeros(9, np.int64),
        np.zeros(9, np.uint8),
        [0, 1, 2],
        "sound",
        None,
        [[0.0], [0.0, 1.0]],
    ],
)
def test_types_without_a_full_scale_are_refused(given: object) -> None:
    with pytest.raises(AudioError, match=r"^samples: .*(no agreed full scale|no array)"):
        from_samples(given, RATE, RATE)


@pytest.mark.parametrize("shape", [(), (2, 3, 4), (2, 16000), (9, 0)])
def test_shapes_that_are_no_sound_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(AudioError, match=r"samples: shape .*; give \(N,\) or \(N, channels\)"):
        from_samples(np.zeros(shape, np.float32), RATE, RATE)


@pytest.mark.parametrize("rate", [0, -8000, 3999, 10**6, 16000.0, "16000", None, True])
def test_rates_that_no_speech_has_are_refused(rate: object) -> None:
    with pytest.raises(AudioError, match="samples: a sample rate of"):
        from_samples(sound(0.1), rate, RATE)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("place", [0, 16000, 100_000])
def test_what_is_no_number_is_named_with_its_second(value: float, place: int) -> None:
    samples = np.zeros(200_000)
    samples[place] = value
    with pytest.raises(AudioError, match=rf"samples: a sample of \S+ at {place / RATE:.3f} s"):
        from_samples(samples, RATE, RATE)


def test_unscaled_floats_get_a_note() -> None:
    audio = from_samples(sound(0.1) * 32768, RATE, RATE)
    assert "divide them by 32768" in audio.notes[0]
