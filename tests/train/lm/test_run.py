"""Training language models: they learn, go on to the same weights, and refuse what does not fit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from asr.config import parse
from asr.errors import ConfigError, ModelError, TrainingError
from asr.lm import load_lm_folder
from asr.text.characters import CharacterTokenizer
from asr.train.lm.recipe import LMRecipe
from asr.train.lm.run import LMStart, train_lm
from asr.train.lm.texts import Sources

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "rats", "run"]
TINY = {
    "lm": {"type": "lstm", "layers": 1, "dim": 24, "embedding": 8, "dropout": 0.1},
    "optimizer": {"lr": 0.02},
    "schedule": {"type": "cosine", "warmup_steps": 5},
    "training": {"epochs": 8, "batch_labels": 400, "threads": 1, "precision": "32", "ema": 0.9},
    "text": {"held_out": 0.1},
}


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    draw = random.Random(1)
    lines = [" ".join(draw.choices(WORDS, k=draw.randint(2, 8))) for _ in range(150)]
    (tmp_path / "texts.txt").write_text("\n".join(lines))
    return Sources([tmp_path / "texts.txt"])


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    CharacterTokenizer(sorted(set("".join(WORDS)) | {" "})).save(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def recipe(**changed: object) -> LMRecipe:
    return parse(LMRecipe, TINY | changed, "test")


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_lm_folder(folder).lm.state_dict()


@pytest.mark.parametrize(
    "lm",
    [
        TINY["lm"],
        {"type": "transformer", "layers": 1, "dim": 16, "heads": 2, "ff": 32},
        {"type": "ngram", "order": 4, "prune": 0.0},
    ],
)
def test_every_kind_learns(tmp_path: Path, sources: Sources, tokenizer: Path, lm: dict):
    outcome = train_lm(sources, tokenizer, recipe(lm=lm), tmp_path / "run")
    labels = load_lm_folder(outcome.lm).tokenizer.size
    assert outcome.measured.per_label < labels / 2.5
    config = load_lm_folder(outcome.lm).config
    assert config.facts["dev_perplexity_label"] == round(outcome.measured.per_label, 3)
    assert (outcome.lm / "training" / "recipe.yaml").is_file()


def test_n_grams_of_joined_texts_go_on_behind_a_text(tmp_path: Path, tokenizer: Path):
    """Up to three texts in a row: each but the last is followed by the next, not by the end."""
    (tmp_path / "texts.txt").write_text("\n".join(["the cat sat", "a rat sat"] * 60))
    found: dict[object, list[float]] = {}
    for join in (None, 1, 3):
        values = recipe(lm={"type": "ngram", "order": 5, "prune": 0.0}, text={"join": join})
        sources = Sources([tmp_path / "texts.txt"])
        outcome = train_lm(sources, tokenizer, values, tmp_path / f"join{join}")
        loaded = load_lm_folder(outcome.lm)
        labels = loaded.tokenizer.labels
        state, token = loaded.lm.initial_state(1), labels.end
        for label in [*loaded.tokenizer.encode("the cat sat"), None]:
            log_probs, state = loaded.lm.step(torch.tensor([token]), state)
            token = label if label is not None else token
        space = loaded.tokenizer.encode("a rat")[1]
        found[join] = log_probs[0, [labels.end, space]].exp().tolist()
    assert found[None] == found[1]
    assert found[1][0] > 0.9
    assert found[3][0] == pytest.approx(0.5, abs=0.1)  # of rows of 1, 2 and 3 texts, 3 of 6 end
    assert found[3][1] == pytest.approx(0.5, abs=0.1)


def test_a_run_that_is_mostly_warm_up_says_so(
    tmp_path: Path, sources: Sources, tokenizer: Path, capsys: pytest.CaptureFixture[str]
):
    train_lm(sources, tokenizer, recipe(), tmp_path / "fits")
    assert "warm-up" not in "".join(capsys.readouterr())
    short = recipe(schedule={"type": "cosine", "warmup_steps": 100})
    train_lm(sources, tokenizer, short, tmp_path / "short")
    said = "".join(capsys.readouterr())
    assert "it will hardly learn" in said
    assert "--type ngram" in said


def test_a_run_that_was_stopped_ends_with_the_same_weights(
    tmp_path: Path, sources: Sources, tokenizer: Path
):
    whole = train_lm(sources, tokenizer, recipe(), tmp_path / "whole")
    stopped = LMStart(max_time=1e-9)  # after one step
    for _ in range(3):
        part = train_lm(sources, tokenizer, recipe(), tmp_path / "parts", stopped)
        assert part.ended == "max_time"
    rest = train_lm(sources, tokenizer, recipe(), tmp_path / "parts")
    assert (rest.ended, whole.ended) == ("epochs", "epochs")
    for name, tensor in weights_of(whole.lm).items():
        assert torch.equal(tensor, weights_of(rest.lm)[name]), name


def test_going_on_with_another_model_is_refused(tmp_path: Path, sources: Sources, tokenizer: Path):
    train_lm(sources, tokenizer, recipe(), tmp_path / "run", LMStart(max_time=1e-9))
    other = recipe(lm=TINY["lm"] | {"dim": 12})
    with pytest.raises(TrainingError, match="the checkpoint is of another model"):
        train_lm(sources, tokenizer, other, tmp_path / "run")
    CharacterTokenizer([" ", *"nopqrstuvwxy"]).save(tmp_path / "other")
    with pytest.raises(TrainingError, match="the checkpoint is of another tokenizer"):
        train_lm(sources, tmp_path / "other", recipe(), tmp_path / "run")
    again = train_lm(sources, tokenizer, other, tmp_path / "run", LMStart(resume="never"))
    assert again.ended == "epochs"


def test_it_starts_from_the_weights_of_another(tmp_path: Path, sources: Sources, tokenizer: Path):
    first = train_lm(sources, tokenizer, recipe(), tmp_path / "first")
    start = LMStart(init=first.lm, max_time=1e-9)
    second = train_lm(sources, tokenizer, recipe(), tmp_path / "second", start)
    assert second.measured.per_label < 1.2 * first.measured.per_label
    with pytest.raises(ConfigError, match="it is another model"):
        train_lm(sources, tokenizer, recipe(lm={"type": "lstm"}), tmp_path / "third", start)
    CharacterTokenizer([*"xyz"]).save(tmp_path / "other")
    with pytest.raises(ModelError, match="cannot be used together"):
        train_lm(sources, tmp_path / "other", recipe(), tmp_path / "third", start)
    with pytest.raises(ConfigError, match="counted at once"):
        train_lm(sources, tokenizer, recipe(lm={"type": "ngram"}), tmp_path / "third", start)
