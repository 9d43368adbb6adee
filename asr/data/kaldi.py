"""Kaldi data folders: wav.scp, text, and where there are any segments, utt2spk, utt2dur.

Read here rather than with Lhotse's reader, which runs the commands of wav.scp in a shell to
learn durations. Nothing that a data folder says is executed: commands that only unpack a file
(`flac -c -d -s FILE |`) are replaced by that file, others are refused.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from asr.data.durations import all_seconds
from asr.data.lines import text_lines
from asr.data.utterance import Utterance
from asr.errors import AudioError, ManifestError

#: Programs that write the sound of the one file they are given, unchanged.
_UNPACKERS = ("flac", "sph2pipe", "cat", "opusdec", "mpg123", "shorten")

#: (line of a Kaldi file, what follows the key)
_Line = tuple[int, str]


def kaldi_utterances(folder: Path, texts: bool) -> Iterator[Utterance | ManifestError]:
    """One utterance, or what is wrong with it, for each line of `segments` (or of `wav.scp`)."""
    try:
        recordings = _mapping(folder / "wav.scp")
        spoken = _mapping(folder / "text") if (folder / "text").exists() or texts else {}
        speakers = _mapping(folder / "utt2spk") if (folder / "utt2spk").exists() else {}
    except ManifestError as error:
        yield error
        return
    files: dict[str, str | ManifestError] = {
        name: _file(folder, number, value) for name, (number, value) in recordings.items()
    }
    segmented = (folder / "segments").exists()
    plain = [file for file in files.values() if isinstance(file, str)]
    seconds = all_seconds(plain)
    source = "segments" if segmented else "wav.scp"
    for name, (number, value) in _mapping(folder / source).items():
        where = f"{folder / source}, line {number}"
        recording, offset, end = name, None, None
        if segmented:
            parts = value.split()
            try:
                recording, offset, end = parts[0], float(parts[1]), float(parts[2])
            except (IndexError, ValueError):
                yield ManifestError(f"{where}: not 'UTTERANCE RECORDING START END'")
                continue
        file = files.get(recording)
        if not isinstance(file, str):
            yield file or ManifestError(
                f"{where}: recording '{recording}' is not in wav.scp; add it or remove the line"
            )
            continue
        if texts and name not in spoken:
            yield ManifestError(f"{where}: '{name}' has no line in {folder / 'text'}; add one")
            continue
        length = seconds[file]
        yield _utterance(
            name,
            file,
            where,
            text=spoken[name][1] if name in spoken else "",
            speaker=speakers[name][1] if name in speakers else None,
            span=None if offset is None or end is None else (offset, end),
            length=None if isinstance(length, AudioError) else length,
        )


def _utterance(
    name: str,
    file: str,
    where: str,
    *,
    text: str,
    speaker: str | None,
    span: tuple[float, float] | None,
    length: float | None,
) -> Utterance | ManifestError:
    if span is None:
        # an unreadable file stays an entry, so that it is reported as such and not as a bad line
        return Utterance(name, file, length or None, text, where, speaker)
    start, end = span
    if end < 0 and length is not None:
        end = length  # Kaldi's way of saying: to the end
    if not 0 <= start < end:
        return ManifestError(f"{where}: the segment ends ({end:g} s) before it starts; correct it")
    return Utterance(name, file, end - start, text, where, speaker, offset=start, total=length)


def _mapping(path: Path) -> Mapping[str, _Line]:
    """Key to (line number, rest of the line).

    Raises:
        ManifestError: the file is missing or not text, or a key is there twice.
    """
    result: dict[str, _Line] = {}
    for number, line in text_lines(path):
        if isinstance(line, ManifestError):
            raise line
        key, *rest = line.split(maxsplit=1)
        if key in result:
            raise ManifestError(
                f"{path}, line {number}: '{key}' is also on line {result[key][0]}; remove one"
            )
        result[key] = (number, rest[0].strip() if rest else "")
    return result


def _file(folder: Path, number: int, value: str) -> str | ManifestError:
    where = f"{folder / 'wav.scp'}, line {number}"
    if not value:
        return ManifestError(f"{where}: names no file")
    if not value.endswith("|"):
        return _found(folder, value)
    try:
        words = shlex.split(value[:-1])
    except ValueError:
        words = []
    files = [word for word in words[1:] if Path(_found(folder, word)).is_file()]
    if words and Path(words[0]).name in _UNPACKERS and len(files) == 1:
        return _found(folder, files[0])
    return ManifestError(
        f"{where}: a shell command, which is not run; write its output to a file and name that"
    )


def _found(folder: Path, name: str) -> str:
    """Kaldi's paths are relative to where it runs; those relative to the folder work too."""
    return name if Path(name).exists() or not (folder / name).exists() else str(folder / name)
