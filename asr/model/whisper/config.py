"""The sizes of Whisper's encoder and decoder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from asr.config import TypedConfig


class WhisperSizes(TypedConfig):
    """The sizes of Whisper's encoder or decoder; the defaults are those of `tiny`.

    Attributes:
        layers: blocks of attention and feed-forward.
        dim: width of the frames or labels; a multiple of `heads`.
        heads: of each attention.
        ff: inner width of the feed-forward modules.
        positions: how many frames of memory, or labels, a sequence may have.
    """

    type: Literal["whisper"] = "whisper"
    layers: int = Field(default=4, ge=1)
    dim: int = Field(default=384, ge=4)
    heads: int = Field(default=6, ge=1)
    ff: int = Field(default=1536, ge=1)
    positions: int = Field(ge=1)

    @model_validator(mode="after")
    def _sizes_fit(self) -> WhisperSizes:
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} must be a multiple of heads {self.heads}")
        if self.dim % 2:
            raise ValueError(f"dim {self.dim} must be even")
        return self


class WhisperEncoderConfig(WhisperSizes):
    """The sizes of Whisper's encoder; see `WhisperSizes`. 1500 frames are 30 s.

    Whisper was trained on windows of 30 s that end in silence. An utterance that is encoded without
    any silence behind it is not understood, so a checkpoint needs some (docs/whisper.md); a model
    that was trained on true lengths needs none, the default.

    Attributes:
        tail: frames of silence that are encoded behind each utterance, and stay in its memory.
        grid: with a tail, utterances are encoded with silence up to a multiple of so many frames,
            those of equal length together.
        circular_positions: positions may begin anywhere and go round, as in a stream without an
            end; for models that are trained so, with chunks and without a tail.
    """

    positions: int = Field(default=1500, ge=1)
    tail: int = Field(default=0, ge=0)
    grid: int = Field(default=1, ge=1)
    circular_positions: bool = False

    @model_validator(mode="after")
    def _no_tail_in_streams(self) -> WhisperEncoderConfig:
        if self.circular_positions and self.tail:
            raise ValueError("circular_positions are for streams, which have no tail")
        return self


class WhisperDecoderConfig(WhisperSizes):
    """The sizes of Whisper's decoder; see `WhisperSizes`. The start sequence has positions too."""

    positions: int = Field(default=448, ge=1)
