"""Audio and speakers that are both trained and validated on."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from asr.data.config import DataConfig
from asr.data.corpus import Corpus
from asr.data.decode import audio_file, is_whole
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
        shown = ", ".join(both[:5]) + (" ..." if len(both) > 5 else "")
        notes.append(f"{len(both)} speakers are in both train and dev: {shown}")
    return notes


def same_audio(one: Sequence[Cut], other: Sequence[Cut]) -> list[tuple[str, str]]:
    """Pairs of ids whose audio is the same part of the same file, by name or by bytes."""
    known: dict[Any, str] = {}
    sizes: defaultdict[int, list[Cut]] = defaultdict(list)
    for cut in one:
        known.setdefault(_span(cut, os.path.realpath(str(audio_file(cut)))), cut.id)
        if (size := _size(cut)) is not None:
            sizes[size].append(cut)
    pairs = []
    for cut in other:
        match = known.get(_span(cut, os.path.realpath(str(audio_file(cut)))))
        alike = sizes.get(size, []) if (size := _size(cut)) is not None else []
        if match is None and alike:  # read only what has the same number of bytes
            content = _span(cut, _digest(cut))
            match = next((c.id for c in alike if _span(c, _digest(c)) == content), None)
        if match is not None:
            pairs.append((match, cut.id))
    return pairs


def speakers(cuts: Iterable[Cut]) -> set[str]:
    """Everybody named as a speaker."""
    return {part.speaker for cut in cuts for part in cut.supervisions if part.speaker}


def _span(cut: Any, content: str) -> tuple[str, int, int]:
    return content, round(cut.start * 100), 0 if is_whole(cut) else round(cut.duration * 100)


def _size(cut: Any) -> int | None:
    name = audio_file(cut)
    try:
        return os.stat(name).st_size if name is not None else None
    except OSError:
        return None


def _digest(cut: Any) -> str:
    with open(str(audio_file(cut)), "rb") as file:
        return hashlib.blake2b(file.read(), digest_size=16).hexdigest()
