"""The mel scale and Kaldi's triangular filters."""

from __future__ import annotations

import torch
from torch import Tensor

from asr.errors import ConfigError
from asr.frontend.config import FrontendConfig


def hz_to_mel(hz: Tensor) -> Tensor:
    """The mel scale that Kaldi and HTK use: 1127 ln(1 + f / 700)."""
    return 1127.0 * torch.log1p(hz / 700.0)


def mel_filters(config: FrontendConfig) -> Tensor:
    """The filters (fft_size // 2 + 1, mels), float64: energies = power spectrum @ filters.

    A filter rises from the centre of the one below it to its own and falls to the centre of the
    one above, in straight lines over mel. (HTK and librosa draw the lines over Hz, which moves
    weights by a few percent at the low end.) Kaldi leaves the bin at half the sample rate out.

    Raises:
        ConfigError: a filter is so narrow that it holds no FFT bin.
    """
    low, high = hz_to_mel(torch.tensor([config.low_hz, config.top_hz], dtype=torch.float64))
    edges = torch.linspace(0, 1, config.mels + 2, dtype=torch.float64) * (high - low) + low
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bins = torch.arange(config.fft_size // 2 + 1, dtype=torch.float64)
    mel = hz_to_mel(bins * config.sample_rate / config.fft_size)[:, None]
    rising = (mel - left) / (centre - left)
    falling = (right - mel) / (right - centre)
    filters = torch.minimum(rising, falling).clamp(min=0)
    filters[-1] = 0
    empty = (filters.sum(0) == 0).nonzero().flatten().tolist()
    if empty:
        raise ConfigError(
            f"front end: {config.mels} mel bins are too many for a window of {config.window_ms} ms "
            f"at {config.sample_rate} Hz: bins {empty} hear nothing; lower mels or raise window_ms"
        )
    return filters
