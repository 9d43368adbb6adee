"""How long the audio files of a corpus are; they are decoded only where the header is no help."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from asr.audio import AUDIO_ENDINGS
from asr.audio.duration import exact_seconds
from asr.data.samples import decode
from asr.errors import AudioError


def audio_seconds(path: str) -> float:
    """The length of a file: from its header, or by decoding where that gives none.

    Raises:
        AudioError: the file is missing, empty or not audio.
    """
    try:
        size = os.stat(path).st_size
    except OSError as error:
        raise AudioError(f"{path}: {error.strerror or error}; correct the path") from None
    if size == 0:
        raise AudioError(f"{path}: empty file; replace it")
    seconds = exact_seconds(path)
    return len(decode(path, 16000)) / 16000 if seconds is None else seconds


def all_seconds(paths: Iterable[str], jobs: int = 4) -> dict[str, float | AudioError]:
    """The length of each file, or why it has none."""

    def length(path: str) -> float | AudioError:
        try:
            return audio_seconds(path)
        except AudioError as error:
            return error

    wanted = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        return dict(zip(wanted, pool.map(length, wanted, chunksize=64), strict=True))


def audio_below(folder: Path) -> list[Path]:
    """Audio files in a folder and the folders in it, by their endings, in order of names."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in AUDIO_ENDINGS and not file.name.startswith(".")
    )
