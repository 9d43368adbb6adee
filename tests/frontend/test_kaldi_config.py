from __future__ import annotations

import pytest

from asr.config import parse
from asr.errors import ConfigError
from asr.frontend import KaldiConfig


def test_sizes_follow_from_times() -> None:
    config = KaldiConfig()
    assert (config.window_samples, config.hop_samples, config.fft_size) == (400, 160, 512)
    assert config.top_hz == 8000
    telephone = KaldiConfig(sample_rate=8000)
    assert (telephone.window_samples, telephone.hop_samples, telephone.fft_size) == (200, 80, 256)
    assert KaldiConfig(sample_rate=22050).window_samples == 551  # cut, as Kaldi does


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hop_ms": 0.01}, "less than one sample"),
        ({"window_ms": 5}, "at least hop_ms"),
        ({"low_hz": 9000}, "must be below high_hz"),
        ({"high_hz": 8001}, "half the sample rate"),
        ({"low_hz": 300, "high_hz": 300}, "must be below"),
        ({"mels": 0}, "mels"),
        ({"dither": -1}, "dither"),
        ({"mel": 80}, "did you mean 'mels'"),
    ],
)
def test_wrong_values_are_named(values: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(KaldiConfig, values, "model.yaml")
