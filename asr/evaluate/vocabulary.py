"""The words of a text that a model has read, to tell which words of a reference it has not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from asr.errors import ManifestError
from asr.text.reading import read_texts


def check_vocabulary(path: Path) -> None:
    """Refuses what is no file; it is read later.

    Raises:
        ManifestError: so it is.
    """
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; name a text, or a manifest (JSON lines)")


def read_vocabulary(path: Path, normalize: Callable[[str], str]) -> frozenset[str]:
    """The words of a text file, or of the texts of a manifest of JSON lines; see `read_texts`.

    Raises:
        ManifestError: the file cannot be read, or has no words.
    """
    check_vocabulary(path)
    found = frozenset(word for text in read_texts(path) for word in normalize(text).split())
    if not found:
        raise ManifestError(f"{path}: no words in it; name a text, or a manifest (JSON lines)")
    return found
