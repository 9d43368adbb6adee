"""The one object that holds the options of a call."""

from __future__ import annotations

import inspect
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import asr
from asr import TranscribeOptions
from asr.config import parse
from asr.errors import ConfigError
from asr.search import SearchConfig
from asr.transcribe.options import OptionValues
from asr.transcribe.recognizer import Recognizer, load_model
from tests.conftest import RATE

MANY = {
    "chunk_ms": 320.0,
    "left_ms": 640.0,
    "endpoint": asr.EndpointConfig(silence_seconds=0.4),
    "beam": 4,
    "nbest": 2,
    "ctc_weight": 0.4,
    "lm_weight": 0.1,
    "ilm_weight": 0.1,
    "length_reward": 0.2,
    "hotwords": {"Nottingham Castle": 2.0, "quilter": 1.0},
    "hotword_weight": 0.7,
    "language": "en",
    "task": "transcribe",
    "prompt": "Nottingham Castle.",
    "timestamps": False,
    "fields": {"style": "plain"},
}


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Recognizer:
    return load_model(tiny_model, "cpu")


def test_keywords_are_the_fields() -> None:
    assert set(OptionValues.__annotations__) == set(TranscribeOptions.model_fields) == set(MANY)


def test_ranges_are_those_of_the_search() -> None:
    def range_of(field: Any) -> list[str]:
        return sorted(str(one) for one in field.metadata if "allow_inf_nan" not in str(one))

    shared = SearchConfig.model_fields.keys() & TranscribeOptions.model_fields.keys()
    assert len(shared) == 7
    for name in shared:
        fields = TranscribeOptions.model_fields[name], SearchConfig.model_fields[name]
        assert range_of(fields[0]) == range_of(fields[1]), name


def test_they_go_through_json_and_pickle_unchanged() -> None:
    options = TranscribeOptions.of(**MANY)  # type: ignore[arg-type]
    values = json.loads(json.dumps(options.model_dump(mode="json", exclude_none=True)))
    assert TranscribeOptions.of(**values) == options
    assert pickle.loads(pickle.dumps(options)) == options
    assert options != TranscribeOptions.of(options, beam=5)
    assert TranscribeOptions.of(options) is options
    assert TranscribeOptions().model_dump(mode="json", exclude_none=True) == {}


@pytest.mark.parametrize(
    ("hotwords", "plain"),
    [
        (["a b", "c"], ["a b", "c"]),
        (("a b", "c"), ["a b", "c"]),
        ("a b, c : 2", "a b, c : 2"),
        (Path("words"), "./words"),
        (Path("lists") / "words", "lists/words"),
        ({"a b": 2}, {"a b": 2}),
    ],
)
def test_hotwords_become_values_of_json(hotwords: Any, plain: Any) -> None:
    options = TranscribeOptions(hotwords=hotwords)
    assert options.model_dump(mode="json", exclude_none=True) == {"hotwords": plain}
    assert TranscribeOptions.of(hotwords=plain) == options


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hotword": ["a"]}, "unknown key 'hotword', did you mean 'hotwords'"),
        ({"beam": 0}, "key 'beam': must be at least 1 .got 0"),
        ({"beam": "many"}, "key 'beam'"),
        ({"lm_weight": float("inf")}, "key 'lm_weight': .* finite"),
        ({"left_ms": 640}, "left_ms needs chunk_ms"),
        ({"chunk_ms": 640, "left_ms": 600_080}, "key 'left_ms': must be at most 600000"),
        ({"beam": 1001}, "key 'beam': must be at most 1000"),
        ({"nbest": 10**400}, "key 'nbest'"),
        ({"hotword_weight": 1.0}, "hotword_weight needs hotwords"),
        ({"language": ""}, "key 'language': .* at least 1 character"),
        ({"task": "sing"}, "key 'task': .*'transcribe' or 'translate'"),
        ({"hotwords": 3}, "3 are no phrases"),
        ({"hotwords": ["a : much"]}, "'much' is no weight"),
        ({"endpoint": {"silence": 1}}, r"unknown key 'endpoint.silence', did you mean 'silence_"),
    ],
)
def test_what_is_wrong_is_refused_at_once(values: dict[str, Any], message: str) -> None:
    for make in (TranscribeOptions, TranscribeOptions.of):
        with pytest.raises(ConfigError, match=message):
            make(**values)


def test_every_door_takes_the_object_and_keywords(model: Recognizer, sound: np.ndarray) -> None:
    options = TranscribeOptions(chunk_ms=320, beam=1, nbest=1)
    expected = model.transcribe(sound, RATE, chunk_ms=320, beam=3, nbest=2)
    assert expected != model.transcribe(sound, RATE, options=options)
    assert model.transcribe(sound, RATE, options=options, beam=3, nbest=2) == expected
    stream = model.stream(RATE, options=options, beam=3, nbest=2)
    finals = (*stream.feed(sound).final, *stream.flush().final)
    assert finals == expected.segments
    updates = list[asr.StreamUpdate]()
    source = [sound]
    asr.listen(
        source, updates.append, model=model, sample_rate=RATE, options=options, beam=3, nbest=2
    ).wait(60)
    assert tuple(one for update in updates for one in update.final) == expected.segments
    for call in (model.transcribe, model.transcribe_many, model.stream, asr.listen, asr.stream):
        assert {"options", "values"} <= set(inspect.signature(call).parameters)


def test_options_are_hashable_as_they_are_equal() -> None:
    weighted = [TranscribeOptions(hotwords=words) for words in ({"a": 1, "b": 2}, {"b": 2, "a": 1})]
    assert len({*weighted, TranscribeOptions(hotwords={"a": 2, "b": 2})}) == 2
    assert hash(TranscribeOptions.of(**MANY)) == hash(TranscribeOptions.of(**MANY))  # type: ignore[arg-type]
    assert len({TranscribeOptions(), TranscribeOptions(beam=4), TranscribeOptions(nbest=4)}) == 3


@pytest.mark.parametrize("options", [{"chunk_ms": 320}, {}, "beam", 0, SearchConfig()])
def test_options_of_another_type_are_refused(model: Recognizer, options: Any) -> None:
    for call in (
        lambda: TranscribeOptions.of(options),
        lambda: TranscribeOptions.of(options, beam=2),
        lambda: model.transcribe_many([], options=options),
        lambda: model.stream(RATE, options=options),
    ):
        with pytest.raises(ConfigError, match=r"options must be asr.TranscribeOptions, got \w+; a"):
            call()


def test_a_stream_takes_its_default_where_chunks_are_cleared(
    model: Recognizer, sound: np.ndarray
) -> None:
    options = TranscribeOptions(chunk_ms=320, left_ms=640)
    stream = model.stream(RATE, options=options, chunk_ms=None)
    expected = model.transcribe(sound, RATE, chunk_ms=640, left_ms=640).segments
    assert (*stream.feed(sound).final, *stream.flush().final) == expected
    with pytest.raises(ConfigError, match="left_ms needs chunk_ms"):  # no default for recordings
        model.transcribe(sound, RATE, options=options, chunk_ms=None)


@pytest.mark.parametrize(
    ("cls", "name"), [(asr.EndpointConfig, "endpoint"), (asr.SubtitleConfig, "subtitles")]
)
def test_every_class_of_options_raises_errors_of_ours(cls: Any, name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: unknown key 'foo', known: "):
        cls(foo=1)
    with pytest.raises(ConfigError, match=r"^file: unknown key 'foo', known: "):
        parse(cls, {"foo": 1}, "file")


def test_every_mistake_is_in_one_message() -> None:
    with pytest.raises(ConfigError, match=r"^options: .*'endpoint.silence'.*; .*'beam'"):
        TranscribeOptions(endpoint={"silence": 1}, beam=0)  # type: ignore[typeddict-item]
