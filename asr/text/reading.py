"""Texts from files: one a line, or the `text` of a JSON-lines manifest."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from asr.errors import ManifestError

_OPENERS: dict[str, Callable[..., IO[Any]]] = {
    ".gz": gzip.open,
    ".xz": lzma.open,
    ".bz2": bz2.open,
}
_MANIFESTS = (".jsonl", ".json")


def read_texts(path: Path) -> Iterator[str]:
    """The texts of a file, empty lines of a text file left out.

    `.jsonl` and `.json` are manifests with a JSON object a line, of which `text` is read; any
    other file has one text a line. Either may be packed (.gz, .xz, .bz2). Encoding is UTF-8.

    Raises:
        ManifestError: the file cannot be read or unpacked, is not UTF-8, or a line of a manifest
            is not an object with a `text`; the message has the line number.
    """
    packed = path.suffix in _OPENERS
    kind = path.with_suffix("").suffix if packed else path.suffix
    number = 0
    try:
        with _OPENERS.get(path.suffix, open)(path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                if text:
                    yield _text_of(text, f"{path}, line {number}") if kind in _MANIFESTS else text
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path}, line {number}: not UTF-8 text; name a text file or a manifest, saved as UTF-8"
        ) from error
    except (OSError, EOFError, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ManifestError(f"{path}: cannot be read: {reason}") from error


def _text_of(line: str, where: str) -> str:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{where}: not JSON ({error}); correct or remove the line") from error
    if not isinstance(values, dict) or not isinstance(values.get("text"), str):
        raise ManifestError(f"{where}: must be a JSON object with a string 'text'")
    return str(values["text"])
