"""Prompt fields of a call: the start sequence, and texts that differ by style."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr.errors import ConfigError, ModelError
from asr.evaluate.corpus import read_utterances
from asr.evaluate.evaluation import evaluate
from asr.text import NormalizerConfig
from asr.text.characters import CharacterTokenizer
from asr.text.prompts import PromptedTokenizer
from asr.transcribe.language import LanguageSetting
from asr.transcribe.options import TranscribeOptions
from asr.transcribe.recognizer import Recognizer, load_model
from tests.conftest import RATE
from tests.prompted import save_prompted_model

VALUES = {"language": ("en", "fr"), "style": ("plain", "punctuated")}
#: Ids: blank, unknown, end, then the letters and the space, then the fields.
END, A, CAPITAL, SPACE, EN, FR, PLAIN, PUNCTUATED = range(2, 10)
TOKENIZER = PromptedTokenizer(CharacterTokenizer("aA "), VALUES, {"style": "punctuated"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights and two fields."""
    path = tmp_path_factory.mktemp("models") / "prompted"
    normalizer = NormalizerConfig(lowercase=False, punctuation=False)
    return save_prompted_model(path, TOKENIZER, 3, normalizer)


@pytest.fixture(scope="module")
def recognizer(folder: Path) -> Recognizer:
    return load_model(folder, "cpu")


def start_of(recognizer: Recognizer, **values: Any) -> tuple[int, ...]:
    return LanguageSetting.of(recognizer.loaded, TranscribeOptions(**values)).labels.start


def test_the_start_that_was_asked_for(recognizer: Recognizer) -> None:
    assert start_of(recognizer, language="fr", fields={"style": "plain"}) == (END, FR, PLAIN)
    assert start_of(recognizer, language="en") == (END, EN, PUNCTUATED)
    setting = LanguageSetting.of(recognizer.loaded, TranscribeOptions(fields={"style": "plain"}))
    assert setting.detects
    assert setting.labels_of("fr").start == (END, FR, PLAIN)


def test_texts_follow_the_prompt(recognizer: Recognizer, sound: np.ndarray) -> None:
    """One model and one recording: the text is that of its start, and the language is known."""
    sound = sound[:RATE]
    texts = set()
    for language in ("en", "fr"):
        for style in ("plain", "punctuated"):
            options = {"language": language, "fields": {"style": style}}
            found = recognizer.transcribe(sound, RATE, **options)  # type: ignore[arg-type]
            assert {segment.language for segment in found.segments} == {language}
            texts.add(found.text)
    assert len(texts) > 1
    detected = recognizer.transcribe(sound, RATE)
    [language] = {segment.language for segment in detected.segments}
    named = recognizer.transcribe(sound, RATE, language=language, fields={"style": "punctuated"})
    assert named.segments == detected.segments


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fields": {"style": "x"}}, "^model 'prompted': no style 'x'; there are: plain, punct"),
        ({"fields": {"mood": "x"}}, "^model 'prompted': no field 'mood'; the fields are: lang"),
        ({"language": "de"}, "^model 'prompted': no language 'de'; the nearest codes are en$"),
        ({"task": "translate"}, "^model 'prompted' .* cannot translate"),
    ],
)
def test_what_the_model_does_not_know(
    recognizer: Recognizer, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        recognizer.transcribe_many([], **values)


def test_models_without_fields(tiny_model: Path) -> None:
    tiny = load_model(tiny_model, "cpu")
    with pytest.raises(ModelError, match=r"^model 'tiny' was trained without prompt fields, .*'st"):
        tiny.transcribe_many([], fields={"style": "plain"})
    with pytest.raises(
        ModelError, match=r"without prompt fields, and cannot use those of the manifest"
    ):
        evaluate(tiny, [], manifest_fields=True)


def test_the_language_is_no_field_of_a_call() -> None:
    with pytest.raises(ConfigError, match="an option of its own: language"):
        TranscribeOptions(fields={"language": "fr"})
    options = TranscribeOptions(fields={"style": "plain"}, language="fr")
    assert TranscribeOptions.of(**options.model_dump(exclude_none=True)) == options
    assert len({options, TranscribeOptions.of(options), TranscribeOptions()}) == 2


def test_evaluation_with_the_fields_of_the_manifest(
    recognizer: Recognizer, sound: np.ndarray, tmp_path: Path
) -> None:
    """Each utterance is decoded as its line says; what the call says stands over that."""
    soundfile.write(tmp_path / "a.wav", sound[:RATE], RATE, subtype="FLOAT")
    fields = [
        {"language": "fr", "style": "plain"},
        {"language": "en"},
        {"language": "fr", "style": "plain"},
        {"style": "punctuated"},
    ]
    lines = [
        {"id": str(n), "audio_filepath": "a.wav", "duration": 1.0, "text": "a", **values}
        for n, values in enumerate(fields)
    ]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    utterances = read_utterances(manifest)
    found = evaluate(recognizer, utterances, manifest_fields=True).scored
    assert [one.id for one in found] == ["0", "1", "2", "3"]

    def hypotheses(**values: Any) -> list[str]:
        return [one.hypothesis for one in evaluate(recognizer, utterances, **values).scored]

    french = hypotheses(language="fr", fields={"style": "plain"})
    english = hypotheses(language="en", fields={"style": "punctuated"})
    detected = hypotheses(fields={"style": "punctuated"})
    assert [one.hypothesis for one in found] == [french[0], english[1], french[2], detected[3]]
    assert len({french[0], english[0]}) == 2
    over = hypotheses(manifest_fields=True, language="en", fields={"style": "punctuated"})
    assert over == english
