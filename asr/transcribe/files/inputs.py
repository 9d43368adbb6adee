"""What the paths on the command line stand for: files, folders, patterns, standard input."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from asr.errors import AsrError, AudioError, ManifestError

STDIN = "-"


@dataclass(frozen=True)
class Input:
    """One recording: what to open, and the name (with folders, without ending) of its outputs."""

    source: str | Path
    output: Path

    @property
    def label(self) -> str:
        """What messages call it."""
        return "standard input" if self.source == STDIN else str(self.source)


def find_inputs(
    arguments: Iterable[str], endings: tuple[str, ...], recursive: bool
) -> Iterator[Input | AsrError]:
    """Expands paths, in order; what cannot be used comes out as the error that says why.

    A file stands for itself, whatever its ending. A folder stands for the files in it that have
    an audio ending, sorted; with `recursive` for those below it too, and outputs keep the folders
    in between. Names that begin with a dot are passed over in folders. A path that does not exist
    but has `*`, `?` or `[` in it is a pattern (`**` for any folders).
    """
    for argument in arguments:
        yield from _expand(argument, endings, recursive)


def _expand(argument: str, endings: tuple[str, ...], recursive: bool) -> Iterator[Input | AsrError]:
    if argument == STDIN:
        yield Input(STDIN, Path("stdin"))
    elif not argument:
        yield AudioError("'': an empty path; name a file or a folder (an empty variable?)")
    elif os.path.isdir(argument):
        yield from _folder(Path(argument), endings, recursive)
    elif os.path.lexists(argument) or not glob.has_magic(argument):
        yield _file(Path(argument))
    else:
        yield from _pattern(argument, endings, recursive)


def missing(path: Path) -> AudioError:
    """What to tell about an input that is not there."""
    return AudioError(f"{path}: no such file; check the path")


def check_corpora(*paths: Path | None) -> None:
    """Refuses corpora, or texts, that are not there; None is one that was not asked for.

    Raises:
        ManifestError: so it is.
    """
    for path in paths:
        if path is not None and not path.exists():
            raise ManifestError(f"{path}: no such file or folder; correct the path")


def _file(path: Path) -> Input | AsrError:
    """A file by its name; whether it can be read is found out when it is opened."""
    return Input(path, Path(path.stem))


def _pattern(pattern: str, endings: tuple[str, ...], recursive: bool) -> Iterator[Input | AsrError]:
    shortest: dict[str, str] = {}  # through a link to a folder above ** matches a file many times
    for match in sorted(glob.glob(pattern, recursive=True), key=lambda path: (len(path), path)):
        shortest.setdefault(os.path.realpath(match), match)
    for match in sorted(shortest.values()):
        if not os.path.isdir(match):
            yield _file(Path(match))
        elif "**" not in pattern:  # ** has the contents of its folders among its matches
            yield from _folder(Path(match), endings, recursive)
    if not shortest:
        yield AudioError(f"{pattern}: no file matches this pattern")


def _folder(top: Path, endings: tuple[str, ...], recursive: bool) -> Iterator[Input | AsrError]:
    found = False
    for item in _walk(top, recursive, ()):
        if isinstance(item, AsrError):
            found = True
            yield item
        elif item.name.lower().endswith(endings):
            found = True
            yield _recording(item, top)
    if not found:
        hint = "" if recursive else "; add --recursive to look into the folders in it"
        yield AudioError(f"{top}: no audio in this folder (looked for {', '.join(endings)}){hint}")


def _recording(path: Path, top: Path) -> Input | AsrError:
    """A file of a folder; opening a named pipe that nobody writes to would wait for ever."""
    if os.path.exists(path) and not os.path.isfile(path):
        return AudioError(
            f"{path}: a pipe, socket or device, not a file; to read from it, name it itself"
        )
    return Input(path, path.relative_to(top).with_suffix(""))


def _walk(
    folder: Path, recursive: bool, above: tuple[tuple[int, int], ...]
) -> Iterator[Path | AsrError]:
    """Files of a folder and below it, in order; a folder that holds itself is an error."""
    try:
        status = folder.stat()
        here = (status.st_dev, status.st_ino)
        if here in above:
            yield AudioError(
                f"{folder}: a link back to a folder that it is in; not followed, remove the link"
            )
            return
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield AudioError(f"{folder}: cannot be read: {error.strerror or error}")
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = folder / entry.name
        if not os.path.isdir(path):
            yield path
        elif recursive:
            yield from _walk(path, recursive, (*above, here))
