"""Audio and speakers that are both trained and validated on."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asr.data.config import DataConfig
from asr.data.corpus import Corpus
from asr.data.samples import audio_file
from asr.errors import ManifestError

if TYPE_CHECKING:
    from lhotse.cut import Cut


def check_leakage(train: Corpus, dev: Corpus, config: DataConfig) -> list[str]:
    """Refuses audio that is both trained and validated on; returns what a person should know.

    Raises:
        ManifestError: a file is in both, by its name or by its bytes, and `leakage` is `refuse`.
    """
    if not (train.in_memory and dev.in_memory):
        return ["leakage between train and dev was not checked: the corpora are read lazily"]
    notes = []
    same = same_audio(list(train.cuts), list(dev.cuts))
    if same:
        first = f"{same[0][0]} (train) is {same[0][1]} (dev)"
        if config.leakage == "refuse":
            raise ManifestError(
                f"{len(same)} dev utterances have audio that is also trained on, the first: "
                f"{first}; remove them from one side, or set data.leakage: allow"
            )
        notes.append(f"{len(same)} dev utterances have audio that is also trained on: {first}")
    both = sorted(speakers(train.cuts) & speakers(dev.cuts))
    if both:
        listing = ", ".join(both[:5]) + (" ..." if len(both) > 5 else "")
        notes.append(f"speakers in both train and dev: {len(both)} ({listing})")
    return notes


def same_audio(first: Sequence[Cut], second: Sequence[Cut]) -> list[tuple[str, str]]:
    """Pairs of ids that share audio: overlapping parts of one file, or of files of equal bytes.

    Files are read only where both sides have one of the same size.
    """
    spans: defaultdict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for cut in first:
        if (path := _real_path(cut)) is not None:
            spans[path].append((cut.start, cut.start + cut.duration, cut.id))
    of_size: defaultdict[int, list[str]] = defaultdict(list)
    for path in spans:
        of_size[_size(path)].append(path)
    contents: dict[int, dict[str, str]] = {}  # size -> digest -> path
    twins: dict[str, str | None] = {}
    pairs = []
    for cut in second:
        path = _real_path(cut)
        if path is None:
            continue
        if path not in twins:
            twins[path] = path if path in spans else _twin(path, of_size, contents)
        for start, end, name in spans.get(twins[path] or "", []):
            shared = min(end, cut.start + cut.duration) - max(start, cut.start)
            if shared > min(0.5, cut.duration / 2):
                pairs.append((name, cut.id))
                break
    return pairs


def _twin(
    path: str, of_size: Mapping[int, list[str]], contents: dict[int, dict[str, str]]
) -> str | None:
    size = _size(path)
    if size <= 0 or size not in of_size:
        return None
    if size not in contents:
        contents[size] = {_digest(known): known for known in of_size[size]}
    return contents[size].get(_digest(path))


def speakers(cuts: Iterable[Cut]) -> set[str]:
    """Everybody named as a speaker."""
    return {part.speaker for cut in cuts for part in cut.supervisions if part.speaker}


def _real_path(cut: Any) -> str | None:
    name = audio_file(cut)
    return os.path.realpath(name) if name is not None else None


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:  # in a shard, or missing
        return -1


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.blake2b(file.read(), digest_size=16).hexdigest()
