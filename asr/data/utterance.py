"""One line of a corpus, whatever form it came in, and the Lhotse cut made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import AudioError, ManifestError

if TYPE_CHECKING:
    from lhotse.cut import MonoCut

#: Fields of a manifest line that mean something here; others are kept in the cut's `custom`.
FIELDS = ("audio_filepath", "duration", "text", "speaker", "id", "offset", "language", "channel")
#: What other toolkits and corpora call them.
USUAL_NAMES = {
    "audio_filepath": ("audio", "audio_path", "path", "file", "file_name", "filename", "wav"),
    "text": ("sentence", "transcript", "transcription", "transcripts", "target"),
}
#: Written into recordings whose header nobody has read yet: a sampling rate, and seconds.
NOMINAL_RATE, NOMINAL_SECONDS = 16000, 1e-3


@dataclass(frozen=True, slots=True)
class Utterance:
    """An utterance: where its sound is, and what is said.

    `where` names file and line for messages. `duration` is None where the file cannot be read:
    who opens it says why. `offset` is None when the utterance is the whole file;
    `total` is the length of the file in seconds where an utterance is only a part of it.
    """

    id: str
    audio: str
    duration: float | None
    text: str
    where: str
    speaker: str | None = None
    language: str | None = None
    offset: float | None = None
    total: float | None = None
    custom: Mapping[str, Any] = field(default_factory=dict)

    def cut(self) -> MonoCut:
        """This utterance as a Lhotse cut with one recording and one supervision."""
        from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment

        start, seconds = self.offset or 0.0, self.duration or NOMINAL_SECONDS
        total = self.total or start + seconds
        recording = Recording(
            id=self.id if self.offset is None else self.audio,
            sources=[AudioSource("file", [0], self.audio)],
            sampling_rate=NOMINAL_RATE,
            num_samples=round(total * NOMINAL_RATE),
            duration=total,
        )
        supervision = SupervisionSegment(
            id=self.id,
            recording_id=recording.id,
            start=0.0,
            duration=seconds,
            channel=0,
            text=self.text,
            speaker=self.speaker,
            language=self.language,
        )
        return MonoCut(
            id=self.id,
            start=start,
            duration=seconds,
            channel=0,
            recording=recording,
            supervisions=[supervision],
            custom=dict(self.custom) or None,
        )


def utterance_of(
    values: Mapping[str, Any],
    folder: Path,
    where: str,
    length: float | AudioError | None = None,
) -> Utterance:
    """Checks the fields of one line (of JSON, or of a table) and makes an entry of them.

    Args:
        values: the line. Required: `audio_filepath` (str, relative to `folder`), `text` (str, may
            be empty). Optional: `duration` (seconds, above 0), `speaker`, `id`, `language` (str),
            `offset` (seconds: the utterance is that part of the file), `channel` (0 only).
        where: file and line, for messages.
        length: of the file in seconds, or why it has none, where somebody has looked; an utterance
            without duration goes on to its end.

    Raises:
        ManifestError: a field is missing or has the wrong type.
    """
    audio = _text_field(values, "audio_filepath", where)
    if not audio:
        raise ManifestError(f"{where}: field 'audio_filepath' is empty; name the audio file")
    if "\0" in audio:
        raise ManifestError(f"{where}: field 'audio_filepath' holds a zero byte; correct the line")
    offset = _seconds_field(values, "offset", where) if values.get("offset") is not None else None
    if offset is not None and offset < 0:
        raise ManifestError(f"{where}: field 'offset' must not be negative, it is {offset}")
    duration = _duration(values, offset, length, where)
    name = field_text(values, "id", where) or _name_of(audio, offset)
    return Utterance(
        id=name,
        audio=str(folder / audio),
        duration=duration,
        text=_text_field(values, "text", where),
        where=where,
        speaker=field_text(values, "speaker", where),
        language=field_text(values, "language", where),
        offset=offset,
        custom={key: value for key, value in values.items() if key not in FIELDS},
    )


def text_of(cut: Any) -> str:
    """What is said in a cut: the texts of its supervisions in order, "" where nobody speaks."""
    texts = (part.text for part in sorted(cut.supervisions, key=lambda part: part.start))
    return " ".join(text.strip() for text in texts if text and text.strip())


def field_of(cut: Any, name: str) -> str | None:
    """The value of a field of the manifest other than those of `FIELDS`, or the language.

    None where the utterance has none.

    Raises:
        ManifestError: it is neither text nor a whole number.
    """
    if name == "language":
        return next((part.language for part in cut.supervisions if part.language), None)
    return field_text(getattr(cut, "custom", None) or {}, name, f"utterance '{cut.id}'")


def field_text(values: Mapping[str, Any], name: str, where: str) -> str | None:
    """The value of a field as text; None where it is missing, null or empty.

    Args:
        where: file and line, or the utterance, for messages.

    Raises:
        ManifestError: it is neither text nor a whole number.
    """
    value = values.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ManifestError(f"{where}: field '{name}' must be text, it is {_kind(value)}")
    return str(value)


def _name_of(audio: str, offset: float | None) -> str:
    stem = audio[: -len(suffix)] if (suffix := Path(audio).suffix) else audio
    return stem if offset is None else f"{stem}-{round(offset * 1000)}"


def _duration(
    values: Mapping[str, Any], offset: float | None, length: float | AudioError | None, where: str
) -> float | None:
    if values.get("duration") is None and length is not None:
        if isinstance(length, AudioError) or length <= 0:
            return None
        if (left := length - (offset or 0.0)) <= 0:
            raise ManifestError(
                f"{where}: field 'offset' is {offset:g}, and the file ends at {length:g} s"
            )
        return left
    duration = _seconds_field(values, "duration", where)
    if duration <= 0:
        raise ManifestError(f"{where}: field 'duration' must be above 0 seconds, it is {duration}")
    return duration


def _text_field(values: Mapping[str, Any], name: str, where: str) -> str:
    if name not in values:
        other = other_name(values, name)
        todo = f"; rename '{other}' to '{name}', or map it: columns" if other is not None else ""
        raise ManifestError(f"{where}: field '{name}' is missing{todo}")
    value = values[name]
    if not isinstance(value, str):
        raise ManifestError(f"{where}: field '{name}' must be text, it is {_kind(value)}")
    return value


def other_name(names: Iterable[str], field: str) -> str | None:
    """The one of `names` that looks like `field`, by what it is usually called."""
    there = set(names)
    return next((alias for alias in USUAL_NAMES[field] if alias in there), None)


def _seconds_field(values: Mapping[str, Any], name: str, where: str) -> float:
    if name not in values:
        raise ManifestError(f"{where}: field '{name}' is missing")
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ManifestError(
            f"{where}: field '{name}' must be a number of seconds, it is {_kind(value)}"
        )
    seconds = float(value)
    if not 0 <= seconds < 1e9:  # false for NaN too
        raise ManifestError(f"{where}: field '{name}' is {value}, not a number of seconds")
    return seconds


def _kind(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
