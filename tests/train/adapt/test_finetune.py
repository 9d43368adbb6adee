"""Adapting a model, through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from asr.cli.main import program
from asr.config import parse
from asr.errors import ManifestError, TrainingError
from asr.evaluate.error_rate import Counts
from asr.lm.folder import LMFolderConfig, build_lm, load_lm_folder, save_lm_folder
from asr.lm.lstm import LSTMConfig
from asr.model.folder import CONFIG, load_model_folder, read_folder_config
from asr.text import TokenizerConfig, load_tokenizer, train_tokenizer
from asr.text.characters import CharacterTokenizer
from asr.train.adapt.finetune import _judge_lm, _unseen
from asr.train.adapt.hyperparameters import KEEP_SHARE, Amount, repeat_of, settings
from asr.train.adapt.measured import MeasuredCorpus
from asr.train.adapt.new_labels import new_labels
from asr.train.adapt.plan import plan
from asr.train.adapt.request import Request
from asr.train.module import SpeechTraining
from asr.train.recipe import Recipe, load_recipe
from asr.train.run import Start, train
from tests.train.conftest import RECIPE, write_corpus

QUICK = ("training.max_steps=6", "schedule.warmup_steps=1", "log.tensorboard=false")


def finetune(data: Path, folder: Path, model: Path, *more: object) -> Result:
    command = ["finetune", data, "-o", folder, "-m", model, *QUICK, *more]
    result = CliRunner().invoke(program, [str(one) for one in command])
    assert "Traceback" not in result.stderr
    return result


@pytest.fixture(scope="module")
def model(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model to adapt, with search defaults and a language model of its own."""
    folder = tmp_path_factory.mktemp("base")
    values = json.loads(json.dumps(RECIPE))
    values["data"]["train"] = str(corpus / "train" / "manifest.jsonl")
    values["chunks"] = {"full": 0.5, "smallest": 3}
    (folder / "r.yaml").write_text(json.dumps(values))
    outcome = train(load_recipe(folder / "r.yaml"), folder / "run")
    assert outcome.model is not None
    config = read_folder_config(outcome.model).model_dump(mode="json")
    config["search"] = {"beam": 2}
    (outcome.model / CONFIG).write_text(yaml.safe_dump(config))
    labels = load_tokenizer(outcome.model)
    size = LSTMConfig(layers=1, dim=8)
    described = LMFolderConfig(vocabulary=labels.size, lm=size)
    save_lm_folder(outcome.model / "lm", build_lm(size, labels.size), labels, described)
    return outcome.model


@pytest.fixture(scope="module")
def adapted(
    corpus: Path, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Result]:
    """The folder and the output of one adaptation to a folder of audio with texts beside it."""
    folder = tmp_path_factory.mktemp("adapted")
    new = folder / "recordings"
    manifest = write_corpus(new, 30, seed=11)
    for line in map(json.loads, manifest.read_text().splitlines()):
        (new / line["audio_filepath"]).with_suffix(".txt").write_text(line["text"])
    manifest.unlink()
    old = corpus / "dev" / "manifest.jsonl"
    result = finetune(new, folder / "run", model, "--old", old)
    assert result.exit_code == 0, result.output
    return folder / "run", result


def test_it_says_what_it_chose(adapted: tuple[Path, Result]) -> None:
    told = adapted[1].stderr
    held = len((adapted[0] / "data" / "dev.jsonl").read_text().splitlines())
    assert f"to {30 - held} utterances, 0." in told
    assert f"measured on {held} utterances" in told
    assert "(chosen at random)" in told
    assert "6 steps of up to 20 s of sound, learning rate up to 0.001" in told
    assert "tensors loaded" in told


def test_it_ends_with_a_table(adapted: tuple[Path, Result]) -> None:
    lines = adapted[1].stdout.splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert rows[0].split("|")[-3:] == [" WER before ", " WER after ", ""]
    assert [row.split("|")[1].strip() for row in rows[2:]] == [
        "new domain: dev.jsonl",
        "old domain: manifest.jsonl",
    ]
    assert all(row.count(" %") == 2 for row in rows[2:])
    assert lines[-1] == f"model: {adapted[0] / 'model'}"
    card = (adapted[0] / "model" / "README.md").read_text()
    assert "\n".join(rows) in card
    assert "asr finetune recordings training.max_steps=6" in card


def test_the_model_keeps_what_it_was(adapted: tuple[Path, Result], model: Path) -> None:
    """Labels, search defaults, its language model, and that it was trained for streams."""
    ours, theirs = load_model_folder(adapted[0] / "model"), load_model_folder(model)
    assert ours.config.search == {"beam": 2}
    assert load_lm_folder(adapted[0] / "model" / "lm").tokenizer.size == ours.tokenizer.size
    assert ours.config.model == theirs.config.model
    assert ours.tokenizer.size == theirs.tokenizer.size
    recipe = load_recipe(adapted[0] / "training" / "recipe.yaml")
    assert (recipe.chunks.full, recipe.chunks.smallest) == (0.5, 3)


@pytest.mark.parametrize(("wrong", "kept"), [(2, True), (3, False)])
def test_a_language_model_that_harms_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: int, kept: bool
) -> None:
    """Of a hundred words that were held out, none is wrong without it."""

    def measured(_: MeasuredCorpus, lm: bool | None, __: Any) -> SimpleNamespace:
        return SimpleNamespace(words=Counts(0 if lm is False else wrong, 0, 0, 100))

    monkeypatch.setattr("asr.train.adapt.finetune.load_model", lambda _, lm: lm)
    monkeypatch.setattr(MeasuredCorpus, "measure", measured)
    (tmp_path / "lm").mkdir()
    told: list[str] = []
    held_out = MeasuredCorpus("new domain", tmp_path, [])
    _judge_lm(tmp_path, Path("base"), held_out, _unseen, told.append)
    assert (tmp_path / "lm").exists() == kept
    rates = f"{wrong}.00 % of the words wrong with the language model, 0.00 % without: it is "
    end = "taken along" if kept else f"left out (--lm {Path('base') / 'lm'} takes it nevertheless)"
    assert told[-1] == rates + end


def test_the_recipe_repeats_it(adapted: tuple[Path, Result], model: Path, tmp_path: Path) -> None:
    recipe = load_recipe(adapted[0] / "training" / "recipe.yaml")
    outcome = train(recipe, tmp_path / "again", Start(init=model))
    assert outcome.model is not None
    ours, theirs = (load_model_folder(one).model for one in (outcome.model, adapted[0] / "model"))
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_calling_again_goes_on(adapted: tuple[Path, Result], model: Path, tmp_path: Path) -> None:
    shutil.copytree(adapted[0], tmp_path / "run")
    new = adapted[0].parent / "recordings"
    longer = finetune(new, tmp_path / "run", model, "training.max_steps=8")
    assert longer.exit_code == 0, longer.output
    assert "goes on after step 6" in longer.stderr
    assert "--init" not in longer.stderr  # which nobody gave
    (new / "extra.wav").write_bytes((new / "0.wav").read_bytes())
    (new / "extra.txt").write_text("ab")
    other = finetune(new, tmp_path / "run", model)
    (new / "extra.wav").unlink()
    assert other.exit_code == 1
    assert "begun with other recordings" in other.stderr


def test_an_interruption_leaves_a_model(
    corpus: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import signal

    finish = SpeechTraining.finish_step

    def interrupt(self: SpeechTraining) -> Any:
        if self.run.step == 1:
            signal.raise_signal(signal.SIGINT)
        return finish(self)

    monkeypatch.setattr(SpeechTraining, "finish_step", interrupt)
    result = finetune(corpus / "train", tmp_path / "run", model)
    assert result.exit_code == 130
    assert result.stdout == f"model: {tmp_path / 'run' / 'model'}\n"
    assert "the same command goes on from here" in result.stderr
    assert load_model_folder(tmp_path / "run" / "model").config.search == {"beam": 2}


def test_characters_that_cannot_be_written(model: Path, tmp_path: Path) -> None:
    """They are found before anything is trained; new labels take over the rows of the old ones."""
    new = write_corpus(tmp_path / "new", 12, seed=12, texts=["äb ö", "ba c"] * 6).parent
    refused = finetune(new, tmp_path / "run", model)
    assert refused.exit_code == 1
    assert "2 characters cannot be written by the tokenizer: 'ä' 6 times" in refused.stderr
    assert "--tokenizer new" in refused.stderr
    assert not (tmp_path / "run" / "checkpoints").exists()
    kept = plan(Request(model, new, tmp_path / "kept", tokenizer="keep"))
    assert not kept.other_labels
    done = finetune(new, tmp_path / "run", model, "--tokenizer", "new")
    assert done.exit_code == 0, done.output
    assert "labels: 9, of which 7 are the model's" in done.stderr
    assert "labels spelled the same: 7 of 9" in done.stderr
    assert not (tmp_path / "run" / "model" / "lm").exists()
    assert load_model_folder(tmp_path / "run" / "model").tokenizer.unknown("äö abc") == {}


def test_quite_other_labels_are_trained_alone_first(
    corpus: Path, model: Path, tmp_path: Path
) -> None:
    CharacterTokenizer([" ", *"abcmnopqrstuvw"]).save(tmp_path / "other")
    done = finetune(corpus / "train", tmp_path / "run", model, "--tokenizer", tmp_path / "other")
    assert done.exit_code == 0, done.output
    assert "trained alone first" in done.stderr
    theirs = load_model_folder(model).model.encoder.state_dict()
    first = load_model_folder(tmp_path / "run" / "labels" / "model").model.encoder.state_dict()
    last = load_model_folder(tmp_path / "run" / "model").model.encoder.state_dict()
    assert all(torch.equal(first[name], one) for name, one in theirs.items())
    assert not all(torch.equal(last[name], one) for name, one in theirs.items())


def test_rehearsal_and_a_dev_set(corpus: Path, model: Path, tmp_path: Path) -> None:
    keep, dev = (corpus / part / "manifest.jsonl" for part in ("train", "dev"))
    new = write_corpus(tmp_path / "new", 12, seed=12).parent
    chosen = plan(Request(model, new, tmp_path / "run", dev=dev, keep=keep))
    first, second = chosen.recipe.data.train
    place = tmp_path / "run" / "data"
    assert (first.manifest, second.manifest) == (str(new), str(place / "keep.jsonl"))
    assert chosen.dev == dev
    assert [one.name for one in place.iterdir()] == ["keep.jsonl"]
    kept_lines = (place / "keep.jsonl").read_text().splitlines()
    heard = [json.loads(line)["duration"] for line in kept_lines]
    added = [json.loads(x)["duration"] for x in (new / "manifest.jsonl").read_text().splitlines()]
    kept = second.repeat * sum(heard)
    assert kept / (kept + sum(added)) == pytest.approx(KEEP_SHARE, rel=0.01)


def test_columns_with_other_names_are_read_once(corpus: Path, model: Path, tmp_path: Path) -> None:
    """The run, and what measures it, read cuts that have our names."""
    rows = map(json.loads, (corpus / "dev" / "manifest.jsonl").read_text().splitlines())
    lines = [f"{row['audio_filepath']}\t{row['text']}" for row in rows]
    table = tmp_path / "validated.tsv"
    table.write_text("\n".join(["path\tsentence", *lines]) + "\n")
    columns = {"audio_filepath": f"{corpus}/dev/{{path}}", "text": "sentence"}
    chosen = plan(Request(model, table, tmp_path / "run", dev=table, columns=columns))
    (train_on,) = chosen.recipe.data.train
    assert (train_on.columns, Path(train_on.manifest).name) == ({}, "train.jsonl")
    assert chosen.dev is not None
    assert len(MeasuredCorpus.read("new", chosen.dev, ()).utterances) == len(lines)


def test_no_more_is_kept_than_is_heard(corpus: Path, model: Path, tmp_path: Path) -> None:
    keep = corpus / "train" / "manifest.jsonl"
    new = write_corpus(tmp_path / "new", 12, seed=12).parent
    more = ("training.max_steps=2", "data.batch_seconds=20")
    request = Request(model, new, tmp_path / "run", keep=keep, overrides=more)
    plan(request)
    lines = (tmp_path / "run" / "data" / "keep.jsonl").read_text().splitlines()
    lengths = [json.loads(line)["duration"] for line in lines]
    wanted = KEEP_SHARE * 2 * 20
    assert wanted <= sum(lengths) < wanted + max(lengths)
    long = write_corpus(tmp_path / "long", 1, seed=3, texts=["a"])
    limits = ("data.max_seconds=0.3", "data.min_seconds=0.01")
    with pytest.raises(ManifestError, match=r"no utterance of at most 0\.3 s"):
        plan(Request(model, new, tmp_path / "run", keep=long, overrides=limits))


def test_a_corpus_that_is_read_lazily(
    corpus: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asr.data.manifest import read_manifest

    cuts = tmp_path / "cuts.jsonl"
    read_manifest(corpus / "dev").to_file(cuts)
    monkeypatch.setattr("asr.data.manifest.LAZY_BYTES", 10)
    with pytest.raises(TrainingError, match="use 'asr train RECIPE --init MODEL'"):
        plan(Request(model, cuts, tmp_path / "run"))


@given(
    st.integers(1, 100_000),
    st.floats(0.3, 30),
    st.none() | st.floats(10, 1e6),
    st.floats(1e-4, 1e-2),
)
@examples(derandomize=True, deadline=None, max_examples=80)
def test_settings_fit_together(utterances: int, mean: float, keep: float | None, lr: float) -> None:
    new = Amount(utterances, utterances * mean, min(2 * mean, 40))
    values = settings(new, keep is not None, lr)
    values["data"]["train"] = ["x.jsonl"]
    recipe = parse(Recipe, values, "chosen")
    assert recipe.data.batch_seconds >= recipe.data.longest
    assert recipe.training.max_steps is not None
    assert recipe.schedule.warmup_steps < recipe.training.max_steps
    assert recipe.training.max_steps * recipe.data.batch_seconds >= 0.99 * new.seconds
    if keep is not None:
        assert 0 < repeat_of(Amount(100, keep, 15.0), new) <= 1000


class TestLabels:
    """New labels write the new texts, and still what the model could write."""

    TEXTS = ("grüße aus köln", "über den fluss", "noch ein satz mehr") * 4

    def test_characters(self, tmp_path: Path) -> None:
        theirs = CharacterTokenizer([" ", "a", "x"])
        made = new_labels(theirs, self.TEXTS, tmp_path)
        assert all(made.unknown(text) == {} for text in (*self.TEXTS, "ax xa"))
        assert load_tokenizer(tmp_path).size == made.size

    def test_pieces(self, tmp_path: Path) -> None:
        texts = ["the quick brown fox", "jumps over the lazy dog", "and runs away"] * 4
        theirs = train_tokenizer(texts, TokenizerConfig(size=32), tmp_path / "theirs")
        made = new_labels(theirs, self.TEXTS, tmp_path / "new")
        assert all(made.unknown(text) == {} for text in (*self.TEXTS, "quick fox jumps"))
