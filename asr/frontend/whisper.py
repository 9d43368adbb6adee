"""Log-mel features as Whisper computes them (Radford et al. 2022), whole and by steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from asr.errors import ModelError
from asr.frontend.mel import slaney_filters
from asr.frontend.protocol import (
    Frontend,
    FrontendConfig,
    checked_samples,
    map_windows,
    mel_energies,
    register_frontend,
    zero_beyond,
)

SAMPLE_RATE = 16000
#: Samples in a window, which is as long as its Fourier transform, and from one to the next.
WINDOW, HOP = 400, 160
#: A window is centred on its frame: it reaches so many samples before it, and behind it.
HALF = WINDOW // 2
ENERGY_FLOOR = 1e-10
#: Values (log10 of energies) further below the maximum than this are raised to it.
RANGE = 8.0


class WhisperConfig(FrontendConfig):
    """Whisper's log-mel features; checkpoints need them exactly as they are."""

    type: Literal["whisper"] = "whisper"
    sample_rate: Literal[16000] = Field(default=16000, description="Hz")
    mels: int = Field(80, ge=1, le=128, description="mel bins: 80, or 128 (large-v3 and turbo)")
    maximum: Literal["utterance", "running"] = Field(
        "utterance",
        description="values 80 dB below the maximum are raised to it; of the whole utterance, as "
        "in the original, or of what came so far, which a stream needs",
    )
    pad_seconds: float | None = Field(
        None,
        gt=0,
        le=30,
        description="silence is added to shorter utterances up to this length, as the original "
        "does (30); nothing given: none is added",
    )


@dataclass(frozen=True)
class WhisperState:
    """What `WhisperLogMel.step` carries from one block to the next.

    `pending` (B, n) are samples from the start of the next window on, `maximum` (B,) is the
    greatest value so far. `mirrored` says whether the reflection of the first samples, which the
    first window begins with, stands before them.
    """

    pending: Tensor
    maximum: Tensor
    mirrored: bool


@register_frontend("whisper", WhisperConfig)
class WhisperLogMel(Frontend):
    """log10 of Slaney-mel energies over centred Hann windows, with a limited dynamic range.

    N samples give N // 160 frames; frame t is computed from the samples around 160 t, mirrored at
    both ends. A recording of no more than half a window gives none: there is nothing to mirror.
    Values are scaled by (x + 4) / 4 and need no statistics of a corpus.
    """

    window: Tensor
    filters: Tensor
    global_norm = False
    sample_rate = SAMPLE_RATE
    hop_seconds = HOP / SAMPLE_RATE
    centre_seconds = 0.0

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.config = config
        self.dim = config.mels
        self.least_samples = round((config.pad_seconds or 0) * SAMPLE_RATE)
        hann = torch.hann_window(WINDOW, dtype=torch.float64)
        self.register_buffer("window", hann.float(), persistent=False)
        filters = slaney_filters(SAMPLE_RATE, WINDOW, config.mels)
        self.register_buffer("filters", filters.float(), persistent=False)

    def frames(self, samples: Tensor) -> Tensor:
        """See `Frontend.frames`."""
        samples = self._padded_lengths(samples)
        return (samples // HOP).masked_fill(samples <= HALF, 0)

    def samples_needed(self, frames: int) -> int:
        """See `Frontend.samples_needed`."""
        return max(HALF + 1, HALF + (frames - 1) * HOP) if frames else 0

    @torch.no_grad()
    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """See `Frontend.forward`."""
        samples, frames = checked_samples(samples), self.frames(lengths)
        samples, lengths = self._with_silence(samples, lengths.to(samples.device))
        if samples.size(1) <= HALF:
            return self.window.new_zeros(len(samples), 0, self.dim), frames
        longest = samples.size(1) // HOP
        padded = _mirrored(samples, lengths)
        values = self._log_energies(padded[:, : (longest - 1) * HOP + WINDOW])
        places = torch.arange(longest, device=values.device)
        beyond = places >= frames.to(values.device)[:, None]
        maximum = values.amax(dim=2).masked_fill(beyond, -torch.inf)
        if self.config.maximum == "running":
            maximum = maximum.cummax(dim=1).values
        else:
            maximum = maximum.amax(dim=1, keepdim=True)
        return zero_beyond(_scaled(values, maximum), frames), frames

    def check_streaming(self) -> None:
        """See `Frontend.check_streaming`."""
        if self.config.maximum == "utterance" or self.config.pad_seconds is not None:
            raise ModelError(
                "front end 'whisper' needs the whole recording (maximum: utterance, or "
                "pad_seconds) and cannot work on a stream; transcribe without chunks (leave out "
                "chunk_ms), or use a model that was trained with maximum: running"
            )

    def initial_state(self, batch: int) -> WhisperState:
        """See `Frontend.initial_state`."""
        self.check_streaming()
        return WhisperState(
            self.window.new_zeros(batch, 0), self.window.new_full((batch,), -torch.inf), False
        )

    @torch.no_grad()
    def step(
        self, samples: Tensor, state: WhisperState, final: bool
    ) -> tuple[Tensor, WhisperState]:
        """See `Frontend.step`. At the end the last samples are mirrored, as in `forward`."""
        joined = torch.cat([state.pending, checked_samples(samples, len(state.pending))], dim=1)
        mirrored = state.mirrored
        if not mirrored and joined.size(1) > HALF:
            joined = torch.cat([joined[:, 1 : HALF + 1].flip(1), joined], dim=1)
            mirrored = True
        frames = max(0, (joined.size(1) - WINDOW) // HOP + 1) if mirrored else 0
        if mirrored and final:
            frames = (joined.size(1) - HALF) // HOP
            tail = joined[:, -(HALF - HOP) - 1 : -1].flip(1)
            joined = torch.cat([joined, tail], dim=1)
        maximum = state.maximum
        features = self.window.new_zeros(len(joined), 0, self.dim)
        if frames:
            values = self._log_energies(joined[:, : (frames - 1) * HOP + WINDOW])
            so_far = torch.maximum(values.amax(dim=2).cummax(dim=1).values, maximum[:, None])
            features, maximum = _scaled(values, so_far), so_far[:, -1].clone()
        if final:
            return features, self.initial_state(len(joined))
        # A copy: a slice would keep the whole block alive for as long as the state lives.
        return features, WhisperState(joined[:, frames * HOP :].clone(), maximum, mirrored)

    def _with_silence(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Samples (B, N) and lengths (B,) with the silence that is added to short rows."""
        if not self.least_samples or not samples.size(1):
            return samples, lengths
        beyond = torch.arange(samples.size(1), device=samples.device) >= lengths[:, None]
        missing = max(0, self.least_samples - samples.size(1))
        samples = torch.nn.functional.pad(samples.masked_fill(beyond, 0.0), (0, missing))
        return samples, self._padded_lengths(lengths)

    def _padded_lengths(self, samples: Tensor) -> Tensor:
        """Samples of utterances with the silence that is added; nothing is added to nothing."""
        return torch.where(samples > 0, samples.clamp(min=self.least_samples), samples)

    def _log_energies(self, samples: Tensor) -> Tensor:
        """(B, N) -> log10 of energies (B, T, mels) over every full window."""
        with torch.autocast(samples.device.type, enabled=False):
            return map_windows(samples, WINDOW, HOP, self._window_energies)

    def _window_energies(self, windows: Tensor) -> Tensor:
        """(B, t, window) -> (B, t, mels)."""
        spectrum = torch.fft.rfft(windows * self.window)
        return mel_energies(spectrum, self.filters).clamp(min=ENERGY_FLOOR).log10()


def _scaled(values: Tensor, maximum: Tensor) -> Tensor:
    """Values (B, T, F) no further below `maximum` (B, T or 1) than the range, about 0."""
    return (torch.maximum(values, maximum[:, :, None] - RANGE) + 4.0) / 4.0


def _mirrored(samples: Tensor, lengths: Tensor) -> Tensor:
    """Samples (B, N), N above half a window, with the reflections that the first window begins
    with and the last window of each row ends with: (B, N + window).
    """
    padded = torch.nn.functional.pad(samples, (HALF, HALF))
    padded[:, :HALF] = samples[:, 1 : HALF + 1].flip(1)
    places = torch.arange(HALF, device=samples.device)
    sources = (lengths[:, None] - 2 - places).clamp(min=0)
    targets = lengths[:, None] + HALF + places
    return padded.scatter(1, targets, samples.gather(1, sources))
