"""What a front end is: samples to features, whole or by steps.

State belongs to the caller: a front end holds tables only. A state is an opaque value that the
front end made; tensors in it have the batch in their first dimension.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from pydantic import Field
from torch import Tensor

from asr.config import TypedConfig
from asr.errors import AudioError
from asr.frontend.float32 import Float32Buffers


class FrontendConfig(TypedConfig):
    """What the configuration of every front end says."""

    sample_rate: int = Field(16000, ge=4000, le=192000, description="Hz")


class Frontend(Float32Buffers, ABC):
    """Turns samples into features, at once or by steps, with the same result to 1e-5.

    Computes in float32 or better, under autocast too and whatever the model is cast to.
    """

    sample_rate: int
    """Samples per second."""
    dim: int
    """Width of the features."""
    hop_seconds: float
    """From one frame of features to the next."""
    centre_seconds: float
    """From the first sample to the middle of the window of frame 0; 0 where windows are centred."""
    global_norm: bool
    """Whether the features are to be normalised with statistics of the training corpus."""

    @abstractmethod
    def frames(self, samples: Tensor) -> Tensor:
        """How many frames `samples` (any shape, integers) give."""

    @abstractmethod
    def samples_needed(self, frames: int) -> int:
        """How many samples, from the start, the first `frames` frames are computed from."""

    @abstractmethod
    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features of whole recordings.

        Args:
            samples: (B, N) in [-1, 1]; what stands beyond a row's length changes nothing.
            lengths: (B,) samples of each row.

        Returns:
            features (B, T, dim) float32, zero beyond a row's length, and lengths (B,) in frames.

        Raises:
            AudioError: `samples` is not a two-dimensional tensor of a floating type.
        """

    def check_streaming(self) -> None:
        """Refuses to work by steps where that is not possible.

        Raises:
            ModelError: the features need the whole recording.
        """

    @abstractmethod
    def initial_state(self, batch: int) -> Any:
        """The state of `batch` streams before their first sample.

        Raises:
            ModelError: as `check_streaming`.
        """

    @abstractmethod
    def step(self, samples: Tensor, state: Any, final: bool) -> tuple[Tensor, Any]:
        """Features of the next samples of a batch of streams.

        Args:
            samples: (B, n) in [-1, 1], the same number for every stream; n may be 0.
            state: what the last step returned.
            final: nothing follows; every frame of `forward` has come out then.

        Returns:
            features (B, t, dim) of the frames that are now known (t may be 0), and the next state.

        Raises:
            AudioError: `samples` is not a two-dimensional tensor of a floating type, or its batch
                is not that of `state`.
        """


def checked_samples(samples: Tensor, streams: int | None = None) -> Tensor:
    """Samples (B, n) that a front end can use, in float32.

    Args:
        streams: the batch of the state that they continue.

    Raises:
        AudioError: they are of another shape or type, or of another number of streams.
    """
    if samples.dim() != 2 or not samples.is_floating_point():
        raise AudioError(
            f"front end: samples must be a floating tensor (batch, samples) in [-1, 1], not "
            f"{samples.dtype} of shape {tuple(samples.shape)}; divide 16-bit samples by 32768"
        )
    if streams is not None and samples.size(0) != streams:
        raise AudioError(
            f"front end: the block has {samples.size(0)} streams but the state has {streams}; "
            "a batch of streams keeps its size"
        )
    return samples.float()
