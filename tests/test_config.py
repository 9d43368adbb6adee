from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BeforeValidator

import asr
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
        ({"main": {"watts": "many"}}, r"key 'main.watts': must be a whole number \(got 'many'\)"),
        ({"lamps": 3}, r"key 'lamps': must be a list: \[a, b\] \(got 3\)"),
        ({"main": "red"}, r"key 'main': must be a mapping: {key: value} \(got 'red'\)"),
        ({"a": 1, "b": 2}, "'a'.*; .*'b'"),
    ],
)
def test_every_mistake_is_named(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told.replace("?", r"\?")):
        parse(Room, values, "room.yaml")


class Yard(Config):
    """One with a part of several types, in which Pydantic names no keys by itself."""

    pet: Annotated[TypedConfig, BeforeValidator(lambda v: parse_typed("pet", ANIMALS, v))]
    number: int | Literal["auto"] = "auto"
    room: Room = Room()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"pet": {"type": "cat", "lives": "x"}, "number": "y"},
            "key 'pet.lives': must be a whole number (got 'x'); "
            "key 'number': must be a whole number, or 'auto' (got 'y')",
        ),
        ({"pet": {"type": "cow"}}, "key 'pet.type': no pet is called 'cow', known: cat, dog"),
        ({"pet": 3}, "key 'pet': needs 'type', one of: cat, dog"),
        ({"pet": {"type": "dog"}, "lamps": 1}, "unknown key 'lamps', did you mean 'room.lamps'?"),
        (
            {"pet": {"type": "dog"}, "number": "n" * 1000},
            f"key 'number': must be a whole number, or 'auto' (got '{'n' * 56}...)",
        ),
    ],
)
def test_mistakes_in_parts_have_the_whole_path(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(Yard, values, "yard.yaml")
    assert str(caught.value) == f"yard.yaml: {told}"


def test_types_are_suggested_only_where_they_are_spelled_alike() -> None:
    known = {"conformer": Cat, "transformer": Cat}
    for name, told in (
        ("branchformer", "known: conformer, transformer"),
        ("confomer", "mean 'con"),
    ):
        with pytest.raises(ConfigError, match=told):
            parse_typed("encoder", known, {"type": name})


@pytest.mark.parametrize("name", ["EndpointConfig", "SubtitleConfig", "TranscribeOptions"])
def test_mistakes_in_python_are_ours(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown key 'silenc'") as caught:
        getattr(asr, name)(silenc=1)
    assert "pydantic" not in str(caught.value)


def test_the_type_chooses_the_class() -> None:
    cat = parse_typed("animal", ANIMALS, {"type": "cat", "lives": 7})
    assert cat == Cat(lives=7)
    assert parse_typed("animal", ANIMALS, cat) is cat


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"type": "cow"}, "animal: key 'type': no animal is called 'cow', known: cat, dog"),
        ({"type": "dogs"}, "animal: key 'type': no animal is called 'dogs', did you mean 'dog'?"),
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
        (b"a: [", ", line 1, column 5: not YAML: expected the node content"),
        (b"a: 1\n\tb: 2", ", line 2, column 1: not YAML: a tab; indent with spaces"),
        (b"a: [*b]", ", line 1, column 5: not YAML: found undefined alias 'b'"),
        (b"a: {b: 1}\nc: {d: 1, e: 2, d: 3}", ", line 2, column 17: key 'd' is there twice"),
        (b"\xff", ": not UTF-8 text at byte 1"),
        (b"- 1", ": holds no keys and values"),
        (b"", ": holds no keys and values"),
        (None, ": cannot be read: No such file"),
    ],
)
def test_what_is_no_yaml_of_keys_is_named(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "room.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"room.yaml{told}"):
        read_yaml(path)
