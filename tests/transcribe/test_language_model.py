"""A recogniser with a language model: from its own folder or another, in files and streams."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from asr.errors import ConfigError, ModelError
from asr.lm import load_lm_folder, save_lm_folder
from asr.lm.folder import LMFolderConfig, lm_config, set_search
from asr.text import load_tokenizer
from asr.text.characters import CharacterTokenizer
from asr.transcribe.recognizer import Recognizer, load_model
from asr.transcribe.streams.endpoint import EndpointConfig
from tests.conftest import RATE
from tests.lm.made import SMALL, small

ENDPOINT = EndpointConfig(
    max_segment_seconds=2.0, silence_seconds=0.4, noise_seconds=0.6, lead_seconds=0.5
)


def write_lm(folder: Path, tokenizer, kind: str = "lstm", **search: float) -> Path:
    config = LMFolderConfig(vocabulary=tokenizer.size, lm=lm_config(SMALL[kind]), search=search)
    save_lm_folder(folder, small(kind, 3, tokenizer.size), tokenizer, config, dtype="float32")
    return folder


@pytest.fixture
def with_lm(tiny_model: Path, tmp_path: Path) -> Path:
    """A model folder that carries a language model, with weights of its own."""
    shutil.copytree(tiny_model, tmp_path / "model")
    write_lm(
        tmp_path / "model" / "lm", load_tokenizer(tiny_model), lm_weight=2.0, length_reward=3.0
    )
    return tmp_path / "model"


def text(model: Recognizer, sound: np.ndarray, **options: float) -> str:
    return model.transcribe(sound, RATE, **options).text


def test_a_language_model_whose_weight_nobody_chose_is_refused(
    tiny_model: Path, tmp_path: Path, sound: np.ndarray
):
    """A model may be saved without a usual weight, as Whisper models are."""
    shutil.copytree(tiny_model, tmp_path / "model")
    settings = tmp_path / "model" / "config.yaml"
    values = yaml.safe_load(settings.read_text())
    values["search"] = values.get("search", {}) | {"lm_weight": 0.0}
    settings.write_text(yaml.safe_dump(values))
    folder = write_lm(tmp_path / "lm", load_tokenizer(tiny_model))
    model = load_model(tmp_path / "model", "cpu", lm=folder)
    with pytest.raises(ConfigError, match=f"no weight for language model {folder}: give one"):
        model.transcribe(sound, RATE)
    [segment] = model.transcribe(sound, RATE, lm_weight=0.1).segments
    assert "lm" in segment.scores
    [segment] = model.transcribe(sound, RATE, lm_weight=0).segments
    assert "lm" not in segment.scores
    set_search(folder, {"lm_weight": 0.0})
    assert load_model(tmp_path / "model", "cpu", lm=folder).transcribe(sound, RATE).segments


def test_a_folder_brings_its_language_model_and_its_weights(
    with_lm: Path, tiny_model: Path, sound: np.ndarray
):
    plain, rich = load_model(tiny_model, "cpu"), load_model(with_lm, "cpu")
    assert plain.lm is None
    assert (plain.search.lm_weight, plain.search.length_reward) == (0.0, 0.0)
    assert (rich.search.lm_weight, rich.search.length_reward) == (2.0, 3.0)
    assert rich.search.beam == plain.search.beam  # what the language model does not say
    assert text(rich, sound) != text(plain, sound)
    off = load_model(with_lm, "cpu", lm=False)
    assert (off.lm, text(off, sound)) == (None, text(plain, sound))
    assert text(rich, sound, lm_weight=0, length_reward=0) == text(plain, sound)
    [segment] = rich.transcribe(sound, RATE).segments
    assert set(segment.scores) == {"attention", "ctc", "lm", "length"}


@pytest.mark.parametrize("kind", ["lstm", "transformer", "ngram"])
def test_every_kind_does_in_a_stream_what_it_does_on_a_file(
    tiny_model: Path, tmp_path: Path, sound: np.ndarray, kind: str
):
    lm = write_lm(tmp_path / "lm", load_tokenizer(tiny_model), kind)
    opened = load_model(tiny_model, "cpu", lm=lm)
    model = Recognizer(opened.loaded, endpoint=ENDPOINT, lm=load_lm_folder(lm))
    weights = {"lm_weight": 0.6, "ilm_weight": 0.2, "length_reward": 0.5}
    whole = model.transcribe(sound, RATE, chunk_ms=320, **weights)
    stream = model.stream(RATE, chunk_ms=320, **weights)
    updates = [stream.feed(block) for block in np.array_split(sound, 7)] + [stream.flush()]
    finals = [segment for update in updates for segment in update.final]
    assert [one.text for one in finals] == [one.text for one in whole.segments]
    assert any("ilm" in one.scores for one in finals)
    for one, other in zip(finals, whole.segments, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-3)


def test_what_does_not_fit_is_told(tiny_model: Path, tmp_path: Path, sound: np.ndarray):
    foreign = write_lm(tmp_path / "foreign", CharacterTokenizer([*"abc"]))
    with pytest.raises(ModelError, match=r"labels.*cannot be used together; train"):
        load_model(tiny_model, "cpu", lm=foreign)
    with pytest.raises(ModelError, match="no such language model folder"):
        load_model(tiny_model, "cpu", lm=True)
    plain = load_model(tiny_model, "cpu")
    for option in ("lm_weight", "ilm_weight"):
        with pytest.raises(ConfigError, match="need a language model, and there is none here"):
            plain.transcribe(sound, RATE, **{option: 0.3})
    wrong = write_lm(tmp_path / "wrong", load_tokenizer(tiny_model), lm_wieght=0.3)
    with pytest.raises(ModelError, match="did you mean 'lm_weight'"):
        load_model(tiny_model, "cpu", lm=wrong)
