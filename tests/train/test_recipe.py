from __future__ import annotations

from pathlib import Path

import pytest

from asr.config import format_duration, seconds_of
from asr.errors import ConfigError
from asr.train.recipe import load_recipe, write_recipe


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("training.epohcs=3", "unknown key 'training.epohcs', did you mean 'epochs'?"),
        ("optimizer.lr=-1", "key 'optimizer.lr': must be greater than 0"),
        ("training.precision=fp16", "'auto', '32' or 'bf16'"),
        ("schedule={type: cosin}", "did you mean 'cosine'?"),
        (
            "schedule={type: noam, warmup: 3}",
            "unknown key 'schedule.warmup', did you mean 'warmup_steps'?",
        ),
        ("model.encoder.typ=conformer", "did you mean 'type'?"),
        ("loss.ctc_weight=two", "key 'loss.ctc_weight'"),
        ("training.max_time=soon", "write 90s, 20m or 1h30m"),
        ("chunks={full: 0.5, smallest: 9, largest: 3}", "smallest 9 is above largest 3"),
        ("model.decoder=null", "loss.ctc_weight must be 1"),
        ("model.ctc=false", "loss.ctc_weight must be 0"),
        ("training.devices=0", "at least 1"),
        ("optimizer.betas=[0.9, 1.5]", "must lie in [0, 1)"),
        ("tokenizer.type=chars", "key 'tokenizer.type': must be 'unigram', 'bpe' or 'char'"),
        ("model.encoder.layers=x", "key 'model.encoder.layers': must be a whole number (got 'x')"),
        ("seed=1", "unknown key 'seed', did you mean 'training.seed'?"),
        ("data.augment.speed.factors=[9]", "key 'data.augment.speed.factors.0': must be at most 2"),
        ("tokenizer=[1]", "key 'tokenizer"),
        ("nonsense", "write key.sub=value"),
        ("a.b=[1", "not YAML"),
    ],
)
def test_a_mistake_is_named(recipe_file: Path, override: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe(recipe_file, [override])
    assert told in str(caught.value)


def test_one_key_of_what_the_recipe_does_not_mention_can_be_set(tmp_path: Path) -> None:
    path = tmp_path / "least.yaml"
    path.write_text("data: {train: a.jsonl}\ntraining: {epochs: 1}\n")
    keys = ["model.encoder.layers=8", "model.decoder.layers=2", "schedule.warmup_steps=9"]
    recipe = load_recipe(path, keys)
    usual = load_recipe(path)
    assert recipe.model.encoder == usual.model.encoder.model_copy(update={"layers": 8})
    assert recipe.schedule == usual.schedule.model_copy(update={"warmup_steps": 9})


def test_time_is_an_end_as_good_as_any(recipe_file: Path) -> None:
    overrides = ["schedule.type=cosine", "training.max_steps=null", "training.total_time=20m"]
    assert load_recipe(recipe_file, overrides).training.total_time == 1200


def test_a_run_needs_an_end(recipe_file: Path) -> None:
    with pytest.raises(ConfigError, match="epochs, max_steps, total_time and max_time"):
        load_recipe(recipe_file, ["training.max_steps=null"])


@pytest.mark.parametrize("content", ["[1, 2]", "a: [", ""])
def test_a_file_that_is_no_recipe(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_recipe(path)


def test_a_missing_recipe(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_recipe(tmp_path / "none.yaml")


def test_overrides_are_yaml(recipe_file: Path) -> None:
    overrides = ["data.augment.speed.factors=[0.9, 1.1]", "training.max_time=1h30m"]
    recipe = load_recipe(recipe_file, [*overrides, "training.precision=32"])
    assert recipe.data.augment.speed is not None
    assert recipe.data.augment.speed.factors == (0.9, 1.1)
    assert recipe.training.max_time == 5400
    assert recipe.training.precision == "32"


def test_paths_are_relative_to_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(
        "data:\n"
        "  train: [one/m.jsonl, {manifest: /abs/m.jsonl, repeat: 2}]\n"
        "  augment: {noise: {manifest: n.jsonl}, room: {folder: rooms}}\n"
        "tokenizer: tok\noutput: out\ntraining: {epochs: 1}\n"
    )
    recipe = load_recipe(path)
    assert [one.manifest for one in recipe.data.train] == [
        str(tmp_path / "one/m.jsonl"),
        "/abs/m.jsonl",
    ]
    assert recipe.data.train[1].repeat == 2
    noise, room = recipe.data.augment.noise, recipe.data.augment.room
    assert noise is not None
    assert room is not None
    assert noise.manifest == str(tmp_path / "n.jsonl")
    assert room.folder == str(tmp_path / "rooms")
    assert recipe.tokenizer == tmp_path / "tok"
    assert recipe.output == tmp_path / "out"


def test_the_written_recipe_is_the_same_recipe(recipe_file: Path, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file, ["schedule={type: wsd, decay: 0.1}"])
    write_recipe(recipe, tmp_path / "format_duration")
    assert load_recipe(tmp_path / "format_duration" / "recipe.yaml") == recipe


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1200), ("1h30m", 5400), ("1.5h", 5400), ("7", 7)]
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


def test_lengths_of_time_for_people() -> None:
    assert (format_duration(5400), format_duration(75.4), format_duration(-1)) == (
        "1:30:00",
        "1:15",
        "0:00",
    )
