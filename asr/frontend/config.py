"""What the front end computes, and the sizes that follow from it."""

from __future__ import annotations

from pydantic import Field, model_validator

from asr.config import Config


class FrontendConfig(Config):
    """Log-mel features; the defaults are Kaldi's, with 80 bins.

    Window and hop are cut to whole samples, as Kaldi does (22050 Hz x 25 ms is 551 samples).
    """

    sample_rate: int = Field(16000, ge=4000, le=192000, description="Hz")
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
    def _check(self) -> FrontendConfig:
        if self.hop_samples < 1:
            raise ValueError(f"hop_ms {self.hop_ms} is less than one sample")
        if self.window_samples < max(2, self.hop_samples):
            raise ValueError(
                f"window_ms {self.window_ms} must be at least two samples and at least hop_ms "
                f"{self.hop_ms}, or samples between windows would not be heard"
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
    def hop_seconds(self) -> float:
        """Seconds from one feature frame to the next."""
        return self.hop_samples / self.sample_rate

    @property
    def fft_size(self) -> int:
        """The next power of two that holds a window."""
        return 1 << (self.window_samples - 1).bit_length()

    @property
    def top_hz(self) -> float:
        """Where the last triangle ends."""
        return self.sample_rate / 2 if self.high_hz is None else self.high_hz
