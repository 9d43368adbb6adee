"""Global mean and variance normalisation of features."""

from __future__ import annotations

import torch
from torch import Tensor

from asr.errors import TrainingError
from asr.frontend.protocol import Float32Buffers


class GlobalNorm(Float32Buffers):
    """(features - mean) x inverse_std, both of the training data and kept with the weights.

    A fresh one changes nothing; `set` takes what `FeatureStatistics` gathered.
    """

    mean: Tensor
    inverse_std: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("inverse_std", torch.ones(dim))

    def set(self, mean: Tensor, inverse_std: Tensor) -> None:
        """Takes over statistics, each (F,)."""
        self.mean.copy_(mean)
        self.inverse_std.copy_(inverse_std)

    def forward(self, features: Tensor) -> Tensor:
        """Normalises features (B, T, F); returns float32 of the same shape."""
        return (features.float() - self.mean) * self.inverse_std


class FeatureStatistics:
    """Mean and standard deviation of every feature, gathered batch by batch in float64."""

    def __init__(self, dim: int) -> None:
        self.frames = 0
        self._sum = torch.zeros(dim, dtype=torch.float64)
        self._squares = torch.zeros(dim, dtype=torch.float64)

    def update(self, features: Tensor, lengths: Tensor) -> None:
        """Adds features (B, T, F), of each row the first `lengths` (B,) frames."""
        inside = torch.arange(features.size(1), device=features.device) < lengths.to(
            features.device
        ).unsqueeze(1)
        frames = features.detach()[inside].to("cpu", torch.float64)
        self.frames += frames.size(0)
        self._sum += frames.sum(0)
        self._squares += frames.square().sum(0)

    def finish(self, minimum_std: float = 0.1) -> tuple[Tensor, Tensor]:
        """The mean and the inverse standard deviation, each (F,) float32.

        A bin that hardly varies (nothing above the telephone band, say) counts as varying by
        `minimum_std`, so that the first sound in it does not arrive a thousandfold.

        Raises:
            TrainingError: there was no frame at all.
        """
        if self.frames == 0:
            raise TrainingError(
                "feature statistics: the training data has no frame of sound; every recording is "
                "shorter than one window"
            )
        mean = self._sum / self.frames
        variance = (self._squares / self.frames - mean.square()).clamp(min=0)
        return mean.float(), variance.sqrt().clamp(min=minimum_std).reciprocal().float()
