"""The samples of cuts: decoded as transcription decodes them, and kept in memory where wanted."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from asr.audio import from_samples, load_audio
from asr.errors import AudioError

if TYPE_CHECKING:
    from lhotse.cut import Cut


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


class SampleCache:
    """Samples of whole files by path, kept as 16-bit integers: 115 MB an hour at 16 kHz.

    Fill it before the workers of a loader start: forked workers then read the same memory and
    nothing is copied. Rounding to 16 bits is 98 dB below full scale; samples beyond full scale,
    which lossy formats decode to now and then, become full scale, as in any 16-bit file.
    """

    def __init__(self, rate: int, damaged: bool = False) -> None:
        """A cache for samples at `rate`; `damaged` as in `decode`."""
        self.rate = rate
        self.damaged = damaged
        self._samples: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._samples)

    def __contains__(self, path: str) -> bool:
        return path in self._samples

    @property
    def bytes(self) -> int:
        """Memory held, in bytes."""
        return sum(samples.nbytes for samples in self._samples.values())

    def get(self, path: str) -> np.ndarray | None:
        """Samples of a file as float32 in [-1, 1], a new array; None if it is not held."""
        held = self._samples.get(path)
        return None if held is None else held.astype(np.float32) * np.float32(1 / 32768)

    def seconds(self, path: str) -> float | None:
        """Length of a file that is held, as decoded."""
        held = self._samples.get(path)
        return None if held is None else len(held) / self.rate

    def fill(
        self,
        paths: Iterable[str],
        jobs: int = 2,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, str]:
        """Decodes files in `jobs` threads (decoders run outside the interpreter's lock).

        Args:
            progress: is told the files done and the files there are, after each.

        Returns:
            the reason for each file that could not be decoded.
        """
        wanted = [path for path in dict.fromkeys(paths) if path not in self._samples]
        failed: dict[str, str] = {}
        with ThreadPoolExecutor(max(1, jobs)) as pool:
            futures = {pool.submit(self._decode, path): path for path in wanted}
            for done, future in enumerate(as_completed(futures), start=1):
                path = futures[future]
                try:
                    self._samples[path] = future.result()
                except AudioError as error:
                    failed[path] = str(error)
                if progress is not None:
                    progress(done, len(wanted))
        return failed

    def _decode(self, path: str) -> np.ndarray:
        samples = np.rint(decode(path, self.rate, self.damaged) * 32768)
        return np.clip(samples, -32768, 32767, out=samples).astype(np.int16)
