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

    Attributes:
        circular_positions: positions may begin anywhere and go round, as in a stream without an
            end; for models that are trained so, with chunks.
        tail: frames of silence that are encoded behind each utterance. Published checkpoints were
            trained on windows that end in silence and make up text where there is none; a model
            that was trained on true lengths needs none.
    """

    positions: int = Field(default=1500, ge=1)
    circular_positions: bool = False
    tail: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _streams_have_no_tail(self) -> WhisperEncoderConfig:
        if self.tail and self.circular_positions:
            raise ValueError("circular_positions is for streams, which have no tail: set it to 0")
        return self


class WhisperDecoderConfig(WhisperSizes):
    """The sizes of Whisper's decoder; see `WhisperSizes`. The start sequence has positions too.

    Attributes:
        alignment_heads: (layer, head), counted from 0, that the checkpoint is published with for
            other programs to align labels by. They are kept so that the model can go back to such
            programs (tools/whisper_to_hugging_face.py). Word times here take all heads of the last
            half of the layers: on natural speech some lists are a label early (docs/whisper.md).
    """

    positions: int = Field(default=448, ge=1)
    alignment_heads: tuple[tuple[int, int], ...] | None = None

    @model_validator(mode="after")
    def _heads_exist(self) -> WhisperDecoderConfig:
        heads = self.alignment_heads
        if heads is None:
            return self
        if not heads or len(set(heads)) < len(heads):
            raise ValueError("alignment_heads must be different pairs (layer, head), at least one")
        wrong = [pair for pair in heads if not self.has_head(*pair)]
        if wrong:
            raise ValueError(
                f"alignment_heads {wrong}: there are {self.layers} layers of {self.heads} heads, "
                "counted from 0"
            )
        return self

    def has_head(self, layer: int, head: int) -> bool:
        """Whether there is such a head, both numbers counted from 0."""
        return 0 <= layer < self.layers and 0 <= head < self.heads
