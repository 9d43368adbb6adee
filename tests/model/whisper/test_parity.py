"""Random models of every size class: features, encoder and logits are those of transformers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from asr.audio import load_audio
from asr.frontend import WhisperConfig, WhisperLogMel
from asr.model.whisper.files import read_hugging_face
from tests.conftest import RATE, SAMPLES
from tests.model.whisper.test_modules import outputs, transformers_model

transformers = pytest.importorskip("transformers", reason="the extra `dev` brings it")

#: Of what is computed in float32 by other kernels, as the issue of Whisper has it.
TOLERANCE = {"rtol": 0, "atol": 1e-4}


@dataclass(frozen=True)
class SizeClass:
    """A published size with fewer heads; all have heads of 64, and a feed-forward of 4 widths."""

    name: str
    mels: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    vocabulary: int
    frames: int = 60

    def model(self) -> Any:
        """A seeded random model of transformers."""
        dim = 64 * self.heads
        return transformers_model(
            num_mel_bins=self.mels,
            d_model=dim,
            encoder_layers=self.encoder_layers,
            decoder_layers=self.decoder_layers,
            encoder_attention_heads=self.heads,
            decoder_attention_heads=self.heads,
            encoder_ffn_dim=4 * dim,
            decoder_ffn_dim=4 * dim,
            vocab_size=self.vocabulary,
            max_source_positions=self.frames,
        )


ENGLISH, MULTILINGUAL, V3 = 51864, 51865, 51866
CLASSES = (
    SizeClass("tiny.en", 80, 2, 4, 4, ENGLISH, frames=1500),  # the whole window
    SizeClass("base", 80, 3, 6, 6, MULTILINGUAL),
    SizeClass("small", 80, 3, 12, 12, MULTILINGUAL),
    SizeClass("medium.en", 80, 2, 24, 24, ENGLISH),
    SizeClass("large-v2", 80, 2, 32, 32, MULTILINGUAL),
    SizeClass("large-v3", 128, 2, 32, 32, V3),
    SizeClass("large-v3-turbo", 128, 2, 32, 4, V3),
    SizeClass("distil-small.en", 80, 3, 12, 4, ENGLISH),
    SizeClass("distil-medium.en", 80, 2, 24, 2, ENGLISH),
    SizeClass("distil-large-v3", 128, 2, 32, 2, V3),
)


@pytest.mark.parametrize("size", CLASSES, ids=lambda size: size.name)
def test_memory_and_logits(size: SizeClass, tmp_path: Path) -> None:
    model = size.model()
    model.save_pretrained(tmp_path)
    generator = torch.Generator().manual_seed(5)
    features = torch.randn(2, 2 * size.frames, size.mels, generator=generator)
    tokens = torch.randint(size.vocabulary, (2, 7), generator=generator)
    memory, logits = outputs(read_hugging_face(tmp_path), features, tokens)
    with torch.inference_mode():
        expected = model(input_features=features.transpose(1, 2), decoder_input_ids=tokens)
    assert expected.logits.std() > 0.1  # wide enough for the tolerance to mean something
    torch.testing.assert_close(memory, expected.encoder_last_hidden_state, **TOLERANCE)
    torch.testing.assert_close(logits, expected.logits, **TOLERANCE)


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("source", ["speech", "noise"])
def test_features(source: str, mels: int) -> None:
    """Of a window of 30 s that is mostly silence, and of one that is full."""
    if source == "speech":
        samples = load_audio(SAMPLES / "quilter.wav", RATE).samples
    else:
        samples = np.random.default_rng(2).normal(0, 0.1, 30 * RATE).astype(np.float32)
    extract = transformers.WhisperFeatureExtractor(feature_size=mels)
    expected = extract(samples, sampling_rate=RATE, return_tensors="pt").input_features
    frontend = WhisperLogMel(WhisperConfig(mels=mels, pad_seconds=30.0))
    features, frames = frontend(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    assert frames.tolist() == [3000]
    assert isinstance(expected, Tensor)
    torch.testing.assert_close(features, expected.transpose(1, 2), **TOLERANCE)
