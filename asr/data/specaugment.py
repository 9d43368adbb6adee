"""SpecAugment: masks over bands and stretches of time (Park et al. 2019, 2020)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from asr.config import Config


class SpecAugmentConfig(Config):
    """How many masks there are, and how wide.

    Attributes:
        frequency_masks: masks over bands; each covers 0 to `frequency_width` bands.
        time_masks: masks over time at most; each covers 0 to `time_width` frames.
        time_share: how many time masks a row gets grows with its length, so that their widths
            together are at most this share of it (the adaptive policy of Park et al. 2020);
            a row too short for one mask of full width gets one of that share at most.
    """

    frequency_masks: int = Field(2, ge=0, le=100)
    frequency_width: int = Field(27, ge=0, le=1000, description="most bands of a mask")
    time_masks: int = Field(10, ge=0, le=1000)
    time_width: int = Field(40, ge=0, le=100000, description="most frames of a mask")
    time_share: float = Field(0.3, ge=0, le=1)


class SpecAugment(nn.Module):
    """Masks features in training; in evaluation they pass unchanged.

    Masked values become the mean of their row over its frames and bands, which for globally
    normalised features is close to zero and leaves the row's level as it was.
    """

    def __init__(self, config: SpecAugmentConfig | None = None) -> None:
        super().__init__()
        self.config = config or SpecAugmentConfig()

    def forward(
        self, features: Tensor, lengths: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Masks each row on its own.

        Args:
            features: (B, T, F). lengths: (B,) frames of each row.
            generator: the source of all draws, on the device of `features`; None uses the
                global one.

        Returns:
            (B, T, F), a new tensor; frames beyond a row's length are as they were.
        """
        if not self.training:
            return features
        batch, frames, bands = features.shape
        device, config = features.device, self.config

        def draw(count: int) -> Tensor:
            return torch.rand(2, batch, count, device=device, generator=generator)

        rows = lengths.to(device=device, dtype=torch.float32)
        at = torch.arange(frames, device=device)
        inside = at < rows[:, None]

        full = torch.full_like(rows, float(bands))
        widest = torch.full_like(rows, float(min(config.frequency_width, bands)))
        drawn = draw(config.frequency_masks)
        band_mask = _spans(drawn, widest, full, torch.arange(bands, device=device))

        allowed = rows * config.time_share
        widest = torch.clamp(allowed, max=float(config.time_width))
        drawn = draw(config.time_masks)
        count = torch.floor(allowed / max(1, config.time_width)).clamp(min=1)
        used = torch.arange(config.time_masks, device=device) < count[:, None]
        time_mask = _spans(drawn, widest, rows, at, used)

        masked = (band_mask[:, None, :] | time_mask[:, :, None]) & inside[:, :, None]
        total = torch.where(inside[:, :, None], features, 0).sum(dim=(1, 2), dtype=torch.float32)
        mean = (total / (rows * bands).clamp(min=1)).to(features.dtype)
        return torch.where(masked, mean[:, None, None], features)


def _spans(
    drawn: Tensor, widest: Tensor, length: Tensor, at: Tensor, used: Tensor | None = None
) -> Tensor:
    """Positions (B, N) under any of a row's masks.

    Args:
        drawn: (2, B, masks) in [0, 1): how wide each mask is and where it starts.
        widest: (B,) the widest a mask may be. length: (B,) what masks must lie within.
        at: (N,) the positions. used: (B, masks) which masks count; None is all.
    """
    width = torch.floor(drawn[0] * (torch.floor(widest) + 1)[:, None])
    start = torch.floor(drawn[1] * (length[:, None] - width + 1))
    covered = (at >= start[:, :, None]) & (at < (start + width)[:, :, None])
    if used is not None:
        covered &= used[:, :, None]
    return covered.any(dim=1)
