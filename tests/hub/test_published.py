"""The table of published models."""

from __future__ import annotations

import re

import pytest

from asr.frontend import WhisperConfig
from asr.hub.published import PUBLISHED, nearest, published
from asr.hub.revisions import REVISIONS
from asr.model.speech_model import ModelConfig, SpeechModel
from asr.model.weights import Uninitialised
from asr.model.whisper.config import WhisperDecoderConfig, WhisperEncoderConfig


def test_names_are_unique_and_revisions_are_commits() -> None:
    names = [name for model in PUBLISHED for name in (model.name, model.repository)]
    assert len(set(names)) == len(names)
    assert set(REVISIONS) <= {model.repository for model in PUBLISHED}
    assert all(re.fullmatch("[0-9a-f]{40}", commit) for commit in REVISIONS.values())
    assert len(set(REVISIONS.values())) == len(REVISIONS)


@pytest.mark.parametrize("name", ["whisper-tiny.en", "whisper-base", "distil-small.en"])
def test_the_number_of_parameters_is_that_of_the_modules(name: str) -> None:
    model = published(name)
    assert model is not None
    sizes = [
        {"layers": count, "dim": model.dim, "heads": model.dim // 64, "ff": 4 * model.dim}
        for count in model.layers
    ]
    config = ModelConfig(
        frontend=WhisperConfig(mels=model.mels),
        encoder=WhisperEncoderConfig(**sizes[0]),
        decoder=WhisperDecoderConfig(**sizes[1]),
        ctc=False,
    )
    with Uninitialised():
        built = SpeechModel(config, model.vocabulary)
    count = sum(weights.numel() for weights in built.state_dict().values())
    keys_have_no_bias = model.dim * (model.layers[0] + 2 * model.layers[1])
    assert count - keys_have_no_bias == model.parameters


def test_the_sizes_are_those_of_the_files() -> None:
    """As the hub lists them; a header and a few settings come on top."""
    for name, size in (
        ("whisper-large-v3-turbo", 1_617_824_864),
        ("whisper-large-v2", 6_173_370_152),
        ("whisper-small.en", 966_992_008),
    ):
        model = published(name)
        assert model is not None
        assert 0 <= size - model.download_bytes < 200_000


def test_names() -> None:
    assert published("whisper-base.en") is published("openai/whisper-base.en") is not None
    assert published("distil-large-v3") is not None
    assert published("base.en") is published("openai/whisper-huge") is None
    assert nearest("whisper-tinyen") == "whisper-tiny.en"
    assert nearest("recipes/english") is None
    short = {"small": "small", "large": "large-v3", "turbo": "large-v3-turbo", "tiny.en": "tiny.en"}
    assert {name: nearest(name) for name in short} == {
        name: f"whisper-{full}" for name, full in short.items()
    }
