"""The samples of a cut, decoded as transcription decodes them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from asr.audio import from_samples, load_audio
from asr.errors import AudioError

if TYPE_CHECKING:
    from lhotse.cut import Cut

    from asr.data.cache import SampleCache


def decode(source: str | Path | BinaryIO, rate: int, damaged: bool = False) -> np.ndarray:
    """A whole file as float32 mono samples (N,) at `rate`.

    Args:
        damaged: take what there is of a file that is cut off: noise needs no end, speech does.

    Raises:
        AudioError: the file is missing, unreadable or (unless `damaged`) cut off.
    """
    audio = load_audio(source, rate)
    if audio.truncated is not None and not damaged:
        name = source if isinstance(source, str | Path) else "audio in a shard"
        raise AudioError(f"{name}: cut off, it stops at {audio.truncated:.2f} s; replace it")
    return audio.samples


def cut_samples(cut: Cut, rate: int, cache: SampleCache | None = None) -> np.ndarray:
    """Samples (N,) of a cut, float32 mono at `rate`; files that `cache` holds are not decoded.

    Raises:
        AudioError: the audio is missing or unreadable, or the cut starts beyond its end.
    """
    whole = audio_file(cut)
    if whole is None:
        return _through_lhotse(cut, rate)
    samples = cache.get(whole) if cache is not None else None
    if samples is None:
        samples = decode(_source(cut), rate)
    start = round(cut.start * rate)
    stop = len(samples) if is_whole(cut) else start + round(cut.duration * rate)
    if start >= len(samples) > 0:
        raise AudioError(
            f"{whole}: cut '{cut.id}' starts at {cut.start:g} s, "
            f"the audio ends at {len(samples) / rate:g} s; correct the manifest"
        )
    return samples[start:stop]


def audio_file(cut: Any) -> str | None:
    """What the audio of a cut is known by, if it is one plain file or block of bytes.

    None for what only Lhotse can read: mixtures, several channels, transformed recordings.
    """
    recording = getattr(cut, "recording", None)
    if recording is None or recording.transforms or len(recording.sources) != 1:
        return None
    source = recording.sources[0]
    if source.type == "file":
        return str(source.source)
    return f"{recording.id} (in its shard)" if source.type == "memory" else None


def is_whole(cut: Any) -> bool:
    """Whether a cut is all of its recording, whatever the manifest says of its duration."""
    return cut.start == 0 and cut.duration >= cut.recording.duration


def _source(cut: Any) -> str | BinaryIO:
    source = cut.recording.sources[0]
    return source.source if source.type == "file" else io.BytesIO(source.source)


def _through_lhotse(cut: Cut, rate: int) -> np.ndarray:
    try:
        samples = cut.load_audio()
    except Exception as error:  # Lhotse raises whatever its backends raise
        raise AudioError(f"cut '{cut.id}': cannot be read: {error}") from error
    mono = np.asarray(samples, dtype=np.float32).mean(axis=0)
    return from_samples(mono, cut.sampling_rate, rate).samples
