"""The paths of a run: which recordings its arguments stand for, and which files it writes.

Both are known and checked before a run starts.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.atomic import check_writable
from asr.errors import AsrError, AudioError, ConfigError, ManifestError, OutputError
from asr.urls import download_first, url_of

STDIN = "-"
#: So many endings of other files are named where a folder has no audio.
SHOWN_ENDINGS = 5


@dataclass(frozen=True)
class Input:
    """One recording: what to open, and the name (with folders, without ending) of its outputs."""

    source: str | Path
    output: Path

    @property
    def label(self) -> str:
        """What messages call it."""
        return label_of(self.source)


def label_of(source: object) -> str:
    """What messages call an input."""
    return "standard input" if source == STDIN else str(source)


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
    elif url_of(argument) and not os.path.lexists(argument):
        yield missing(Path(argument))
    elif os.path.lexists(argument) or not glob.has_magic(argument):
        yield _file(Path(argument))
    else:
        yield from _pattern(argument, endings, recursive)


def missing(path: Path) -> AudioError:
    """What to tell about an input that is not there."""
    url = url_of(path)
    return AudioError(download_first(url) if url else f"{path}: no such file; check the path")


def check_corpora(*paths: Path | None) -> None:
    """Refuses corpora, or texts, that are not there; None is one that was not asked for.

    Raises:
        ManifestError: so it is.
    """
    for path in paths:
        if path is not None and not path.exists():
            if url := url_of(path):
                raise ManifestError(f"{url}: a URL, and corpora are files; download it first")
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
    others: list[Path] = []
    for item in _walk(top, recursive, ()):
        if isinstance(item, AsrError):
            found = True
            yield item
        elif item.name.lower().endswith(endings):
            found = True
            yield _recording(item, top)
        else:
            others.append(item)
    if not found:
        yield _no_audio(top, recursive, others)


def _no_audio(top: Path, recursive: bool, others: list[Path]) -> AudioError:
    """What to tell about a folder in which no file has an audio ending."""
    folders = any(os.path.isdir(entry) and entry.name[0] != "." for entry in os.scandir(top))
    content = "it has only folders" if folders else "it is empty"
    hints = []
    if others:
        kinds = sorted({path.suffix.lower() or "no ending" for path in others})
        shown = ", ".join(kinds[:SHOWN_ENDINGS]) + (", ..." if len(kinds) > SHOWN_ENDINGS else "")
        count = f"{len(others)} other file{'' if len(others) == 1 else 's'}"
        content = f"it has {count} ({shown})"
        hints.append("name a file to have it read whatever its ending")
    if folders and not recursive:
        hints.append("add --recursive to look into the folders in it")
    return AudioError("; ".join([f"{top}: no audio in this folder: {content}", *hints]))


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


#: What common file systems take, in bytes.
LONGEST_NAME = 255


@dataclass(frozen=True)
class TranscribeJob:
    """An input and the files that are written for it, by format; none where text is printed."""

    input: Input
    files: dict[str, Path]

    @property
    def done(self) -> bool:
        """All files are there already."""
        return bool(self.files) and all(path.is_file() for path in self.files.values())


def output_jobs(
    inputs: Sequence[Input], folder: Path, formats: Iterable[str]
) -> list[TranscribeJob]:
    """Names the output files: `talk.mp3` becomes `talk.txt` in `folder`.

    Raises:
        ConfigError: two inputs would write the same file, or one would overwrite an input.
    """
    formats = tuple(formats)
    jobs = [
        TranscribeJob(one, {name: folder / file_name(one.output, name) for name in formats})
        for one in inputs
    ]
    writers: dict[Path, Input] = {}
    sources = {os.path.realpath(one.source): one for one in inputs if isinstance(one.source, Path)}
    for job in jobs:
        for path in job.files.values():
            if path in writers:
                raise ConfigError(
                    f"{writers[path].label} and {job.input.label} would both be written to "
                    f"{path}; rename one, or give them different folders with -o"
                )
            if os.path.realpath(path) in sources:
                raise ConfigError(
                    f"{job.input.label}: its transcript {path} would overwrite the input "
                    f"{sources[os.path.realpath(path)].label}; name another folder with -o"
                )
            writers[path] = job.input
    return jobs


def file_name(output: Path, ending: str) -> Path:
    """`output` with `ending`; a name that gets too long for it is cut and marked with a digest."""
    name = f"{output.name}.{ending}"
    if len(os.fsencode(name)) <= LONGEST_NAME:
        return output.with_name(name)
    mark = f"~{hashlib.sha256(os.fsencode(output.name)).hexdigest()[:8]}.{ending}"
    kept = os.fsencode(output.name)[: LONGEST_NAME - len(mark)]
    return output.with_name(kept.decode("utf-8", "ignore") + mark)


def check_output(option: str, path: Path | None) -> None:
    """Proves that the file that an option names, if any, can be written.

    Raises:
        OutputError: it cannot.
    """
    if path is None:
        return
    if path.is_dir():
        raise OutputError(f"{path}: a folder; name a file with {option}")
    check_writable(path.parent)


def check_folders(jobs: Iterable[TranscribeJob]) -> None:
    """Makes the folders of all outputs and proves that they can be written to.

    Raises:
        OutputError: one cannot.
    """
    for folder in sorted({path.parent for job in jobs for path in job.files.values()}):
        check_writable(folder)
