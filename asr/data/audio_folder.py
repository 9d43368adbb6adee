"""A folder of audio files with their texts beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from asr.data.durations import all_seconds, audio_below
from asr.data.lines import text_lines
from asr.data.utterance import Utterance
from asr.errors import AudioError, ManifestError


def folder_utterances(folder: Path, texts: bool) -> Iterator[Utterance | ManifestError]:
    """An utterance for each audio file, by its path in the folder.

    Its text is `NAME.txt` beside `NAME.wav` (or any other ending), or the line `NAME text` of a
    `*.trans.txt` beside it, as LibriSpeech has them. An audio file without a text is an error.
    """
    files = audio_below(folder)
    seconds = all_seconds(str(file) for file in files)
    lists: dict[Path, dict[str, str]] = {}
    for file in files:
        length = seconds[str(file)]
        name = str(file.relative_to(folder).with_suffix(""))
        try:
            if file.parent not in lists:
                lists[file.parent] = _listed(file.parent)
            text = _text(file, lists[file.parent]) if texts else ""
        except ManifestError as error:
            yield error
            continue
        # an unreadable file stays an entry, so that it is reported as such
        duration = None if isinstance(length, AudioError) else length or None
        yield Utterance(name, str(file), duration, text, str(file))


def _text(file: Path, listed: dict[str, str]) -> str:
    beside = file.with_suffix(".txt")
    if beside.is_file():
        try:
            return " ".join(beside.read_text(encoding="utf-8-sig").split())
        except (OSError, UnicodeDecodeError) as error:
            raise ManifestError(f"{beside}: cannot be read: {error}; save it as UTF-8") from None
    if file.stem in listed:
        return listed[file.stem]
    raise ManifestError(f"{file}: has no text; write it to {beside.name} beside it")


def _listed(folder: Path) -> dict[str, str]:
    texts_by_name: dict[str, str] = {}
    for file in sorted(folder.glob("*.trans.txt")):
        for _, line in text_lines(file):
            if isinstance(line, ManifestError):
                raise line
            key, *rest = line.split(maxsplit=1)
            texts_by_name[key] = rest[0].strip() if rest else ""
    return texts_by_name
