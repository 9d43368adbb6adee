"""What log-mel front ends have in common: windows taken in blocks, and exact mel energies."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Frames computed in one go: few enough for a core's cache, and for hours in one call.
FRAMES_AT_ONCE = 1024


def map_windows(
    samples: Tensor, window: int, hop: int, compute: Callable[[Tensor], Tensor]
) -> Tensor:
    """`compute`, (B, t, window) to (B, t, F), over every full window of samples (B, N): (B, T, F).

    N must be at least `window`.
    """
    windows = samples.unfold(1, window, hop)
    return torch.cat([compute(block) for block in windows.split(FRAMES_AT_ONCE, dim=1)], dim=1)


def mel_energies(spectrum: Tensor, filters: Tensor) -> Tensor:
    """The power of a complex spectrum (B, t, bins) in each of the filters (bins, mels): float32."""
    power = spectrum.real.square() + spectrum.imag.square()
    # Products of float32 may be rounded to 10 bits or less where a trainer has asked torch for
    # speed (TF32, bfloat16); those of float64 never are. Apple's GPUs have neither.
    exact = torch.float32 if power.device.type == "mps" else torch.float64
    return (power.to(exact) @ filters.to(exact)).float()


def zero_beyond(features: Tensor, lengths: Tensor) -> Tensor:
    """Features (B, T, F) with zeros beyond the `lengths` (B,) of their rows."""
    beyond = torch.arange(features.size(1), device=lengths.device) >= lengths[:, None]
    return features.masked_fill(beyond[:, :, None].to(features.device), 0.0)
