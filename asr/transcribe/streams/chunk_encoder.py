"""From samples to memory by steps: front end, normalisation and encoder as one operator.

A step takes the samples that the next chunk of frames needs, and all that these frames span. How
many depends on the number of the chunk alone, so what an encoder computes does not depend on how
samples arrive, and streams in the same situation go through it together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr.errors import ConfigError, ModelError
from asr.model import ASRModel, ChunkContext
from asr.model.protocols import streaming_encoder
from asr.model.states import joined, shape, split


@dataclass(frozen=True)
class ChunkEncoderState:
    """One stream between two steps; `chunks` counts those that are done."""

    frontend: Any
    encoder: Any
    chunks: int = 0


@dataclass(frozen=True)
class EncodedChunk:
    """What one step gave: memory (m, D), and CTC's log posteriors (m, V), None without CTC."""

    memory: Tensor
    log_probs: np.ndarray | None
    state: ChunkEncoderState


def can_stream(model: ASRModel) -> bool:
    """Whether front end and encoder can work on the chunks of a stream."""
    try:
        streaming_encoder(model, ChunkContext(chunk=16))
    except ModelError:
        return False
    return True


class ChunkEncoder:
    """A model that streams, with the context that its encoder sees.

    Raises:
        ModelError: the model cannot stream, or not with this context.
    """

    def __init__(self, model: ASRModel, context: ChunkContext) -> None:
        if context.chunk is None:
            raise ConfigError(
                "a stream needs chunk_ms: without chunks nothing is known before its end"
            )
        self.model = model
        self.encoder = streaming_encoder(model, context)
        self.context = context
        self.chunk = context.chunk

    @property
    def frame_samples(self) -> int:
        """Samples from one frame of memory to the next."""
        return round(self.encoder.frame_seconds * self.model.sample_rate)

    def initial_state(self) -> ChunkEncoderState:
        """The state of one stream before its first sample."""
        encoder = self.encoder.initial_state(1, self.context)
        return ChunkEncoderState(self.model.frontend.initial_state(1), encoder)

    def needed(self, state: ChunkEncoderState) -> int:
        """How many samples the next chunk takes."""
        before = self._samples(state.chunks * self.chunk)
        return self._samples((state.chunks + 1) * self.chunk) - before

    def _samples(self, frames: int) -> int:
        """How many samples the first `frames` frames are computed from, or span if that is more.

        The levels of frames are measured on the samples that they span (`SampleQueue.frames`).
        Where a front end centres its windows, they may end behind the last sample of a feature.
        """
        computed_from = self.model.frontend.samples_needed(self.encoder.needed(frames))
        return max(computed_from, frames * self.frame_samples)

    @torch.inference_mode()
    def step(
        self, samples: Sequence[np.ndarray], states: Sequence[ChunkEncoderState], final: bool
    ) -> list[EncodedChunk]:
        """Encodes the next samples (n,) of several streams; `final` ends them all.

        Streams that are alike (as many samples, states of one shape) are one batch.
        """
        alike: dict[Any, list[int]] = {}
        for place, (block, state) in enumerate(zip(samples, states, strict=True)):
            key = (len(block), shape((state.frontend, state.encoder)))
            alike.setdefault(key, []).append(place)
        encoded: dict[int, EncodedChunk] = {}
        for places in alike.values():
            together = self._step([samples[n] for n in places], [states[n] for n in places], final)
            encoded.update(zip(places, together, strict=True))
        return [encoded[place] for place in range(len(samples))]

    def _step(
        self, samples: list[np.ndarray], states: list[ChunkEncoderState], final: bool
    ) -> list[EncodedChunk]:
        model = self.model
        device = next(model.parameters()).device
        frontend, encoder = joined([(state.frontend, state.encoder) for state in states])
        blocks = torch.from_numpy(np.stack(samples)).to(device)
        features, frontend = model.frontend.step(blocks, frontend, final)
        memory, encoder = self.encoder.step(model.normalise(features), encoder, final)
        log_probs = [None] * len(states)
        if model.ctc is not None:
            log_probs = list(model.ctc_log_probs(memory).cpu().numpy())
        return [
            EncodedChunk(
                memory[row].clone(), log_probs[row], ChunkEncoderState(*parts, state.chunks + 1)
            )
            for row, (parts, state) in enumerate(
                zip(split((frontend, encoder), len(states)), states, strict=True)
            )
        ]
