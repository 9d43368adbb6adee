"""Recurrent models from a recipe to text: attention alone, CTC alone, and both."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

import asr
from asr.cli.main import program
from asr.transcribe.recognizer import Recognizer
from tests.train.conftest import RATE, RECIPE, sound_of

SMALL = "{channels: 4}"
MODELS = {
    "attention": (
        f"model.encoder={{type: lstm, layers: 1, dim: 48, subsampling: {SMALL}}}",
        "model.decoder={type: gru, dim: 32, attention: location, attention_dim: 16, kernel: 9}",
        "model.ctc=false",
        "loss.ctc_weight=0",
        "training.max_steps=300",
    ),
    "ctc": (
        f"model.encoder={{type: gru, layers: 1, dim: 24, bidirectional: true, "
        f"subsampling: {SMALL}}}",
        "model.decoder=null",
        "loss.ctc_weight=1",
        "chunks={full: 0.5, smallest: 4, largest: 8}",
        "training.max_steps=120",
    ),
}
TEXTS = ["ab cab", "abc", "ba ab bac", "cab ba", "bac abc ab"]


@pytest.fixture(scope="module", params=MODELS)
def model(
    request: pytest.FixtureRequest, corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> Recognizer:
    folder = tmp_path_factory.mktemp(request.param)
    values = json.loads(json.dumps(RECIPE))
    for part in ("train", "dev"):
        values["data"][part] = str(corpus / part / "manifest.jsonl")
    values |= {"spec_augment": None, "optimizer": {"lr": 0.01}}
    values["validation"] = {"steps": 1000, "decode": 4}
    del values["training"]["max_steps"]
    values["training"]["ema"] = 0.9
    (folder / "tones.yaml").write_text(yaml.safe_dump(values))
    command = ["train", str(folder / "tones.yaml"), *MODELS[request.param]]
    result = CliRunner().invoke(program, command)
    assert result.exit_code == 0, result.output
    return asr.load_model(folder / "exp" / "tones" / "model", device="cpu")


def test_it_transcribes_and_streams(model: Recognizer) -> None:
    noise = np.random.default_rng(99)
    sounds = [sound_of(text, noise) for text in TEXTS]
    heard = [model.transcribe(sound, RATE).text for sound in sounds]
    assert sum(a != b for a, b in zip(TEXTS, heard, strict=True)) <= 2, heard
    for sound in sounds:
        whole = model.transcribe(sound, RATE, chunk_ms=320)
        stream = model.stream(RATE, chunk_ms=320)
        updates = [stream.feed(block) for block in np.array_split(sound, 7)] + [stream.flush()]
        assert [s.text for u in updates for s in u.final] == [s.text for s in whole.segments]
    if model.model.ctc is None:  # one direction says the same whether it hears chunks or all
        chunked = [model.transcribe(sound, RATE, chunk_ms=320).text for sound in sounds]
        assert chunked == heard
