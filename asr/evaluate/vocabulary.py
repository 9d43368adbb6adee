"""The words of a text that a model has read, to tell which words of a reference it has not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from asr.data.lines import text_lines
from asr.errors import ManifestError


def read_vocabulary(path: Path, normalize: Callable[[str], str]) -> frozenset[str]:
    """The words of a text file, plain or gzipped, or of the texts of a manifest of JSON lines.

    Raises:
        ManifestError: the file cannot be read, or has no words.
    """
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; name a text, or a manifest (JSON lines)")
    found = frozenset(word for text in _texts(path) for word in normalize(text).split())
    if not found:
        raise ManifestError(f"{path}: no words in it; name a text, or a manifest (JSON lines)")
    return found


def _texts(path: Path) -> Iterator[str]:
    is_manifest = ".json" in path.suffixes or ".jsonl" in path.suffixes
    for number, line in text_lines(path):
        if isinstance(line, ManifestError):
            raise line
        if not is_manifest:
            yield line
            continue
        try:
            yield str(json.loads(line)["text"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ManifestError(
                f"{path}, line {number}: not a JSON object with a 'text'; correct the manifest"
            ) from None
