"""A recogniser that is right by construction: each word is a tone, and the CTC head hears it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from asr.config import TypedConfig
from asr.model import FULL_CONTEXT, ChunkContext, ModelConfig, SpeechModel, StreamingEncoder
from asr.model.folder import FolderConfig, LoadedModel
from asr.model.registry import register_encoder
from asr.text import TokenizerConfig, train_tokenizer

RATE = 16000
WORDS = "abcdefgh"
HERTZ = [400, 600, 850, 1150, 1500, 2000, 2700, 3600]


class TonesConfig(TypedConfig):
    type: Literal["test-tones"] = "test-tones"


@dataclass(frozen=True)
class TonesState:
    features: Tensor


@register_encoder("test-tones", TonesConfig)
class TonesEncoder(StreamingEncoder):
    """The mean of every eight features: it hears no further than its frame."""

    def __init__(self, config: TonesConfig, mels: int, feature_seconds: float) -> None:
        super().__init__()
        self.dim = mels
        self.frame_seconds = 8 * feature_seconds

    def needed(self, frames: int) -> int:
        return 8 * frames

    def forward(
        self, features: Tensor, lengths: Tensor, context: ChunkContext = FULL_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        size = features.shape[1] // 8
        return features[:, : 8 * size].unflatten(1, (size, 8)).mean(2), lengths // 8

    def initial_state(self, batch: int, context: ChunkContext) -> TonesState:
        return TonesState(torch.zeros(batch, 0, self.dim))

    def step(self, features: Tensor, state: TonesState, final: bool) -> tuple[Tensor, TonesState]:
        waiting = torch.cat((state.features, features), dim=1)
        memory, _ = self(waiting, torch.full((len(waiting),), waiting.shape[1]))
        return memory, replace(state, features=waiting[:, 8 * memory.shape[1] :])


def tones_model(folder: Path) -> LoadedModel:
    """A CTC model that writes the letter of each tone."""
    tokenizer = train_tokenizer([WORDS], TokenizerConfig(type="char", size=20), folder)
    parts = {"encoder": {"type": "test-tones"}, "decoder": None}
    config = FolderConfig(model=ModelConfig.model_validate(parts), vocabulary=tokenizer.size)
    model = SpeechModel(config.model, tokenizer.size).eval()
    assert model.ctc is not None
    with torch.no_grad():
        model.ctc.weight.zero_()
        model.ctc.bias.fill_(-30.0)
        model.ctc.bias[0] = 0.0
        for word in WORDS:
            tone = torch.from_numpy(say(word, 0.5))[None]
            features, _ = model.features(tone, torch.tensor([tone.shape[1]]))
            band = int(features[0].mean(0).argmax())
            [label] = [n for n in tokenizer.encode(word) if tokenizer.decode([n]) == word]
            model.ctc.weight[label, band] = 2.0
            model.ctc.bias[label] = -2.0 * 16
    return LoadedModel(model, tokenizer, config, folder)


def say(word: str, seconds: float) -> np.ndarray:
    """A tone (N,), louder than `tones_model` needs."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * HERTZ[WORDS.index(word)] * time)).astype(np.float32)
