"""Start sequences of utterances from the fields of their manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from asr.config import parse
from asr.data.batches import Item
from asr.data.config import DataConfig
from asr.data.loader import training_batches, validation_batches
from asr.data.manifest import read_manifest
from asr.data.prompts import NO_TARGET, PromptStarts, field_values
from asr.errors import ConfigError, ManifestError
from asr.text.characters import CharacterTokenizer
from asr.text.prompts import PromptedTokenizer
from tests.data.sound import lines, write
from tests.text import test_whisper as whisper

VALUES = {"language": ("en", "fr"), "style": ("plain", "punctuated")}
#: Behind blank, unknown, end, "a" and "b".
END, EN, FR, PLAIN, PUNCTUATED = 2, 5, 6, 7, 8
TOKENIZER = PromptedTokenizer(CharacterTokenizer("ab"), VALUES, {"style": "plain"})


def manifest_of(folder: Path, fields: list[dict[str, Any]]) -> Path:
    """A manifest of tones, one for each of `fields`, longer and longer."""
    entries = []
    for number, values in enumerate(fields):
        audio = write(folder / "audio" / f"u{number}.wav", 0.4 + number / 10)
        audio_filepath = f"audio/{audio.name}"
        duration = 0.4 + number / 10
        entry = {"audio_filepath": audio_filepath, "duration": duration, "text": "ab"[: number % 3]}
        entries.append({"id": f"u{number}", **entry, **values})
    return lines(folder / "manifest.jsonl", entries)


def items_of(path: Path) -> list[Item]:
    return [Item(cut.id, cut.duration, (cut,)) for cut in read_manifest(path)]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    return manifest_of(
        tmp_path,
        [
            {"language": "fr", "style": "punctuated"},
            {"language": "en"},
            {"language": "fr", "style": "plain", "mood": "x"},
        ],
    )


def test_starts_and_targets_of_rows(mixed: Path) -> None:
    """The language is to be predicted behind what is fed before it; padding has no target."""
    starts = PromptStarts.of(TOKENIZER)
    assert starts is not None
    fed, targets = starts(items_of(mixed), 4)
    assert fed.tolist() == [
        [END, FR, PUNCTUATED],
        [END, EN, PLAIN],
        [END, FR, PLAIN],
        list(TOKENIZER.labels.start),
    ]
    none = NO_TARGET
    assert targets.tolist() == [[FR, none], [EN, none], [FR, none], [none, none]]


def test_fields_without_a_language_have_no_target(mixed: Path) -> None:
    tokenizer = PromptedTokenizer(
        CharacterTokenizer("ab"), {"style": VALUES["style"]}, {"style": "plain"}
    )
    starts = PromptStarts.of(tokenizer)
    assert starts is not None
    fed, targets = starts(items_of(mixed), 3)
    assert fed.tolist() == [[END, 6], [END, 5], [END, 5]]
    assert (targets == NO_TARGET).all()


def test_batches_carry_the_starts_of_their_utterances(mixed: Path) -> None:
    config = parse(DataConfig, {"batch_seconds": 9, "max_seconds": 4, "workers": 0}, "test")
    cuts = read_manifest(mixed)
    starts = PromptStarts.of(TOKENIZER)
    assert starts is not None
    wanted = {item.id: starts([item], 1)[0][0].tolist() for item in items_of(mixed)}
    loader, _ = training_batches(cuts, config, TOKENIZER)
    for batches in (loader, validation_batches(cuts, config, TOKENIZER)):
        found = {}
        for batch in batches:
            assert batch.starts is not None
            assert batch.start_targets is not None
            assert len(batch.starts) == len(batch.start_targets) == len(batch.samples)
            found |= dict(zip(batch.ids, batch.starts.tolist(), strict=False))
        assert found == wanted
    plain, _ = training_batches(cuts, config, CharacterTokenizer("ab"))
    assert all(batch.starts is None and batch.start_targets is None for batch in plain)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"style": "plain"}, r"^utterance 'u0': no value for the field 'language'; .*: en, fr;"),
        ({"language": "de"}, r"^utterance 'u0': no language 'de'; .* are (en, fr|.*en); correct"),
        ({"language": "fr", "style": "x"}, r"no style 'x'; there are: plain, punctuated; correct"),
        ({"language": "fr", "style": 1.5}, r"^utterance 'u0': field 'style' must be text"),
    ],
)
def test_wrong_values(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    starts = PromptStarts.of(TOKENIZER)
    assert starts is not None
    with pytest.raises(ManifestError, match=message):
        starts(items_of(manifest_of(tmp_path, [fields])), 1)


def test_joined_utterances_must_start_alike(mixed: Path) -> None:
    starts = PromptStarts.of(TOKENIZER)
    assert starts is not None
    one, two, three = (item.cuts[0] for item in items_of(mixed))
    with pytest.raises(ManifestError, match=r"u0\+u1: joined utterances have different values"):
        starts([Item("u0+u1", 1.0, (one, two))], 1)
    fed, _ = starts([Item("u2+u2", 1.0, (three, three)), Item("silence", 1.0, ())], 2)
    assert fed.tolist() == [[END, FR, PLAIN], list(TOKENIZER.labels.start)]


def test_the_language_of_a_manifest_serves_whisper(mixed: Path, tmp_path: Path) -> None:
    """Its fields are language and task; without a language the start is the usual one."""
    starts = PromptStarts.of(whisper.tokenizer("en"))
    assert starts is not None
    fed, targets = starts(items_of(mixed), 3)
    end = whisper.TRANSCRIBE, whisper.NO_STAMPS
    assert fed.tolist() == [
        [whisper.START, whisper.FR, *end],
        [whisper.START, whisper.EN, *end],
        [whisper.START, whisper.FR, *end],
    ]
    none = NO_TARGET
    assert targets[:2].tolist() == [[whisper.FR, none, none], [whisper.EN, none, none]]
    fed, targets = starts(items_of(manifest_of(tmp_path / "other", [{}])), 1)
    assert fed.tolist() == [list(whisper.tokenizer("en").labels.start)]
    assert (targets == none).all()
    assert PromptStarts.of(whisper.tokenizer()) is None  # English only


def test_values_in_a_corpus(mixed: Path) -> None:
    assert field_values(read_manifest(mixed), ("language", "style", "none")) == {
        "language": {"en", "fr"},
        "style": {"plain", "punctuated"},
        "none": set(),
    }
    with pytest.raises(ConfigError, match=r"^prompts\.fields: 'speaker' has a meaning of its own"):
        field_values(read_manifest(mixed), ("language", "speaker"))


def test_lhotse_keeps_the_fields(mixed: Path, tmp_path: Path) -> None:
    """Cuts that were written and read again name the same starts."""
    cuts = read_manifest(mixed)
    cuts.to_file(tmp_path / "cuts.jsonl")
    starts = PromptStarts.of(TOKENIZER)
    assert starts is not None
    fed, _ = starts(items_of(tmp_path / "cuts.jsonl"), 3)
    assert torch.equal(fed, starts(items_of(mixed), 3)[0])
