"""A training run whose utterances have different start sequences, from recipe to transcript."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from asr.cli.main import program
from asr.errors import ConfigError, ManifestError, ModelError
from asr.text import load_tokenizer
from asr.text.characters import CharacterTokenizer
from asr.text.prompts import PromptedTokenizer
from asr.train.adapt.new_labels import new_labels
from asr.train.recipe import Recipe
from asr.train.run import train
from asr.transcribe.recognizer import load_model
from tests.train.conftest import write_corpus

PROMPTS = "prompts={fields: [language, style], defaults: {style: plain}}"
FEW = ("training.max_steps=3", "validation.decode=4", "spec_augment=null")


def styled(manifest: Path, **fields: tuple[str, ...]) -> Path:
    """The manifest with fields whose values alternate."""
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for number, line in enumerate(lines):
        line |= {name: values[number % len(values)] for name, values in fields.items()}
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return manifest


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    corpus = write_corpus(tmp_path / "corpus", 8, seed=3)
    return styled(corpus, language=("fr", "en"), style=("plain", "plain", "punctuated"))


def test_from_a_recipe_to_transcripts(
    recipe: Callable[..., Recipe], manifest: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    where = f"data.train={manifest}", f"data.dev={manifest}", "data.leakage=allow"
    train(recipe(*where, PROMPTS, *FEW), run)
    tokenizer = load_tokenizer(run / "model")
    assert tokenizer.prompt_fields is not None
    assert {name: list(some) for name, some in tokenizer.prompt_fields.labels.items()} == {
        "language": ["en", "fr"],
        "style": ["plain", "punctuated"],
    }
    recognizer = load_model(run / "model", "cpu")
    sound = manifest.parent / "0.wav"
    with pytest.raises(ModelError, match="no style 'fancy'; there are: plain, punctuated"):
        recognizer.transcribe(sound, language="fr", fields={"style": "fancy"})
    recognizer.transcribe(sound, fields={"style": "punctuated"})
    # the labels that were trained on, and go on to be
    again = recipe(*where, *FEW, f"tokenizer={run / 'model'}")
    train(again, tmp_path / "again")
    assert load_tokenizer(tmp_path / "again" / "model").prompt_fields == tokenizer.prompt_fields
    with pytest.raises(ConfigError, match=r"^prompts: this tokenizer has prompt fields already"):
        train(recipe(*where, *FEW, PROMPTS, f"tokenizer={run / 'model'}"), tmp_path / "twice")


def test_what_cannot_be_trained_on_is_said_first(
    recipe: Callable[..., Recipe], manifest: Path, tmp_path: Path
) -> None:
    def run(train_on: Path, dev: Path, prompts: str = PROMPTS) -> None:
        where = f"data.train={train_on}", f"data.dev={dev}", "data.leakage=allow"
        train(recipe(*where, prompts, *FEW), tmp_path / "run")

    unlike = styled(write_corpus(tmp_path / "unlike", 4, seed=4), language=("de", "en"))
    with pytest.raises(ManifestError, match=r"'unlike-0': no language 'de'; .*correct or add"):
        run(manifest, unlike)
    without = write_corpus(tmp_path / "without", 4, seed=5)
    with pytest.raises(ConfigError, match=r"no utterance .* has the field 'language'"):
        run(without, without)
    both = f"[{manifest}, {without}]"
    with pytest.raises(ManifestError, match=r"'without-0': no value for the field 'language'"):
        train(
            recipe(f"data.train={both}", f"data.dev={manifest}", "data.leakage=allow", PROMPTS),
            tmp_path / "missing",
        )
    with pytest.raises(ConfigError, match=r"prompts does not go with data\.concatenate_seconds"):
        recipe(PROMPTS, "data.concatenate_seconds=4")
    with pytest.raises(ConfigError, match="prompts needs a decoder"):
        recipe(PROMPTS, "model.decoder=null", "loss.ctc_weight=1")


def test_keys_are_listed() -> None:
    result = CliRunner().invoke(program, ["train", "--keys"])
    assert "prompts.fields" in result.output


def test_new_labels_keep_the_fields(tmp_path: Path) -> None:
    """Those of an adapted model whose own cannot write the texts."""
    values = {"language": ("en", "fr")}
    theirs = PromptedTokenizer(CharacterTokenizer("ab"), values)
    made = new_labels(theirs, ["abc"], tmp_path)
    assert (made.size, made.encode("c")) == (8, [5])
    loaded = load_tokenizer(tmp_path)
    assert loaded.prompt_fields is not None
    assert loaded.prompt_fields.labels == {"language": {"en": 6, "fr": 7}}
