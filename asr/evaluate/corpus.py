"""The utterances of a manifest: their reference texts and their audio."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.audio import Audio, load_audio
from asr.data.lines import json_utterances, text_lines
from asr.data.manifest import read_manifest, same_ids
from asr.data.samples import audio_file, cut_samples, is_whole
from asr.data.utterance import Utterance, field_of, field_text, text_of
from asr.dependencies import need
from asr.errors import AudioError, ManifestError
from asr.text.languages import LANGUAGE

if TYPE_CHECKING:
    from lhotse.cut import Cut


@dataclass(frozen=True)
class ReferenceUtterance:
    """An utterance and its reference text. Its audio is the file `audio`, or `seconds` of it from
    `start` on, or a Lhotse cut.

    `length` is its length in seconds as its corpus states it, None where it does not. `fields` are
    the language and the other fields of its line in the manifest, as they stand there.
    """

    id: str
    text: str
    audio: str | None = None
    start: float = 0.0
    seconds: float | None = None
    cut: Cut | None = None
    speaker: str | None = None
    length: float | None = field(default=None, compare=False)
    fields: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def values(self, names: Iterable[str]) -> dict[str, str]:
        """The values of fields, as training reads them; those without a value are left out.

        Raises:
            ManifestError: a value is neither text nor a whole number.
        """
        where = f"utterance '{self.id}'"
        values = {name: field_text(self.fields, name, where) for name in names}
        return {name: value for name, value in values.items() if value is not None}


def total_seconds(utterances: Iterable[ReferenceUtterance]) -> float | None:
    """The total length of utterances, for progress; None where the length of one is not known."""
    lengths = [one.length for one in utterances]
    return None if None in lengths else sum(length or 0.0 for length in lengths)


def read_utterances(path: Path) -> list[ReferenceUtterance]:
    """The utterances of a corpus in any form that `asr.data.manifest.read_manifest` knows.

    A manifest of JSON lines is read without Lhotse, so that a model can be evaluated where only
    transcribing is installed.

    Raises:
        ManifestError: the corpus cannot be read, or an entry is wrong.
        DependencyError: this form needs Lhotse, and that is not installed.
    """
    if not path.exists():
        raise ManifestError(f"{path}: no such manifest; check the path")
    lines = path / "manifest.jsonl" if path.is_dir() else path
    if _is_plain_manifest(lines):
        entries = list(map(_usable, json_utterances(lines, True)))
        for problem in same_ids((entry.id, entry.where) for entry in entries):
            raise problem
        return [_of_entry(entry) for entry in entries]
    need("lhotse", "train")
    return [_of_cut(cut) for cut in read_manifest(path)]


def _is_plain_manifest(path: Path) -> bool:
    if path.suffix not in (".jsonl", ".json") or not path.is_file():
        return False
    first = next((line for _, line in text_lines(path)), None)
    return isinstance(first, str) and '"audio_filepath"' in first


def _usable(entry: Utterance | ManifestError) -> Utterance:
    if isinstance(entry, ManifestError):
        raise entry
    return entry


def _of_entry(entry: Utterance) -> ReferenceUtterance:
    # the length of a file that cannot be read is not known, and nothing of it is decoded
    more: dict[str, Any] = {
        "speaker": entry.speaker,
        "length": entry.duration or 0.0,
        "fields": {**entry.custom, LANGUAGE: entry.language},
    }
    if entry.offset is None:
        return ReferenceUtterance(entry.id, entry.text, entry.audio, **more)
    return ReferenceUtterance(
        entry.id, entry.text, entry.audio, entry.offset, entry.duration, **more
    )


def _of_cut(cut: Cut) -> ReferenceUtterance:
    text, file = text_of(cut), audio_file(cut)
    speaker = next((one.speaker for one in cut.supervisions if one.speaker), None)
    more: dict[str, Any] = {
        "speaker": speaker,
        "length": cut.duration,
        "fields": {**(getattr(cut, "custom", None) or {}), LANGUAGE: field_of(cut, LANGUAGE)},
    }
    if file is None or not Path(file).exists():  # a mixture, or sound inside a shard
        return ReferenceUtterance(cut.id, text, cut=cut, **more)
    if is_whole(cut):
        return ReferenceUtterance(cut.id, text, file, **more)
    return ReferenceUtterance(cut.id, text, file, cut.start, cut.duration, **more)


class SoundReader:
    """Reads the audio of utterances; keeps the last file, as the next is often a part of it."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._path: str | None = None
        self._audio: Audio | None = None

    def sound(self, utterance: ReferenceUtterance) -> Path | Audio:
        """A file to read, or samples at `rate`.

        Raises:
            AudioError: a part cannot be read, or lies beyond the end of its file.
        """
        if utterance.cut is not None:
            return Audio(cut_samples(utterance.cut, self.rate), self.rate)
        assert utterance.audio is not None
        if utterance.seconds is None:
            return Path(utterance.audio)
        return self.part(utterance.audio, utterance.start, utterance.seconds)

    def part(self, path: str, start: float, seconds: float) -> Audio:
        """`seconds` of a file from `start` on.

        Raises:
            AudioError: it cannot be read, or lies beyond the end of the file.
        """
        if self._path != path or self._audio is None:
            self._audio = load_audio(path, self.rate)
            self._path = path
        begin = round(start * self.rate)
        if begin >= len(self._audio.samples):
            raise AudioError(
                f"{path}: the manifest asks for {start:g} s and on, "
                f"the audio ends at {self._audio.duration:g} s; correct the manifest"
            )
        samples = self._audio.samples[begin : begin + round(seconds * self.rate)]
        return Audio(samples, self.rate)


def each_sound(
    utterances: list[ReferenceUtterance], rate: int
) -> Iterator[tuple[ReferenceUtterance, Path | Audio | AudioError]]:
    """The sound of each utterance in turn, or why there is none."""
    reader = SoundReader(rate)
    for utterance in utterances:
        try:
            yield utterance, reader.sound(utterance)
        except AudioError as error:
            yield utterance, error
