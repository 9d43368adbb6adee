"""The samples that belong to each frame of memory, whatever a front end and an encoder wait for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from asr.config import TypedConfig
from asr.model import FULL_CONTEXT, ChunkContext, ModelConfig, SpeechModel, StreamingEncoder
from asr.model.registry import register_encoder
from asr.transcribe.streams.chunk_encoder import ChunkEncoder
from asr.transcribe.streams.state import SampleQueue

RATE = 16000
WHISPER = {"type": "whisper", "maximum": "running"}
SMALL = {"type": "conformer", "layers": 1, "dim": 16, "heads": 2, "ff": 16}


class EverySecondConfig(TypedConfig):
    type: Literal["test-every-second"] = "test-every-second"


@dataclass(frozen=True)
class EverySecondState:
    """`features` (B, 0 or 1, F): one that is a frame already, without the one behind it."""

    features: Tensor


@register_encoder("test-every-second", EverySecondConfig)
class EverySecondEncoder(StreamingEncoder):
    """Features 0, 2, 4 ...: the last feature of a frame is the first of the time that it spans."""

    def __init__(self, config: EverySecondConfig, mels: int, feature_seconds: float) -> None:
        super().__init__()
        self.dim = mels
        self.frame_seconds = 2 * feature_seconds

    def needed(self, frames: int) -> int:
        return 2 * frames - 1 if frames else 0

    def forward(
        self, features: Tensor, lengths: Tensor, context: ChunkContext = FULL_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        return features[:, ::2], (lengths + 1) // 2

    def initial_state(self, batch: int, context: ChunkContext) -> EverySecondState:
        return EverySecondState(torch.zeros(batch, 0, self.dim))

    def step(
        self, features: Tensor, state: EverySecondState, final: bool
    ) -> tuple[Tensor, EverySecondState]:
        waiting = torch.cat((state.features, features), dim=1)
        memory = waiting[:, ::2][:, state.features.shape[1] :]
        return memory, replace(state, features=waiting[:, waiting.shape[1] // 2 * 2 :])


@pytest.mark.parametrize("frontend", [WHISPER, {"type": "kaldi"}], ids=["whisper", "kaldi"])
@pytest.mark.parametrize("encoder", [{"type": "test-every-second"}, SMALL], ids=["second", "conv"])
def test_each_frame_has_the_samples_of_its_time(
    frontend: dict[str, Any], encoder: dict[str, Any]
) -> None:
    """Levels that are measured on them belong to the frame, from the first chunk to the last."""
    config = ModelConfig.model_validate({"frontend": frontend, "encoder": encoder, "decoder": None})
    model = SpeechModel(config, 5).eval()
    chunked = ChunkEncoder(model, ChunkContext(chunk=4, left=8))
    sound = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    queue, state = SampleQueue(chunked.frame_samples), chunked.initial_state()
    queue.put(sound)
    framed, memory, final = [], [], False
    while not final:
        final = queue.queued < chunked.needed(state)
        samples = queue.take(queue.queued if final else chunked.needed(state))
        [chunk] = chunked.step([samples], [state], final)
        state = chunk.state
        framed.append(queue.frames(len(chunk.memory)))
        memory.append(chunk.memory)
        assert final or len(chunk.memory) == 4
    together = np.concatenate(framed).ravel()
    size = min(len(together), len(sound))
    assert len(memory) > 5
    np.testing.assert_array_equal(together[:size], sound[:size])
    assert not together[size:].any()
    assert len(sound) - size <= chunked.frame_samples  # less than a window of features is left
