"""What a recipe says about its data."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from asr.config import Config


class Source(Config):
    """A corpus and how often each of its utterances is heard in an epoch.

    A recipe may write the path alone. `repeat: 3` hears each utterance three times an epoch,
    `repeat: 0.5` another half of them each epoch.
    """

    manifest: str = Field(min_length=1)
    repeat: float = Field(1.0, gt=0, le=1000)


class DataConfig(Config):
    """Corpora, and how batches are made of them."""

    train: tuple[Source, ...] = ()
    dev: tuple[Source, ...] = ()
    batch_seconds: float = Field(200.0, gt=0)
    batch_utterances: int = Field(512, ge=1)
    min_seconds: float = Field(0.1, ge=0)
    max_seconds: float = Field(30.0, gt=0)
    buckets: int = Field(30, ge=1, le=1000)
    buffer: int = Field(20000, ge=1)
    workers: int = Field(2, ge=0, le=256)
    cache: Literal["none", "memory"] = "none"

    @field_validator("train", "dev", mode="before")
    @classmethod
    def _paths_alone(cls, value: Any) -> Any:
        values = [value] if isinstance(value, str | dict) else value
        if not isinstance(values, list | tuple):
            return value
        return tuple({"manifest": one} if isinstance(one, str) else one for one in values)
