"""Manifests with an utterance a line: JSON lines, and tables with a header (CSV, TSV)."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asr.data.entry import Entry, entry_of
from asr.errors import ManifestError

#: Columns of a table that hold numbers.
_NUMBERS = ("duration", "offset")


def text_lines(path: Path) -> Iterator[tuple[int, str | ManifestError]]:
    """Number and text of each line that is not blank, of a plain or gzipped file in UTF-8.

    Raises:
        ManifestError: the file cannot be read.
    """
    try:
        with path.open("rb") as start:
            zipped = start.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    yield (
                        number,
                        ManifestError(
                            f"{path}, line {number}: not UTF-8 text at byte {error.start + 1}; "
                            f"save the file as UTF-8"
                        ),
                    )
                    continue
                if text.strip():
                    yield number, text.rstrip("\r\n")
    except (OSError, EOFError) as error:
        raise ManifestError(f"{path}: cannot be read: {error}") from None


def json_entries(path: Path, texts: bool) -> Iterator[Entry | ManifestError]:
    """One utterance, or what is wrong with it, for each line of a JSON lines manifest."""
    for number, line in text_lines(path):
        where = f"{path}, line {number}"
        if isinstance(line, ManifestError):
            yield line
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", error)
            column = f" at character {error.pos + 1}" if hasattr(error, "pos") else ""
            yield ManifestError(f"{where}: not JSON: {reason}{column}; correct or remove the line")
            continue
        if not isinstance(values, dict):
            yield ManifestError(
                f"{where}: not a JSON object; write one as "
                f'{{"audio_filepath": ..., "duration": ..., "text": ...}}'
            )
            continue
        yield _entry(values, path, where, texts)


def table_entries(path: Path, texts: bool) -> Iterator[Entry | ManifestError]:
    """One utterance, or what is wrong with it, for each row of a table with a header."""
    broken = [line for _, line in text_lines(path) if isinstance(line, ManifestError)]
    yield from broken
    numbered = ((n, line) for n, line in text_lines(path) if isinstance(line, str))
    lines = [(number, line) for number, line in numbered]
    header = lines[0][1]
    rows = csv.reader((line + "\n" for _, line in lines), delimiter=delimiter_of(header))
    names = [name.strip() for name in next(rows)]
    for row in rows:
        where = f"{path}, line {lines[rows.line_num - 1][0]}"
        if len(row) != len(names):
            yield ManifestError(
                f"{where}: {len(row)} columns, the header has {len(names)}; put fields that "
                f"contain the separator in double quotes"
            )
            continue
        values: dict[str, Any] = dict(zip(names, row, strict=True))
        for name in _NUMBERS:
            values = _with_number(values, name)
        yield _entry(values, path, where, texts)


def delimiter_of(header: str) -> str:
    """The separator of a table: the one of tab, comma and semicolon that its header has most."""
    return max("\t,;", key=header.count)


def _entry(values: dict[str, Any], path: Path, where: str, texts: bool) -> Entry | ManifestError:
    if not texts:
        values = {"text": "", **values}
    try:
        return entry_of(values, path.parent, where)
    except ManifestError as error:
        return error


def _with_number(values: dict[str, Any], name: str) -> dict[str, Any]:
    """A cell of digits as a number; an empty one as none; anything else is left to be refused."""
    cell = values.get(name)
    if cell is None:
        return values
    if not cell.strip():
        return {key: value for key, value in values.items() if key != name}
    try:
        return {**values, name: float(cell)}
    except ValueError:
        return values
