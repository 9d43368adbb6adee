"""Any audio source, opened as a recording at the model's rate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

import numpy as np
import torch

from asr.audio import Audio, AudioLimits, from_samples, open_audio
from asr.errors import AudioError
from asr.transcribe.files.batch import Recording

#: A path, an opened binary file, "-" for standard input, samples (N,) or (N, channels), or what
#: `asr.audio.load_audio` returned.
AudioSource: TypeAlias = "str | os.PathLike[str] | BinaryIO | np.ndarray | torch.Tensor | Audio"


def open_recording(
    source: AudioSource, sample_rate: int | None, rate: int, limits: AudioLimits
) -> AbstractContextManager[Recording]:
    """Opens `source` for reading at `rate`.

    Args:
        sample_rate: of samples, which carry none themselves; None for everything else.

    Raises:
        AudioError: it cannot be used, or the rate is missing or given twice.
    """
    if isinstance(source, Audio):
        if source.rate == rate:
            return nullcontext(_Samples(source))
        return nullcontext(_Samples(from_samples(source.samples, source.rate, rate)))
    if isinstance(source, np.ndarray | torch.Tensor | list | tuple):
        if sample_rate is None:
            raise AudioError(
                "samples: sample_rate is missing; samples do not say how fast they go, "
                "so pass sample_rate=... beside them"
            )
        return nullcontext(_Samples(from_samples(source, sample_rate, rate)))
    if sample_rate is not None:
        raise AudioError(f"{source}: sample_rate is for samples; a file says its own, leave it out")
    return open_audio(source, rate, limits)


@dataclass(frozen=True)
class _Samples:
    """Samples in memory, read as a recording is."""

    audio: Audio

    name = "samples"

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self.audio.notes)

    @property
    def truncated(self) -> float | None:
        return self.audio.truncated

    @property
    def seconds(self) -> float:
        return self.audio.duration

    def __iter__(self) -> Iterator[np.ndarray]:
        yield self.audio.samples
