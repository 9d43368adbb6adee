"""Every key of a recipe is told, with what the recipe really does."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from asr.cli.main import program
from asr.errors import ConfigError
from asr.model.registry import DECODERS, ENCODERS
from asr.train.keys import REQUIRED, TYPED, Key, format_keys, recipe_keys
from asr.train.optimizer import SCHEDULES
from asr.train.recipe import Recipe, load_recipe, make_recipe
from tests.train.conftest import write_corpus

KEYS = recipe_keys()
NAMED = {one.name: one for one in KEYS}
#: Sections that are off unless they are asked for, with what they need.
SECTIONS: dict[str, Any] = {
    "speed": {},
    "volume": {},
    "telephone": {},
    "codec": {},
    "noise": {"manifest": "noise.jsonl"},
    "room": {"folder": "rooms"},
}


def leaves(values: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of all values of a recipe."""
    if isinstance(values, dict) and values:
        for name, value in values.items():
            yield from leaves(value, f"{prefix}{name}.")
    elif isinstance(values, list) and values and isinstance(values[0], dict):
        yield from leaves(values[0], prefix.removesuffix(".") + "[].")
    else:
        yield prefix.removesuffix(".")


def recipe(**more: Any) -> Recipe:
    data = {"train": "train.jsonl", "dev": "dev.jsonl", "augment": SECTIONS}
    values = {"data": data, "training": {"epochs": 1}, **more}
    return make_recipe(values, (), "test", Path("/"))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_key_is_listed(schedule: str) -> None:
    found = set(leaves(recipe(schedule={"type": schedule}).model_dump(mode="json")))
    known = {name.split(" ")[0] for name in NAMED}
    assert found <= known
    assert {f"schedule.{name}" for name in SCHEDULES[schedule].model_fields} <= known


def test_types_that_can_be_chosen_are_listed() -> None:
    # read anew: other tests register types of their own when they are imported
    named = {one.name: one for one in recipe_keys()}
    assert named["model.frontend.type"].allowed == "kaldi | whisper"
    assert named["model.frontend.maximum (type: whisper)"].default == "utterance"
    assert named["model.encoder.type"].allowed == " | ".join(ENCODERS)
    assert named["model.decoder.type"].allowed == " | ".join(DECODERS)
    assert named["schedule.type"].allowed == " | ".join(SCHEDULES)
    assert named["schedule.decay (type: wsd)"].default == "0.2"


def test_no_key_is_listed_twice_and_each_has_a_meaning() -> None:
    assert len(NAMED) == len(KEYS)
    assert [one.name for one in KEYS if not one.meaning or not one.allowed] == []


@pytest.mark.parametrize(
    "key",
    [one for one in KEYS if "[]" not in one.name and one.default not in (REQUIRED, "{...}")],
    ids=lambda one: one.name,
)
def test_the_default_is_what_a_recipe_without_the_key_has(key: Key) -> None:
    """And it is accepted: writing a default changes nothing."""
    name, _, kind = key.name.partition(" (type: ")
    more: dict[str, Any] = {}
    if kind:  # of one of several classes: the section must be of it
        section = next(one for one in TYPED if name.startswith(f"{one}."))
        more = {"type": kind.removesuffix(")")}
        for part in reversed(section.split(".")):
            more = {part: more}
    if name.startswith("training.") or (name.startswith("data.augment.") and name.count(".") == 2):
        return  # the recipe here sets these
    values = recipe(**more).model_dump(mode="json")
    place = values
    *above, last = name.split(".")
    for part in above:
        place[part] = place[part] if place[part] is not None else {}  # a section that was off
        place = place[part]
    plain = make_recipe(copy.deepcopy(values), (), "test", Path("/"))
    if last not in ("train", "dev"):
        place[last] = yaml.safe_load(key.default)
        assert make_recipe(values, (), "test", Path("/")) == plain


@pytest.mark.parametrize(
    ("name", "limits", "wrong"),
    [
        ("optimizer.lr", "above 0", "0"),
        ("loss.ctc_weight", "at least 0, at most 1", "1.5"),
        ("training.ema", "below 1", "1"),
        ("data.cache", "none | memory", "disk"),
    ],
)
def test_limits_are_those_that_are_checked(name: str, limits: str, wrong: str) -> None:
    assert limits in NAMED[name].allowed
    with pytest.raises(ConfigError, match=name):
        make_recipe(recipe().model_dump(mode="json"), [f"{name}={wrong}"], "test", Path("/"))


def test_the_command_prints_all_of_them() -> None:
    result = CliRunner().invoke(program, ["train", "--keys"])
    assert result.exit_code == 0, result.output
    assert result.stdout == format_keys(recipe_keys())
    assert "optimizer.lr: 0.001  [number, above 0]\n" in result.stdout
    assert "    the peak of the learning rate" in result.stdout


def test_the_example_is_a_recipe(tmp_path: Path) -> None:
    result = CliRunner().invoke(program, ["train", "--example"])
    assert result.exit_code == 0, result.output
    (tmp_path / "mine.yaml").write_text(result.stdout)
    loaded = load_recipe(tmp_path / "mine.yaml")
    assert loaded.data.train[0].manifest == str(tmp_path / "train.jsonl")


def test_the_example_trains(tmp_path: Path) -> None:
    from asr.train.run import train

    example = CliRunner().invoke(program, ["train", "--example"]).stdout
    (tmp_path / "mine.yaml").write_text(example)
    for part, count in (("train", 12), ("dev", 3)):
        manifest = write_corpus(tmp_path / part, count, seed=count)
        lines = [json.loads(line) for line in manifest.read_text().splitlines()]
        for line in lines:
            line["audio_filepath"] = f"{part}/{line['audio_filepath']}"
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"{part}.jsonl").write_text(text)
    overrides = [
        "model.encoder.dim=32",
        "model.decoder.dim=32",
        "training.max_steps=1",
        "data.workers=0",
        "tokenizer={type: char}",
    ]
    overrides += ["training.threads=1", "model.encoder.layers=1", "loss.leave_out_too_long=true"]
    outcome = train(load_recipe(tmp_path / "mine.yaml", overrides), tmp_path / "run")
    assert outcome.model is not None
