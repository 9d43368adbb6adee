"""Reads a corpus in any form that corpora come in, as Lhotse cuts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from asr.data.entry import Entry, entry_of
from asr.errors import ManifestError

if TYPE_CHECKING:
    from lhotse import CutSet


def read_manifest(path: str | Path) -> CutSet:
    """The cuts of a corpus."""
    from lhotse import CutSet

    return CutSet.from_cuts(entry.cut() for entry in json_lines(Path(path)))


def json_lines(path: Path) -> Iterator[Entry]:
    """Entries of a manifest with a JSON object a line."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                values = json.loads(line)
            except ValueError as error:
                raise ManifestError(f"{where}: not JSON ({error})") from None
            if not isinstance(values, dict):
                raise ManifestError(f"{where}: not a JSON object")
            yield entry_of(values, path.parent, where)
