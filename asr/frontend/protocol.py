"""What a front end is: samples to features, whole or by steps; and what front ends share.

State belongs to the caller: a front end holds tables only. A state is an opaque value that the
front end made; tensors in it have the batch in their first dimension.

A new front end is a file with one class and one decorator (`@register_frontend`), imported in
`asr/frontend/__init__.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from asr.config import TypedConfig
from asr.errors import AudioError
from asr.registry import Registry


class Float32Buffers(nn.Module):
    """A module whose buffers follow the model to its device, but never to a shorter type.

    `model.to(torch.bfloat16)` would leave 8 bits of a mel filter or of a mean of 15.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        before = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, exact in before.items():
            moved = self._buffers[name]
            if exact is not None and moved is not None and moved.dtype != torch.float32:
                self._buffers[name] = exact.to(moved.device)
        return self


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


FRONTENDS: Registry[Frontend] = Registry("frontend", default="kaldi")

#: Makes `type: name` in a recipe build the decorated class as `cls(config)`.
register_frontend = FRONTENDS.register


def frontend_config(values: Any) -> FrontendConfig:
    """The configuration of the front end that `values` describe; see `parse_typed`."""
    config = FRONTENDS.config(values)
    assert isinstance(config, FrontendConfig)
    return config


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
