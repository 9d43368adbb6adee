"""Labels of prompt fields: which start sequences there are, and how they are stored."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from asr.errors import ConfigError, ModelError
from asr.text import PromptConfig, PromptFields, TokenizerConfig, load_tokenizer, train_tokenizer
from asr.text.characters import CharacterTokenizer
from asr.text.prompts import MOST_VALUES, PROMPT_FILE, PromptedTokenizer, with_prompts

VALUES = {"language": ("en", "fr"), "style": ("plain", "punctuated")}
#: Ids of `prompted()`: blank, unknown, end, "a", "b", then the fields.
EN, FR, PLAIN, PUNCTUATED = 5, 6, 7, 8
WHISPER = PromptFields(
    {"language": {"en": 5, "fr": 6}, "task": {"transcribe": 3}},
    (1, 2),
    (4,),
    {"task": "transcribe"},
)


def prompted() -> PromptedTokenizer:
    return PromptedTokenizer(CharacterTokenizer("ab"), VALUES, {"style": "plain"})


def test_the_start_in_the_order_of_the_fields() -> None:
    assert WHISPER.start({"language": "fr"}) == (1, 2, 6, 3, 4)
    fields = prompted().prompt_fields
    assert fields.start({"style": "punctuated", "language": "fr"}) == (2, FR, PUNCTUATED)
    assert fields.start({"language": "en"}) == (2, EN, PLAIN)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"language": "fx"}, r"^no language 'fx'; the nearest codes are fr$"),
        ({"language": "fr", "task": "sing"}, r"^no task 'sing'; there are: transcribe$"),
        ({"task": "transcribe"}, r"^no value for the field 'language'; there are: en, fr$"),
        ({"language": "fr", "mood": "x"}, r"^no field 'mood'; the fields are: language, task$"),
    ],
)
def test_unknown_fields_and_values(values: dict[str, str], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        WHISPER.start(values)


def test_labels_of_fields_come_last_and_are_no_text() -> None:
    tokenizer = prompted()
    assert tokenizer.size == 9
    assert [tokenizer.piece(label) for label in range(3, 9)] == [
        *("a", "b", "<|language:en|>", "<|language:fr|>"),
        *("<|style:plain|>", "<|style:punctuated|>"),
    ]
    assert tokenizer.labels.start == (2, EN, PLAIN)
    assert {EN, FR, PLAIN, PUNCTUATED} <= tokenizer.labels.forbidden
    assert tokenizer.encode("ab") == [3, 4]
    assert tokenizer.decode([2, FR, PLAIN, 3, 4, 2]) == "ab"
    assert tokenizer.unknown("ac") == {"c": 1}
    with pytest.raises(ModelError, match="label 9 is not one"):
        tokenizer.piece(9)


@pytest.mark.parametrize("kind", ["char", "unigram"])
def test_saved_and_loaded(kind: str, tmp_path: Path) -> None:
    config = TokenizerConfig(type=kind, size=9)  # type: ignore[arg-type]
    plain = train_tokenizer(["aab aba", "bab"], config, tmp_path)
    assert load_tokenizer(tmp_path).prompt_fields is None  # as in folders without fields
    saved = PromptedTokenizer(plain, VALUES, {"style": "plain"})
    assert saved.save(tmp_path).parent == tmp_path
    for loaded in (load_tokenizer(tmp_path), pickle.loads(pickle.dumps(saved))):
        assert loaded.prompt_fields == saved.prompt_fields
        assert loaded.labels == saved.labels
        assert loaded.size == plain.size + 4
        assert loaded.encode("aba") == plain.encode("aba")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        '{"type": "prompt_fields", "version": 2, "fields": {"a": ["b"]}, "defaults": {}}',
        '{"type": "prompt_fields", "version": 1, "fields": {"a": [1]}, "defaults": {}}',
        '{"type": "prompt_fields", "version": 1, "fields": {"a": []}, "defaults": {}}',
        '{"type": "prompt_fields", "version": 1, "fields": ["a"], "defaults": {}}',
        '{"type": "prompt_fields", "version": 1, "fields": {"a": ["b"]}, "defaults": {"a": "c"}}',
        '{"type": "prompt_fields", "version": 1, "fields": {"a": ["b"], "language": ["en"]}, '
        '"defaults": {}}',
    ],
)
def test_damaged_files(content: str, tmp_path: Path) -> None:
    CharacterTokenizer("ab").save(tmp_path)
    (tmp_path / PROMPT_FILE).write_text(content)
    with pytest.raises(ModelError, match=rf"{PROMPT_FILE}: no prompt fields, or damaged .*anew$"):
        load_tokenizer(tmp_path)


def test_values_of_a_corpus_become_labels() -> None:
    config = PromptConfig(fields=("language", "style"), defaults={"style": "punctuated"})
    values = {"language": {"fr", "en"}, "style": {"punctuated", "plain"}}
    tokenizer = with_prompts(CharacterTokenizer("ab"), config, values)
    assert tokenizer.values == VALUES
    assert tokenizer.prompt_fields.start({"language": "fr"}) == (2, FR, PUNCTUATED)


@pytest.mark.parametrize(
    ("values", "defaults", "message"),
    [
        (set(), {}, "no utterance of the training corpora has the field 'style'"),
        (set(map(str, range(MOST_VALUES + 1))), {}, f"'style' has {MOST_VALUES + 1} values"),
        ({"plain"}, {"style": "fancy"}, "the default 'fancy' is no value of it"),
    ],
)
def test_fields_that_are_no_choice(
    values: set[str], defaults: dict[str, str], message: str
) -> None:
    config = PromptConfig(fields=("style",), defaults=defaults)
    with pytest.raises(ConfigError, match=message):
        with_prompts(CharacterTokenizer("ab"), config, {"style": values})


def test_fields_are_not_added_twice() -> None:
    with pytest.raises(ConfigError, match="has prompt fields already"):
        with_prompts(prompted(), PromptConfig(fields=("style",)), {"style": {"a"}})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"defaults": {"mood": "x"}}, "'mood', which is not one of"),
        ({"fields": ["style", "style"]}, "a field is there twice"),
        ({"fields": ["style", "language"]}, "'language' must be the first field"),
        (
            {"fields": ["style"], "defaults": {"mood": "x"}},
            "'mood', which is not one of",
        ),
    ],
)
def test_keys_of_the_recipe(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PromptConfig.model_validate(values)
