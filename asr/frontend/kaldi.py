"""Log-mel filterbank features as Kaldi computes them, for whole recordings and by steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from asr.errors import ConfigError
from asr.frontend.mel import empty_filters, kaldi_filters
from asr.frontend.protocol import (
    Frontend,
    FrontendConfig,
    checked_samples,
    map_windows,
    mel_energies,
    register_frontend,
    zero_beyond,
)

#: Kaldi reads 16-bit samples as whole numbers; ours lie in [-1, 1].
KALDI_SCALE = 32768.0
PRE_EMPHASIS = 0.97
#: Energies below this count as this: the log of digital silence is -15.94.
ENERGY_FLOOR = torch.finfo(torch.float32).eps


class KaldiConfig(FrontendConfig):
    """Log-mel features; the defaults are Kaldi's, with 80 bins.

    Window and hop are cut to whole samples, as Kaldi does (22050 Hz x 25 ms is 551 samples).
    """

    type: Literal["kaldi"] = "kaldi"
    mels: int = Field(80, ge=1, le=512, description="mel bins, the width of the features")
    window_ms: float = Field(25.0, gt=0, le=1000, description="length of a window")
    hop_ms: float = Field(10.0, gt=0, le=1000, description="from one window to the next")
    low_hz: float = Field(20.0, ge=0, description="where the first triangle begins")
    high_hz: float | None = Field(
        None, gt=0, description="where the last triangle ends; nothing given: half the sample rate"
    )
    dither: float = Field(
        0.0,
        ge=0,
        description="standard deviation of noise added to each window in training mode only, "
        "in steps of 16-bit samples (Kaldi's default is 1)",
    )

    @model_validator(mode="after")
    def _check(self) -> KaldiConfig:
        if self.hop_samples < 1:
            raise ValueError(f"hop_ms {self.hop_ms} is less than one sample")
        if self.window_samples < max(2, self.hop_samples):
            raise ValueError(
                f"window_ms {self.window_ms} must be at least two samples and at least hop_ms "
                f"{self.hop_ms}, or samples between windows would be left out"
            )
        nyquist = self.sample_rate / 2
        if not self.low_hz < self.top_hz <= nyquist:
            raise ValueError(
                f"low_hz {self.low_hz} must be below high_hz {self.top_hz}, and that at most half "
                f"the sample rate ({nyquist} Hz)"
            )
        return self

    @property
    def window_samples(self) -> int:
        """Samples in a window."""
        return int(self.sample_rate * 0.001 * self.window_ms)

    @property
    def hop_samples(self) -> int:
        """Samples from one window to the next."""
        return int(self.sample_rate * 0.001 * self.hop_ms)

    @property
    def fft_size(self) -> int:
        """The next power of two that holds a window."""
        return 1 << (self.window_samples - 1).bit_length()

    @property
    def top_hz(self) -> float:
        """Where the last triangle ends."""
        return self.sample_rate / 2 if self.high_hz is None else self.high_hz


@dataclass(frozen=True)
class KaldiState:
    """What `KaldiLogMel.step` carries from one block to the next."""

    pending: Tensor
    """(B, n) samples that a window still to come begins in, fewer than a window and a hop."""


@register_frontend("kaldi", KaldiConfig)
class KaldiLogMel(Frontend):
    """Log energies of triangular mel filters over short windows of sound.

    Each window: mean removed, pre-emphasis 0.97, Povey window, power spectrum, Kaldi's mel
    filters, natural log with a floor. Samples are scaled by 32768 first, so values equal those of
    Kaldi and of `torchaudio.compliance.kaldi.fbank` on 16-bit audio. Windows are not centred:
    frame t is computed from the samples t x hop to t x hop + window and nothing else, so N samples
    give 1 + (N - window) // hop frames, or none where N is less than a window.

    Raises:
        ConfigError: a filter is so narrow that it holds no FFT bin.
    """

    window: Tensor
    filters: Tensor
    global_norm = True

    def __init__(self, config: KaldiConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.dim = config.mels
        self.hop_seconds = config.hop_samples / config.sample_rate
        self.centre_seconds = config.window_samples / 2 / config.sample_rate
        hann = torch.hann_window(config.window_samples, periodic=False, dtype=torch.float64)
        self.register_buffer("window", hann.pow(0.85).float(), persistent=False)
        filters = kaldi_filters(
            config.sample_rate, config.fft_size, config.mels, config.low_hz, config.top_hz
        )
        if empty := empty_filters(filters):
            raise ConfigError(
                f"front end: {config.mels} mel bins are too many for a window of "
                f"{config.window_ms} ms at {config.sample_rate} Hz: bins {empty} hold no "
                "frequency; lower mels or raise window_ms"
            )
        self.register_buffer("filters", filters.float(), persistent=False)

    def frames(self, samples: Tensor) -> Tensor:
        """See `Frontend.frames`."""
        counts = (samples - self.config.window_samples) // self.config.hop_samples + 1
        return counts.clamp(min=0)

    def samples_needed(self, frames: int) -> int:
        """See `Frontend.samples_needed`."""
        config = self.config
        return config.window_samples + (frames - 1) * config.hop_samples if frames else 0

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """See `Frontend.forward`."""
        features = self._features(checked_samples(samples))
        frames = self.frames(lengths)
        return zero_beyond(features, frames), frames

    def initial_state(self, batch: int) -> KaldiState:
        """See `Frontend.initial_state`."""
        return KaldiState(self.window.new_zeros(batch, 0))

    def step(self, samples: Tensor, state: KaldiState, final: bool) -> tuple[Tensor, KaldiState]:
        """See `Frontend.step`. At the end samples that fill no window are dropped."""
        fresh = checked_samples(samples, len(state.pending))
        joined = torch.cat([state.pending, fresh], dim=1)
        features = self._features(joined)
        if final:
            return features, self.initial_state(len(joined))
        # A copy: a slice would keep the whole block alive for as long as the state lives.
        return features, KaldiState(joined[:, features.size(1) * self.config.hop_samples :].clone())

    @torch.no_grad()
    def _features(self, samples: Tensor) -> Tensor:
        """(B, N) -> (B, T, mels) over every full window."""
        config = self.config
        if samples.size(1) < config.window_samples:
            return self.window.new_zeros(samples.size(0), 0, config.mels)
        with torch.autocast(samples.device.type, enabled=False):
            window, hop = config.window_samples, config.hop_samples
            return map_windows(samples, window, hop, self._log_energies)

    def _log_energies(self, windows: Tensor) -> Tensor:
        """(B, t, window) -> (B, t, mels)."""
        windows = windows * KALDI_SCALE
        if self.training and self.config.dither > 0:
            windows = windows + self.config.dither * torch.randn_like(windows)
        windows = windows - windows.mean(dim=2, keepdim=True)
        emphasised = torch.empty_like(windows)
        emphasised[..., 1:] = windows[..., 1:] - PRE_EMPHASIS * windows[..., :-1]
        emphasised[..., 0] = windows[..., 0] * (1 - PRE_EMPHASIS)
        spectrum = torch.fft.rfft(emphasised * self.window, n=self.config.fft_size)
        return mel_energies(spectrum, self.filters).clamp(min=ENERGY_FLOOR).log()
