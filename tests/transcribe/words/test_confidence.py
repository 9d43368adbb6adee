"""Words know how sure they are where the model has a map, and in streams as in files."""

from __future__ import annotations

import json
import math
import pickle
import shutil
import tracemalloc
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from asr.errors import ModelError
from asr.model.folder import keep_confidence, read_folder_config
from asr.output import OutputOptions, as_json_line
from asr.text.special_labels import END
from asr.transcribe.recognizer import load_model
from asr.transcribe.words.confidence import FEATURES, ConfidenceMap
from asr.transcribe.words.evidence import Place, word_evidence
from asr.types import Word
from tests.conftest import RATE

MAP = {"bias": 0.5, "weights": {"ctc": 0.2, "attention_least": 1.0, "pace": -0.3, "level": 0.01}}


@pytest.fixture(scope="module")
def mapped(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a map."""
    folder = tmp_path_factory.mktemp("mapped") / "model"
    shutil.copytree(tiny_model, folder)
    keep_confidence(folder, {"version": 1, "without_lm": MAP})
    return folder


def words(transcript: object) -> list[Word]:
    return [word for segment in transcript.segments for word in segment.words]  # type: ignore[attr-defined]


def test_without_a_map_nothing_is_told(tiny_model: Path, sound: np.ndarray) -> None:
    found = load_model(tiny_model, "cpu").transcribe(sound, RATE)
    assert words(found)
    assert all(word.confidence is None for word in words(found))
    assert "confidence" not in as_json_line(found, OutputOptions(model="tiny"))
    assert "evidence" not in as_json_line(found, OutputOptions(model="tiny"))


def test_with_a_map_each_word_has_its_value(mapped: Path, sound: np.ndarray) -> None:
    found = load_model(mapped, "cpu").transcribe(sound, RATE)
    values = json.loads(as_json_line(found, OutputOptions(model="tiny")))
    told = [word["confidence"] for part in values["segments"] for word in part["words"]]
    assert len(told) == len(words(found)) > 0
    for word, shown in zip(words(found), told, strict=True):
        odds = 0.5 + sum(
            weight * FEATURES[name](word.evidence) for name, weight in MAP["weights"].items()
        )
        assert word.confidence == pytest.approx(1 / (1 + math.exp(-odds)))
        assert shown == pytest.approx(word.confidence, abs=1e-4)


def test_a_map_changes_neither_text_nor_times(
    mapped: Path, tiny_model: Path, sound: np.ndarray
) -> None:
    one, other = (
        load_model(place, "cpu").transcribe(sound, RATE) for place in (mapped, tiny_model)
    )
    assert one.text == other.text
    assert [(w.start, w.end) for w in words(one)] == [(w.start, w.end) for w in words(other)]


@pytest.mark.parametrize("block", [1600, 7777, 48000])
def test_streams_are_as_sure_as_files(mapped: Path, sound: np.ndarray, block: int) -> None:
    model = load_model(mapped, "cpu")
    batch = words(model.transcribe(sound, RATE, chunk_ms=640))
    stream = model.stream(RATE, chunk_ms=640)
    segments = [
        segment
        for place in range(0, len(sound), block)
        for segment in stream.feed(sound[place : place + block]).final
    ]
    segments += stream.flush().final
    live = [word for segment in segments for word in segment.words]
    assert [word.text for word in live] == [word.text for word in batch] != []
    for one, other in zip(live, batch, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=1e-4)


def test_others_in_the_batch_change_nothing(mapped: Path, sound: np.ndarray) -> None:
    model = load_model(mapped, "cpu")
    sources = [sound, sound[:RATE], sound[RATE : 2 * RATE + 555]]
    together = [found for _, found in model.transcribe_many(sources, sample_rate=RATE)]
    for source, found in zip(sources, together, strict=True):
        alone = words(model.transcribe(source, RATE))
        assert [one.confidence for one in words(found)] == pytest.approx(
            [one.confidence for one in alone], abs=1e-4
        )


def test_evidence_is_what_the_decoder_says_step_by_step(mapped: Path, sound: np.ndarray) -> None:
    """One parallel pass gives what the search has added up."""
    found = load_model(mapped, "cpu").transcribe(sound, RATE, ctc_weight=0.5)
    model = load_model(mapped, "cpu").model
    import torch

    with torch.inference_mode():
        features, frames = model.features(torch.from_numpy(sound)[None], torch.tensor([len(sound)]))
        memory, lengths = model.encode(features, frames)
        [segment] = found.segments
        tokens = torch.tensor([[END, *segment.tokens]])
        assert model.decoder is not None
        said = model.decoder(tokens, memory, lengths).log_softmax(2)[0]
        ending = float(said[-1, END])
        whole = sum(word.evidence["attention_sum"] for word in segment.words)
        inside = sum(float(said[place, token]) for place, token in enumerate(segment.tokens))
    assert segment.scores["attention"] == pytest.approx(inside + ending, abs=1e-3)
    assert whole <= 0
    assert whole >= inside - 1e-3  # spaces belong to no word


def test_evidence_is_a_mapping_that_is_small() -> None:
    scores = {"ctc": (-0.5, -1.5, -0.25), "lm": (-2.0, -1.0, -3.0)}
    places = [Place(0, 1, 0.5, -3.0), Place(2, 2, 0.25, 0.0)]
    first, second = word_evidence(["ab", "c"], places, scores)
    assert first == {
        "characters": 2.0,
        "seconds": 0.5,
        "level": -3.0,
        "ctc": -1.0,
        "ctc_sum": -2.0,
        "ctc_before": 0.0,
        "ctc_least": -1.5,
        "ctc_after": -0.25,
        "ctc_segment": -0.75,
        "lm": -1.5,
        "lm_sum": -3.0,
        "lm_before": 0.0,
        "lm_least": -2.0,
        "lm_after": -3.0,
        "lm_segment": -2.0,
    }
    assert second["ctc_before"] == -1.5
    assert "attention" not in second
    assert second != first
    assert pickle.loads(pickle.dumps(first)) == first
    tracemalloc.start()
    scores["attention"] = (-1.0, -1.0, -1.0)
    told = asdict(Word("ab", 0.0, 0.5, None, first))["evidence"]
    assert json.loads(json.dumps(told)) == first
    many = [word_evidence(["ab", "c"], places, scores) for _ in range(100)]
    room = tracemalloc.get_traced_memory()[0] / 200
    tracemalloc.stop()
    assert many
    assert room < 400  # bytes a word: 21 numbers of 8 bytes; in a dictionary about 1500


def test_a_map_of_the_future_is_refused(mapped: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(mapped, folder)
    keep_confidence(folder, {"version": 2, "new": True})
    with pytest.raises(ModelError, match=r"confidence map has version 2, newer.*asr calibrate"):
        load_model(folder, "cpu")
    keep_confidence(folder, {"version": 1, "without_lm": {"bias": 0.0, "weights": {"x": 1.0}}})
    with pytest.raises(ModelError, match="no such features: x"):
        load_model(folder, "cpu")


def test_the_map_is_kept_in_the_config(mapped: Path) -> None:
    assert read_folder_config(mapped).confidence == {"version": 1, "without_lm": MAP}
    assert ConfidenceMap(**MAP)({}) is None  # type: ignore[arg-type]
