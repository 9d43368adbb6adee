"""Manifests with an utterance a line: JSON lines, and tables with a header (CSV, TSV)."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from asr.data.columns import AS_THEY_ARE, Columns, renamed
from asr.data.durations import all_seconds
from asr.data.utterance import Utterance, utterance_of
from asr.errors import AudioError, ManifestError

#: Where a line stands, and what is in it.
_Row = tuple[str, dict[str, Any]]
#: Columns of a table that hold numbers.
_NUMBERS = ("duration", "offset")
#: Rows that are read ahead, so that files can be looked at side by side.
_AHEAD = 1024


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


def json_utterances(
    path: Path, texts: bool, columns: Columns = AS_THEY_ARE
) -> Iterator[Utterance | ManifestError]:
    """One utterance, or what is wrong with it, for each line of a JSON lines manifest."""
    rows = (_parsed(line, f"{path}, line {number}") for number, line in text_lines(path))
    yield from _entries((_renamed(row, columns) for row in rows), path, texts)


def _renamed(row: _Row | ManifestError, columns: Columns) -> _Row | ManifestError:
    if isinstance(row, ManifestError) or not columns:
        return row
    where, values = row
    try:
        return where, renamed(values, columns, where)
    except ManifestError as error:
        return error


def _parsed(line: str | ManifestError, where: str) -> _Row | ManifestError:
    if isinstance(line, ManifestError):
        return line
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", error)
        column = f" at character {error.pos + 1}" if hasattr(error, "pos") else ""
        return ManifestError(f"{where}: not JSON: {reason}{column}; correct or remove the line")
    if not isinstance(values, dict):
        return ManifestError(
            f"{where}: not a JSON object; write one as "
            f'{{"audio_filepath": ..., "duration": ..., "text": ...}}'
        )
    return where, values


def table_utterances(
    path: Path, texts: bool, columns: Columns = AS_THEY_ARE
) -> Iterator[Utterance | ManifestError]:
    """One utterance, or what is wrong with it, for each row of a table with a header."""
    broken = [line for _, line in text_lines(path) if isinstance(line, ManifestError)]
    yield from broken
    lines = [(number, line) for number, line in text_lines(path) if isinstance(line, str)]
    rows = (_numbered(_renamed(row, columns)) for row in _rows(lines, path))
    yield from _entries(rows, path, texts)


def _rows(lines: list[tuple[int, str]], path: Path) -> Iterator[_Row | ManifestError]:
    """The rows below the header, by its names; of a quote that is not closed it ends with that.

    Strictly read, as a quote that is not closed would otherwise end at the next one, with the rows
    between them in one text.
    """
    separator = delimiter_of(lines[0][1])
    rows = csv.reader((line + "\n" for _, line in lines), delimiter=separator, strict=True)
    names: list[str] | None = None
    begins = 0
    for row in _read(rows):
        if isinstance(row, csv.Error):
            yield _unreadable(row, path, lines[begins][0])
            return
        where = f"{path}, line {lines[rows.line_num - 1][0]}"
        begins = rows.line_num
        if names is None:
            names = [name.strip() for name in row]
            continue
        if len(row) != len(names):
            yield ManifestError(
                f"{where}: {len(row)} columns, the header has {len(names)}; put fields that "
                f"contain the separator in double quotes"
            )
            continue
        yield where, dict(zip(names, row, strict=True))


def _read(rows: Iterator[list[str]]) -> Iterator[list[str] | csv.Error]:
    try:
        yield from rows
    except csv.Error as error:
        yield error


def _unreadable(error: csv.Error, path: Path, line: int) -> ManifestError:
    """What is wrong with the row that begins in `line`."""
    if "field larger" in str(error):
        return ManifestError(
            f"{path}: cannot be read as a table: {error}; look for a double quote that is not "
            f"closed, or write lines of JSON"
        )
    return ManifestError(
        f"{path}, line {line}: a double quote is not closed, so that lines below belong to it; "
        f"close it, or write two where it is part of a text"
    )


def delimiter_of(header: str) -> str:
    """The separator of a table: the one of tab, comma and semicolon that its header has most."""
    return max("\t,;", key=header.count)


def _entries(
    rows: Iterable[_Row | ManifestError], path: Path, texts: bool
) -> Iterator[Utterance | ManifestError]:
    """An entry of each row; what does not say how long its sound is, is looked at."""
    rows, lengths = iter(rows), dict[str, float | AudioError]()
    while some := list(islice(rows, _AHEAD)):
        if silent := [name for name in _silent(some, path.parent) if name not in lengths]:
            lengths |= all_seconds(silent)
        for row in some:
            if isinstance(row, ManifestError):
                yield row
                continue
            where, values = row
            if not texts:
                values = {"text": "", **values}
            length = lengths.get(str(path.parent / str(values.get("audio_filepath"))))
            try:
                yield utterance_of(values, path.parent, where, length)
            except ManifestError as error:
                yield error


def _silent(rows: Sequence[_Row | ManifestError], folder: Path) -> Iterator[str]:
    """The files of rows that do not say how long they are."""
    for row in rows:
        if isinstance(row, ManifestError) or row[1].get("duration") is not None:
            continue
        audio = row[1].get("audio_filepath")
        if isinstance(audio, str) and "\0" not in audio:
            yield str(folder / audio)


def _numbered(row: _Row | ManifestError) -> _Row | ManifestError:
    if isinstance(row, ManifestError):
        return row
    where, values = row
    for name in _NUMBERS:
        values = _with_number(values, name)
    return where, values


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
