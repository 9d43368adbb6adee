"""Measurements of every recording of a corpus (duration, peak, clipping, digest), in parallel."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from asr.data.samples import SampleCache, audio_file, cut_samples
from asr.data.utterance import text_of
from asr.errors import AudioError

if TYPE_CHECKING:
    from lhotse.cut import Cut

#: Everything is decoded at this rate: that of the models that ship.
RATE = 16000
#: Samples at or beyond this are at full scale.
FULL_SCALE = 0.999
#: Cuts of one long file that are decoded in one task at most.
_TOGETHER = 100


@dataclass(frozen=True, slots=True)
class InspectedUtterance:
    """One utterance: what the manifest states, and what was measured.

    `seconds` is the length of the audio, 0 where `problem` says why there is none; `declared` that
    of the manifest. `peak` is the largest sample, `clipped` the share of samples at full scale,
    `digest` tells decoded sound from other sound.
    """

    id: str
    text: str
    speakers: tuple[str, ...]
    declared: float
    seconds: float = 0.0
    peak: float = 0.0
    clipped: float = 0.0
    digest: str = ""
    problem: str | None = None


def inspect_audio(
    cuts: Iterable[Cut], jobs: int | None = None, progress: Callable[[float], None] | None = None
) -> Iterator[InspectedUtterance]:
    """Decodes every cut, in order, in `jobs` threads (decoders run outside the lock).

    Bounded memory: a few files a thread, whatever the size of the corpus. `progress` is called
    with the seconds of each cut as it is done.
    """
    workers = max(1, jobs or os.cpu_count() or 1)
    pending: deque[Future[list[InspectedUtterance]]] = deque()

    def finished() -> Iterator[InspectedUtterance]:
        for result in pending.popleft().result():
            if progress is not None:
                progress(result.seconds)
            yield result

    with ThreadPoolExecutor(workers) as pool:
        try:
            for group in _by_file(cuts):
                pending.append(pool.submit(_inspect_file, group))
                if len(pending) > 4 * workers:
                    yield from finished()
            while pending:
                yield from finished()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _by_file(cuts: Iterable[Cut]) -> Iterator[list[Cut]]:
    """Cuts that follow each other in one file together, so that it is decoded once."""
    for name, same in groupby(cuts, key=audio_file):
        group = []
        for cut in same:
            group.append(cut)
            if name is None or len(group) == _TOGETHER:
                yield group
                group = []
        if group:
            yield group


def _inspect_file(cuts: list[Any]) -> list[InspectedUtterance]:
    cache = SampleCache(RATE)
    if len(cuts) > 1:
        cache.fill([str(audio_file(cuts[0]))], jobs=1)
    return [_inspect(cut, cache) for cut in cuts]


def _inspect(cut: Any, cache: SampleCache) -> InspectedUtterance:
    fields = {
        "id": cut.id,
        "text": text_of(cut),
        "speakers": tuple(part.speaker for part in cut.supervisions if part.speaker),
        "declared": float(cut.duration),
    }
    try:
        samples = cut_samples(cut, RATE, cache)
    except AudioError as error:
        return InspectedUtterance(**fields, problem=str(error))
    size = np.abs(samples)
    return InspectedUtterance(
        **fields,
        seconds=len(samples) / RATE,
        peak=float(size.max(initial=0.0)),
        clipped=float(np.mean(size >= FULL_SCALE)) if len(size) else 0.0,
        digest=hashlib.blake2b(samples.tobytes(), digest_size=16).hexdigest(),
    )
