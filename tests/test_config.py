from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from asr.config import Config, TypedConfig, parse, parse_typed, read_yaml, to_yaml
from asr.errors import ConfigError


class Lamp(Config):
    colour: str = "white"
    watts: int = 5


class Room(Config):
    lamps: tuple[Lamp, ...] = ()
    main: Lamp = Lamp()


class Cat(TypedConfig):
    type: Literal["cat"] = "cat"
    lives: int = 9


class Dog(TypedConfig):
    type: Literal["dog"] = "dog"


ANIMALS: dict[str, type[TypedConfig]] = {"cat": Cat, "dog": Dog}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"mian": {}}, "room.yaml: unknown key 'mian', did you mean 'main'?"),
        ({"main": {"color": "red"}}, "unknown key 'main.color', did you mean 'colour'?"),
        ({"lamps": [{"x": 1}]}, "unknown key 'lamps.0.x', known: colour, watts"),
        ({"main": {"watts": "many"}}, r"key 'main.watts': .* valid integer.* \(got 'many'\)"),
        ({"lamps": 3}, r"key 'lamps': must be a list: \[a, b\] \(got 3\)"),
        ({"main": "red"}, r"key 'main': must be a mapping: {key: value} \(got 'red'\)"),
        ({"a": 1, "b": 2}, "'a'.*; .*'b'"),
    ],
)
def test_every_mistake_is_named(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told.replace("?", r"\?")):
        parse(Room, values, "room.yaml")


def test_the_type_chooses_the_class() -> None:
    cat = parse_typed("animal", ANIMALS, {"type": "cat", "lives": 7})
    assert cat == Cat(lives=7)
    assert parse_typed("animal", ANIMALS, cat) is cat


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"type": "cow"}, "animal.type: no animal is called 'cow', known: cat, dog"),
        ({"type": "dogs"}, "animal.type: no animal is called 'dogs', did you mean 'dog'?"),
        ({"lives": 7}, "animal: needs 'type', one of: cat, dog"),
        ("cat", "animal: needs 'type', one of: cat, dog"),
        ({"type": "cat", "live": 7}, "animal: unknown key 'live', did you mean 'lives'?"),
    ],
)
def test_a_type_that_is_not_known_is_named(values: Any, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_typed("animal", ANIMALS, values)
    assert str(caught.value) == told


def test_yaml_gives_the_same_configuration_back(tmp_path: Path) -> None:
    path = tmp_path / "room.yaml"
    room = Room(lamps=(Lamp(colour="grün", watts=3),))
    path.write_text(to_yaml(room), encoding="utf-8")
    assert parse(Room, read_yaml(path), "room") == room


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a: [", "not YAML"),
        (b"\xff", "not YAML"),
        (b"- 1", "holds no keys and values"),
        (b"", "holds no keys and values"),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_is_no_yaml_of_keys_is_named(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "room.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"room.yaml: {told}"):
        read_yaml(path)
