"""LSTM and GRU encoders (Hochreiter and Schmidhuber 1997; Cho et al. 2014).

One direction streams exactly: what it says of a frame never depends on what follows. Both
directions see what a `ChunkContext` allows as latency-controlled networks do (Zhang et al. 2016):
the state of the forward direction is carried over, the backward one starts anew in each chunk.
The past is remembered whole, so `left` of a context changes nothing.

Time is reduced by convolutions, by pairs of frames that layers join (the pyramid of Chan et al.
2016), or both. An utterance is followed by silence until its last frame is covered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from asr.config import TypedConfig
from asr.errors import ModelError
from asr.model.attention import within
from asr.model.chunked import ChunkedEncoder, ChunkedState
from asr.model.layers import Dropout, initialise
from asr.model.protocols import FULL_CONTEXT, ChunkContext
from asr.model.registry import register_encoder
from asr.model.subsampling import Subsampling, SubsamplingConfig

#: The state of one direction of one layer: (B, D) of a GRU's hidden values, or those of an LSTM
#: and of its cells.
Carried = tuple[Tensor, ...]


class RecurrentConfig(TypedConfig):
    """The sizes of the encoder.

    Attributes:
        layers: recurrent layers.
        dim: width of each direction.
        bidirectional: a second direction from the end to the start; a stream then sees chunks.
        backwards: the one direction is that from the end to the start (the reversed input of
            Sutskever et al. 2014). Such an encoder cannot stream.
        projection: width that each layer's output is projected to; null leaves it.
        pyramid: so many layers, the last ones, read their frames in pairs: each halves time.
        layer_norm: of each layer's output.
        dropout: share of the activations that is set to zero in training.
        subsampling: convolutions before the first layer; null for none.
    """

    type: Literal["lstm", "gru"] = "lstm"
    layers: int = Field(default=4, ge=1)
    dim: int = Field(default=256, ge=1)
    bidirectional: bool = False
    backwards: bool = False
    projection: int | None = Field(default=None, ge=1)
    pyramid: int = Field(default=0, ge=0, le=4)
    layer_norm: bool = True
    dropout: float = Field(default=0.1, ge=0, lt=1)
    subsampling: SubsamplingConfig | None = SubsamplingConfig()

    @model_validator(mode="after")
    def _fits(self) -> RecurrentConfig:
        if self.pyramid > self.layers:
            raise ValueError(f"pyramid {self.pyramid} must not be above layers {self.layers}")
        if self.backwards and self.bidirectional:
            raise ValueError("backwards is for one direction: leave it out or bidirectional")
        return self


@dataclass(frozen=True)
class RecurrentEncoderState(ChunkedState):
    """A batch of streams between two steps: what the forward direction of each layer carries."""

    carried: tuple[Carried, ...]


@register_encoder("lstm", RecurrentConfig)
@register_encoder("gru", RecurrentConfig)
class RecurrentEncoder(ChunkedEncoder[RecurrentEncoderState]):
    """Subsampling, then recurrent layers."""

    layers: Sequence[RecurrentLayer]  # a ModuleList, which would be typed as any modules

    def __init__(self, config: RecurrentConfig, feature_dim: int, feature_seconds: float) -> None:
        super().__init__()
        self.feature_dim = feature_dim
        self.config = config
        self.pairing = 2**config.pyramid  # frames of the first layer for one of memory
        self.subsampling: Subsampling | None = None
        self.factor, width = self.pairing, feature_dim
        if config.subsampling is not None:
            width = config.dim
            self.subsampling = Subsampling(config.subsampling, feature_dim, width)
            self.factor *= self.subsampling.factor
        self.frame_seconds = feature_seconds * self.factor
        layers = []
        for number in range(config.layers):
            layers.append(RecurrentLayer(config, width, number >= config.layers - config.pyramid))
            width = layers[-1].width
        self.layers = nn.ModuleList(layers)  # type: ignore[assignment]
        self.dim = width
        self.dropout = Dropout(config.dropout)
        self.apply(initialise)

    def forward(
        self, features: Tensor, lengths: Tensor, context: ChunkContext = FULL_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        """See `Encoder.forward`."""
        self.check_context(context)
        lengths_after = -(-lengths // self.factor)
        if not features.shape[1]:
            return features.new_zeros(len(features), 0, self.dim), lengths_after
        features = self.covered(features * within(lengths, features.shape[1])[..., None])
        backwards = self.config.backwards
        first = lengths_after * self.pairing
        frames = self._subsampled(features)
        frames = reversed_within(frames, first) if backwards else frames
        memory, _ = self._layers(frames, first, context, [None] * len(self.layers))
        return reversed_within(memory, lengths_after) if backwards else memory, lengths_after

    def needed(self, frames: int) -> int:
        """See `StreamingEncoder.needed`."""
        first = frames * self.pairing
        return first if self.subsampling is None else self.subsampling.needed(first)

    def initial_state(self, batch: int, context: ChunkContext) -> RecurrentEncoderState:
        """See `StreamingEncoder.initial_state`."""
        self.check_context(context)
        nothing = next(self.parameters()).new_zeros(batch, 0, self.feature_dim)
        carried = tuple(layer.nothing(batch) for layer in self.layers)
        return RecurrentEncoderState(context, nothing, carried)

    def step(
        self, features: Tensor, state: RecurrentEncoderState, final: bool
    ) -> tuple[Tensor, RecurrentEncoderState]:
        """See `StreamingEncoder.step`.

        In one direction every frame comes as soon as it is known.
        """
        if self.config.bidirectional or self.config.backwards:
            return super().step(features, state, final)
        waiting = torch.cat((state.features, features), dim=1)
        size = self.frames(waiting.shape[1])
        if final:
            waiting = self.covered(waiting)
        while not final and self.needed(size) > waiting.shape[1]:
            size -= 1
        memory = waiting.new_zeros(len(waiting), 0, self.dim)
        if size:
            memory, state = self.chunk(waiting[:, : self.needed(size)], state)
        waiting = waiting[:, :0] if final else waiting[:, size * self.factor :]
        return memory, replace(state, features=waiting)

    def chunk(
        self, features: Tensor, state: RecurrentEncoderState
    ) -> tuple[Tensor, RecurrentEncoderState]:
        """See `ChunkedEncoder.chunk`."""
        frames = self._subsampled(features)
        lengths = torch.full((len(frames),), frames.shape[1], device=frames.device)
        memory, carried = self._layers(frames, lengths, FULL_CONTEXT, state.carried)
        return memory, replace(state, carried=tuple(carried))

    def _subsampled(self, features: Tensor) -> Tensor:
        if self.subsampling is None:
            return features
        return self.dropout(self.subsampling.windows(features))

    def _layers(
        self,
        frames: Tensor,
        lengths: Tensor,
        context: ChunkContext,
        carried: Sequence[Carried | None],
    ) -> tuple[Tensor, list[Carried]]:
        """The memory of frames (B, T, D) of the first layer, and what its layers carry on."""
        chunk = None if context.chunk is None else context.chunk * self.pairing
        states = []
        for layer, before in zip(self.layers, carried, strict=True):
            if layer.joins:
                frames, lengths = frames.unflatten(1, (-1, 2)).flatten(2), lengths // 2
                chunk = None if chunk is None else chunk // 2
            frames, after = layer(frames, lengths, chunk, before)
            states.append(after)
        return frames, states

    def check_context(self, context: ChunkContext) -> None:
        """See `Encoder.check_context`: one that reads from the end takes whole utterances only."""
        if self.config.backwards and context.chunk is not None:
            raise ModelError(
                f"encoder '{self.config.type}' reads from the end (backwards: true): it needs the "
                "whole utterance and cannot work on chunks; leave chunks out, or train one that "
                "reads forwards"
            )


class RecurrentLayer(nn.Module):
    """One or two directions, projection, layer norm, dropout."""

    def __init__(self, config: RecurrentConfig, width: int, joins: bool) -> None:
        super().__init__()
        self.joins = joins
        cell = {"lstm": nn.LSTM, "gru": nn.GRU}[config.type]
        taken = 2 * width if joins else width
        self.ahead = cell(taken, config.dim, batch_first=True)
        self.behind: nn.LSTM | nn.GRU | None = None
        self.width = config.dim
        if config.bidirectional:
            self.behind = cell(taken, config.dim, batch_first=True)
            self.width *= 2
        self.projection: nn.Linear | None = None
        if config.projection is not None:
            self.projection = nn.Linear(self.width, config.projection)
            self.width = config.projection
        self.norm = nn.LayerNorm(self.width) if config.layer_norm else None
        self.dropout = Dropout(config.dropout)
        for direction in (self.ahead, self.behind):
            if isinstance(direction, nn.LSTM):
                remember(direction.get_parameter("bias_ih_l0"))

    def forward(
        self, frames: Tensor, lengths: Tensor, chunk: int | None, carried: Carried | None
    ) -> tuple[Tensor, Carried]:
        """Frames (B, T, D) of which rows have `lengths`, in chunks of `chunk` frames."""
        outputs, after = _run(self.ahead, frames, carried)
        if self.behind is not None:
            outputs = torch.cat((outputs, self._backwards(frames, lengths, chunk)), dim=-1)
        if self.projection is not None:
            outputs = self.projection(outputs)
        if self.norm is not None:
            outputs = self.norm(outputs)
        return self.dropout(outputs), after

    def nothing(self, batch: int) -> Carried:
        """What the forward direction carries before the first frame."""
        zeros = self.ahead.weight_hh_l0.new_zeros(batch, self.ahead.hidden_size)
        return (zeros, zeros) if isinstance(self.ahead, nn.LSTM) else (zeros,)

    def _backwards(self, frames: Tensor, lengths: Tensor, chunk: int | None) -> Tensor:
        """The other direction, which starts anew at the end of each chunk."""
        assert self.behind is not None
        batch, size = frames.shape[:2]
        if chunk is not None and chunk < size:
            frames = F.pad(frames, (0, 0, 0, -size % chunk)).unflatten(1, (-1, chunk))
            starts = torch.arange(frames.shape[1], device=lengths.device) * chunk
            lengths = (lengths[:, None] - starts).clamp(0, chunk).flatten()
            frames = frames.flatten(0, 1)
        outputs, _ = _run(self.behind, reversed_within(frames, lengths), None)
        outputs = reversed_within(outputs, lengths)
        return outputs.reshape(batch, -1, outputs.shape[-1])[:, :size]


def reversed_within(frames: Tensor, lengths: Tensor) -> Tensor:
    """Frames (B, T, D) with each row's first `lengths` (B,) in the other order."""
    places = torch.arange(frames.shape[1], device=frames.device)
    turned = lengths[:, None] - 1 - places
    turned = torch.where(turned >= 0, turned, places)
    return frames.gather(1, turned[..., None].expand_as(frames))


@torch.no_grad()
def remember(bias: Tensor) -> None:
    """Sets the forget gates of an LSTM's bias (4 D,) to 1: it remembers at first
    (Gers et al. 2000; Jozefowicz et al. 2015).
    """
    size = len(bias) // 4
    bias[size : 2 * size] = 1.0


def _run(
    direction: nn.LSTM | nn.GRU, frames: Tensor, carried: Carried | None
) -> tuple[Tensor, Carried]:
    """torch counts layers first in its states, ours count the batch first."""
    if carried is None:
        outputs, after = direction(frames)
    elif isinstance(direction, nn.LSTM):
        hidden, cell = (part[None].contiguous() for part in carried)
        outputs, after = direction(frames, (hidden, cell))
    else:
        outputs, after = direction(frames, carried[0][None].contiguous())
    return outputs, tuple(part[0] for part in (after if isinstance(after, tuple) else (after,)))
