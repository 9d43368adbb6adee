"""Which files a run of `asr transcribe -o` writes: known, and checked, before it starts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.atomic import check_writable
from asr.errors import ConfigError, OutputError
from asr.transcribe.files.inputs import Input

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
