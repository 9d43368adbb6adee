"""Mel scales and triangular filters: Kaldi's, and Slaney's, which librosa and Whisper use."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Slaney's scale is linear below this frequency, with this many Hz a mel ...
SLANEY_BREAK_HZ, SLANEY_HZ_PER_MEL = 1000.0, 200.0 / 3
#: ... and logarithmic above it: so many mels are a factor of 6.4.
SLANEY_MELS, SLANEY_FACTOR = 27.0, 6.4


def hz_to_mel(hz: Tensor) -> Tensor:
    """The mel scale that Kaldi and HTK use: 1127 ln(1 + f / 700)."""
    return 1127.0 * torch.log1p(hz / 700.0)


def kaldi_filters(
    sample_rate: int, fft_size: int, mels: int, low_hz: float, high_hz: float
) -> Tensor:
    """Kaldi's filters (fft_size // 2 + 1, mels), float64: energies = power spectrum @ filters.

    A filter rises from the centre of the one below it to its own and falls to the centre of the
    one above, in straight lines over mel. (HTK and librosa draw the lines over Hz, which moves
    weights by a few percent at the low end.) Kaldi leaves the bin at half the sample rate out.
    """
    low, high = hz_to_mel(torch.tensor([low_hz, high_hz], dtype=torch.float64))
    edges = torch.linspace(0, 1, mels + 2, dtype=torch.float64) * (high - low) + low
    filters = _triangles(hz_to_mel(_bins(sample_rate, fft_size)), edges)
    filters[-1] = 0
    return filters


def slaney_filters(sample_rate: int, fft_size: int, mels: int) -> Tensor:
    """Slaney's filters (fft_size // 2 + 1, mels) from 0 Hz to half the sample rate, float64.

    Triangles over Hz, each of area 1 (Slaney 1998, Auditory Toolbox); equal to librosa's defaults.
    """
    highest = _slaney_mel(sample_rate / 2)
    edges = _slaney_hz(torch.linspace(0, highest, mels + 2, dtype=torch.float64))
    return _triangles(_bins(sample_rate, fft_size), edges) * (2 / (edges[2:] - edges[:-2]))


def empty_filters(filters: Tensor) -> list[int]:
    """The filters of (bins, mels) that are so narrow that they hold no bin."""
    empty: list[int] = (filters.sum(0) == 0).nonzero().flatten().tolist()
    return empty


def _bins(sample_rate: int, fft_size: int) -> Tensor:
    """The frequencies of a spectrum in Hz, (fft_size // 2 + 1,)."""
    return torch.arange(fft_size // 2 + 1, dtype=torch.float64) * sample_rate / fft_size


def _triangles(places: Tensor, edges: Tensor) -> Tensor:
    """Filters (bins, mels) over bins at `places`, with the corners `edges` (mels + 2,)."""
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    places = places[:, None]
    rising = (places - left) / (centre - left)
    falling = (right - places) / (right - centre)
    return torch.minimum(rising, falling).clamp(min=0)


def _slaney_mel(hz: float) -> float:
    """The mel of a frequency above the break."""
    above = SLANEY_MELS * math.log(hz / SLANEY_BREAK_HZ) / math.log(SLANEY_FACTOR)
    return SLANEY_BREAK_HZ / SLANEY_HZ_PER_MEL + above


def _slaney_hz(mel: Tensor) -> Tensor:
    first = SLANEY_BREAK_HZ / SLANEY_HZ_PER_MEL
    above = SLANEY_BREAK_HZ * torch.exp(math.log(SLANEY_FACTOR) / SLANEY_MELS * (mel - first))
    return torch.where(mel < first, SLANEY_HZ_PER_MEL * mel, above)
