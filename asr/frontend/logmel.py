"""Log-mel filterbank features as Kaldi computes them, for whole recordings and by steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asr.errors import AudioError
from asr.frontend.config import FrontendConfig
from asr.frontend.float32 import Float32Buffers
from asr.frontend.mel import mel_filters

#: Kaldi reads 16-bit samples as whole numbers; ours lie in [-1, 1].
KALDI_SCALE = 32768.0
PRE_EMPHASIS = 0.97
#: Energies below this count as this: the log of digital silence is -15.94.
ENERGY_FLOOR = torch.finfo(torch.float32).eps

#: Frames computed in one go: few enough for a core's cache, and for hours in one call.
FRAMES_AT_ONCE = 1024


@dataclass(frozen=True)
class LogMelState:
    """What `LogMel.step` carries from one block to the next."""

    pending: Tensor
    """(B, n) samples that a window still to come begins in, fewer than a window and a hop."""


class LogMel(Float32Buffers):
    """Log energies of triangular mel filters over short windows of sound.

    Each window: mean removed, pre-emphasis 0.97, Povey window, power spectrum, Kaldi's mel
    filters, natural log with a floor. Samples are scaled by 32768 first, so values equal those of
    Kaldi and of `torchaudio.compliance.kaldi.fbank` on 16-bit audio. Windows are not centred:
    frame t hears the samples from t x hop to t x hop + window and nothing else, so N samples give
    1 + (N - window) // hop frames, or none where N is less than a window.

    Always computes in float32 or better, under autocast too and whatever the model is cast to.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, config: FrontendConfig) -> None:
        super().__init__()
        self.config = config
        hann = torch.hann_window(config.window_samples, periodic=False, dtype=torch.float64)
        self.register_buffer("window", hann.pow(0.85).float(), persistent=False)
        self.register_buffer("filters", mel_filters(config).float(), persistent=False)

    def frames(self, samples: Tensor) -> Tensor:
        """How many frames `samples` (any shape, integers) give."""
        counts = (samples - self.config.window_samples) // self.config.hop_samples + 1
        return counts.clamp(min=0)

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features of whole recordings.

        Args:
            samples: (B, N) in [-1, 1]; what stands beyond a row's length changes nothing.
            lengths: (B,) samples of each row.

        Returns:
            features (B, T, mels) float32, zero beyond a row's length, and lengths (B,) in frames.

        Raises:
            AudioError: `samples` is not a two-dimensional tensor of a floating type.
        """
        features = self._features(_checked(samples))
        frames = self.frames(lengths)
        beyond = torch.arange(features.size(1), device=frames.device) >= frames[:, None]
        return features.masked_fill(beyond[:, :, None].to(features.device), 0.0), frames

    def initial_state(self, batch: int) -> LogMelState:
        """The state of `batch` streams that have heard nothing yet."""
        return LogMelState(self.window.new_zeros(batch, 0))

    def step(self, samples: Tensor, state: LogMelState, final: bool) -> tuple[Tensor, LogMelState]:
        """Features of the next samples of a batch of streams.

        Args:
            samples: (B, n) in [-1, 1], the same number for every stream; n may be 0.
            state: what the last step returned.
            final: nothing follows. Samples that fill no window are dropped, as in `forward`.

        Returns:
            features (B, t, mels) of the windows that are now full, and the next state.

        Raises:
            AudioError: `samples` is not a two-dimensional tensor of a floating type, or its batch
                is not that of `state`.
        """
        fresh = _checked(samples).float()
        if fresh.size(0) != state.pending.size(0):
            raise AudioError(
                f"front end: the block has {fresh.size(0)} streams but the state has "
                f"{state.pending.size(0)}; a batch of streams keeps its size"
            )
        heard = torch.cat([state.pending, fresh], dim=1)
        features = self._features(heard)
        if final:
            return features, self.initial_state(heard.size(0))
        # A copy: a slice would keep the whole block alive for as long as the state lives.
        return features, LogMelState(heard[:, features.size(1) * self.config.hop_samples :].clone())

    @torch.no_grad()
    def _features(self, samples: Tensor) -> Tensor:
        """(B, N) -> (B, T, mels) over every full window."""
        config = self.config
        if samples.size(1) < config.window_samples:
            return self.window.new_zeros(samples.size(0), 0, config.mels)
        with torch.autocast(samples.device.type, enabled=False):
            windows = samples.float().unfold(1, config.window_samples, config.hop_samples)
            blocks = windows.split(FRAMES_AT_ONCE, dim=1)
            return torch.cat([self._log_energies(block) for block in blocks], dim=1)

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
        power = spectrum.real.square() + spectrum.imag.square()
        # Products of float32 may be rounded to 10 bits or less where a trainer has asked torch for
        # speed (TF32, bfloat16); those of float64 never are. Apple's GPUs have neither.
        exact = torch.float32 if power.device.type == "mps" else torch.float64
        energies = (power.to(exact) @ self.filters.to(exact)).float()
        return energies.clamp(min=ENERGY_FLOOR).log()


def _checked(samples: Tensor) -> Tensor:
    if samples.dim() != 2 or not samples.is_floating_point():
        raise AudioError(
            f"front end: samples must be a floating tensor (batch, samples) in [-1, 1], not "
            f"{samples.dtype} of shape {tuple(samples.shape)}; divide 16-bit samples by 32768"
        )
    return samples
