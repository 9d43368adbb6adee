"""A Whisper model is adapted through the command line, in the language that is spoken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from asr.cli.main import program
from asr.errors import ConfigError, TrainingError
from asr.folders import foreign_kind
from asr.model.folder import load_model_folder, read_folder_config
from asr.text import load_tokenizer
from asr.text.whisper import WhisperTokenizer
from asr.train.adapt.base import base_folder
from asr.train.adapt.hyperparameters import LORA_LR, Amount, whisper_lr, whisper_settings
from asr.train.adapt.plan import plan
from asr.train.adapt.request import Request
from asr.train.recipe import load_recipe
from tests.model.whisper.test_folder import write_folder
from tests.text.test_whisper import FR, NO_STAMPS, START, TRANSCRIBE
from tests.train.whisper import ORIGIN, write_model, write_sounds


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("whisper") / "small", "en")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sounds(tmp_path_factory.mktemp("sounds") / "new").parent


def finetune(*words: object) -> Result:
    result = CliRunner().invoke(program, ["finetune", *map(str, words)])
    assert "Traceback" not in result.stderr
    return result


def test_two_epochs(multilingual: Path, sounds: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    quick = ["training.max_steps=null", "training.epochs=2", "log.tensorboard=false"]
    done = finetune(sounds, "-o", folder, "-m", multilingual, "--language", "fr", "--lora", *quick)
    assert done.exit_code == 0, done.output
    assert "2 epochs of up to" in done.stderr
    assert "new domain: word error rate" in done.stderr
    config = read_folder_config(folder / "model")
    assert config.model == read_folder_config(multilingual).model
    assert config.origin == ORIGIN
    assert config.search == {"beam": 2, "ctc_weight": 0.0}
    labels = load_tokenizer(folder / "model")
    assert labels.labels.start == (START, FR, TRANSCRIBE, NO_STAMPS)
    assert load_model_folder(folder / "model").model.ctc is None
    recipe = load_recipe(folder / "training" / "recipe.yaml")
    assert (recipe.loss.ctc_weight, recipe.loss.label_smoothing) == (0, 0)
    assert recipe.optimizer.lr == LORA_LR
    card = (folder / "model" / "README.md").read_text()
    assert "asr finetune new training.max_steps=null training.epochs=2" in card
    assert "--language fr --lora" in card
    assert "started from:\n\nopenai/whisper-small" in card
    assert "Copyright (c) 2022 OpenAI" in card


def test_a_language_must_be_known(multilingual: Path, sounds: Path, tmp_path: Path) -> None:
    refused = finetune(sounds, "-o", tmp_path / "run", "-m", multilingual)
    assert refused.exit_code == 1
    assert "nothing says which one 12 utterances are in (new-0)" in refused.stderr
    assert "--language CODE" in refused.stderr
    unknown = finetune(sounds, "-o", tmp_path / "run", "-m", multilingual, "--language", "French")
    assert unknown.exit_code == 2
    assert "no language 'French'" in unknown.stderr
    odd = write_sounds(tmp_path / "odd", language="xx")
    wrong = finetune(odd, "-o", tmp_path / "run", "-m", multilingual)
    assert wrong.exit_code == 1
    assert "utterance 'odd-0': the model has no language 'xx'; " in wrong.stderr
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_the_manifest_says_the_language(multilingual: Path, tmp_path: Path) -> None:
    new = write_sounds(tmp_path / "new", language="fr")
    chosen = plan(Request(multilingual, new, tmp_path / "run"))
    assert chosen.language == "fr"
    assert isinstance(chosen.recipe.tokenizer, Path)
    labels = load_tokenizer(chosen.recipe.tokenizer)
    assert isinstance(labels, WhisperTokenizer)
    assert labels.language == "fr"
    lines = [json.loads(line) for line in new.read_text().splitlines()]
    lines[0]["language"] = "en"
    new.write_text("".join(json.dumps(line) + "\n" for line in lines))
    mixed = plan(Request(multilingual, new, tmp_path / "mixed"))
    assert mixed.language == "fr"  # the most frequent
    asked = plan(Request(multilingual, new, tmp_path / "asked", language="en"))
    assert asked.language == "en"
    nameless = write_sounds(tmp_path / "old")
    with pytest.raises(TrainingError, match=r"old/manifest\.jsonl: .* field 'language'"):
        plan(Request(multilingual, new, tmp_path / "kept", keep=nameless))


def test_a_model_of_one_language(sounds: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "small")
    assert plan(Request(model, sounds, tmp_path / "run")).language is None
    with pytest.raises(ConfigError, match="--language fr: the model has no choice of languages"):
        plan(Request(model, sounds, tmp_path / "run", language="fr"))
    with pytest.raises(ConfigError, match=r"--tokenizer new: .* can write every text"):
        plan(Request(model, sounds, tmp_path / "run", tokenizer="new"))


def test_capitals_only_are_trained_in_small_letters(
    multilingual: Path, sounds: Path, tmp_path: Path
) -> None:
    lines = (sounds / "manifest.jsonl").read_text().splitlines()
    entries = [json.loads(line) | {"text": "IT RAINS", "language": "en"} for line in lines]
    shouted = sounds / "capitals.jsonl"
    shouted.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    chosen = plan(Request(multilingual, shouted, tmp_path / "run"))
    assert chosen.recipe.normalizer.lowercase
    assert any("texts are in capitals only" in note for note in chosen.notes)
    asked = Request(multilingual, shouted, tmp_path / "kept", overrides=["normalizer.lowercase=1"])
    assert not any("capitals only" in note for note in plan(asked).notes)


def test_models_in_other_formats_become_model_folders(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "theirs", "hugging face")
    folder = base_folder(source, tmp_path / "run", "auto")
    assert folder == tmp_path / "run" / "base"
    assert foreign_kind(folder) is None
    assert load_model_folder(folder).config.name == "theirs"
    assert base_folder(folder, tmp_path / "other", "auto") == folder
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "run" / "checkpoints" / "last.ckpt").touch()
    (folder / "mark").touch()
    assert (base_folder(source, tmp_path / "run", "auto") / "mark").exists()  # it goes on
    assert not (base_folder(source, tmp_path / "run", "never") / "mark").exists()


def test_several_processes_do_not_write_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_folder(tmp_path / "theirs", "hugging face")
    monkeypatch.setattr("asr.train.adapt.base.launched_by", lambda: ("torchrun", 1, 2))
    with pytest.raises(TrainingError, match=r"torchrun has started .*: run 'asr import .*theirs"):
        base_folder(source, tmp_path / "run", "auto")
    assert base_folder(tmp_path, tmp_path / "run", "auto") == tmp_path  # nothing is to be written


def test_a_recipe_starts_from_another_format(sounds: Path, tmp_path: Path) -> None:
    """As far as the texts, which are too long for this model."""
    source = write_folder(tmp_path / "theirs", "hugging face")
    recipe = tmp_path / "sounds.yaml"
    recipe.write_text(
        f"{{data: {{train: {sounds}, workers: 0}}, loss: {{ctc_weight: 0}}, "
        "training: {max_steps: 1}, output: elsewhere}"
    )
    done = CliRunner().invoke(program, ["train", str(recipe), "--init", str(source)])
    assert done.exit_code == 1
    assert "more labels than the 2 that the decoder takes" in done.stderr
    assert load_model_folder(tmp_path / "elsewhere" / "base").config.name == "theirs"


class TestSettings:
    def test_the_learning_rate_falls_with_the_size(self) -> None:
        assert [whisper_lr(dim) for dim in (384, 512, 768)] == [3.75e-5, 2.5e-5, 1.25e-5]
        assert whisper_lr(32) == whisper_lr(384)
        assert whisper_lr(1280) < whisper_lr(1024) < whisper_lr(768)

    def test_utterances_fit_the_encoder_at_the_slowest_speed(self) -> None:
        data = whisper_settings(Amount(10, 300.0, 30.0), False, 1e-5)["data"]
        assert data["max_seconds"] / min(data["augment"]["speed"]["factors"]) <= 30
        assert data["batch_seconds"] >= data["max_seconds"] / 0.95

    def test_warm_up_follows_from_the_steps(self) -> None:
        values = whisper_settings(Amount(100, 300.0, 5.0), False, 1e-5, steps=20)
        assert values["training"]["max_steps"] == 20
        assert values["schedule"]["warmup_steps"] == 5

    def test_hours_are_heard_once_at_least(self) -> None:
        values = whisper_settings(Amount(36000, 36000 * 5.0, 15.0), False, 1e-5)
        assert values["training"]["max_steps"] * 16 >= 36000
