"""What a recipe says about its data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from asr.config import Config

Probability = Annotated[
    float, Field(ge=0, le=1, description="share of the utterances that it is done to")
]


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the lower limit comes first: [{limits[1]:g}, {limits[0]:g}]")
    return limits


Decibels = Annotated[
    tuple[Annotated[float, Field(ge=-100, le=100)], Annotated[float, Field(ge=-100, le=100)]],
    AfterValidator(_ordered),
]


class SpeedConfig(Config):
    """Plays an utterance at one of `factors`, drawn anew each epoch; pitch changes with it.

    Ko et al. 2015, "Audio augmentation for speech recognition".
    """

    factors: tuple[Annotated[float, Field(ge=0.5, le=2)], ...] = Field(
        (0.9, 1.0, 1.1), min_length=1, description="one of these is drawn each time"
    )


class VolumeConfig(Config):
    """Changes the level by a gain drawn from `gain_db`; never beyond full scale."""

    probability: Probability = 0.5
    gain_db: Decibels = (-20.0, 6.0)


class NoiseConfig(Config):
    """Adds a stretch of a random clip of `manifest`, at a ratio drawn from `snr_db`.

    All clips are kept in memory, 115 MB an hour at 16 kHz.
    """

    manifest: str = Field(min_length=1, description="clips without speech")
    probability: Probability = 0.5
    snr_db: Decibels = (0.0, 30.0)


class RoomConfig(Config):
    """Puts the speaker into a room: convolution with a random response (file) of `folder`."""

    folder: str = Field(min_length=1, description="room responses, an audio file each")
    probability: Probability = 0.3


class TelephoneConfig(Config):
    """Sends speech through a telephone: 300 to 3400 Hz, 8 kHz, companded to 8 bits."""

    probability: Probability = 0.1
    laws: tuple[Literal["mu", "a"], ...] = Field(
        ("mu", "a"), min_length=1, description="of companding: mu in America and Japan, else a"
    )


class CodecConfig(Config):
    """Encodes and decodes with a lossy codec at a low rate.

    On one core mp3 and gsm run at about 300 times real time, vorbis at 450, opus at 70: rare
    (`probability`), or with more workers.
    """

    probability: Probability = 0.1
    codecs: tuple[Literal["mp3", "vorbis", "gsm", "opus"], ...] = Field(
        ("mp3", "vorbis", "gsm"), min_length=1, description="one of these is drawn each time"
    )


class AugmentConfig(Config):
    """Changes of the sound, in the order in which sound meets them; None leaves one out."""

    speed: SpeedConfig | None = None
    room: RoomConfig | None = None
    noise: NoiseConfig | None = None
    volume: VolumeConfig | None = None
    telephone: TelephoneConfig | None = None
    codec: CodecConfig | None = None

    @property
    def slowest(self) -> float:
        """The speed factor that makes utterances longest."""
        return min(self.speed.factors) if self.speed is not None else 1.0


class CorpusSource(Config):
    """A corpus and how often each of its utterances is heard in an epoch.

    A recipe may write the path alone. `repeat: 3` hears each utterance three times an epoch,
    `repeat: 0.5` another random half of them each epoch. `columns` says which columns of a table
    have our fields: `{audio_filepath: clips/{path}, text: sentence}`.
    """

    manifest: str = Field(min_length=1, description="the corpus; writing its path alone will do")
    columns: dict[str, str] = Field(
        {}, description="columns of the fields that are called otherwise, as {text: sentence}"
    )
    repeat: float = Field(
        1.0, gt=0, le=1000, description="times an epoch that each utterance is heard"
    )


class DataConfig(Config):
    """Corpora, and how batches are made of them.

    Attributes:
        train: corpora to train on; a path, a `CorpusSource`, or a list of these.
        dev: corpora to validate on.
        batch_seconds: hard cap on the audio of a batch, padding included; the longest utterance
            must fit.
        batch_utterances: hard cap on the rows of a batch.
        min_seconds, max_seconds: other utterances are left out of training, and listed.
        buckets: batches hold utterances of about the same length, from one of so many buckets.
        buffer: utterances that buckets hold; corpora read lazily are shuffled within it.
        workers: processes that decode and augment; 0 does it in the training process.
        cache: `memory` decodes everything once, at the start (115 MB an hour at 16 kHz); `device`
            also moves it to the device that trains, once for each speed, and augments it there.
        augment: changes of the sound, see `AugmentConfig`.
        short_first: in so many first epochs batches go from short utterances to long ones
            (SortaGrad, Amodei et al. 2016): attention forms on short ones first.
        concatenate_seconds: joins random utterances up to a random length below this; 0 is off.
        sample_tokens: draw one of many ways to cut words into labels (subword regularisation).
        no_speech: allow utterances whose text is empty: the model learns to stay silent.
        missing_audio: what to do about audio that is missing or unreadable.
        leakage: what to do about audio that is both in `train` and in `dev`.
    """

    train: tuple[CorpusSource, ...] = ()
    dev: tuple[CorpusSource, ...] = ()
    batch_seconds: float = Field(200.0, gt=0)
    batch_utterances: int = Field(512, ge=1)
    min_seconds: float = Field(0.1, ge=0)
    max_seconds: float = Field(30.0, gt=0)
    buckets: int = Field(30, ge=1, le=1000)
    buffer: int = Field(20000, ge=1)
    workers: int = Field(2, ge=0, le=256)
    cache: Literal["none", "memory", "device"] = "none"
    augment: AugmentConfig = AugmentConfig()
    short_first: int = Field(0, ge=0)
    concatenate_seconds: float = Field(0.0, ge=0)
    sample_tokens: bool = False
    no_speech: bool = False
    missing_audio: Literal["refuse", "leave_out"] = "refuse"
    leakage: Literal["refuse", "allow"] = "refuse"

    @field_validator("train", "dev", mode="before")
    @classmethod
    def _paths_alone(cls, value: Any) -> Any:
        values = [value] if isinstance(value, str | dict) else value
        if not isinstance(values, list | tuple):
            return value
        return tuple(
            {"manifest": corpus} if isinstance(corpus, str) else corpus for corpus in values
        )

    @model_validator(mode="after")
    def _limits_agree(self) -> DataConfig:
        if self.min_seconds >= self.max_seconds:
            raise ValueError(
                f"min_seconds ({self.min_seconds:g}) must be below max_seconds "
                f"({self.max_seconds:g})"
            )
        if self.concatenate_seconds > self.max_seconds:
            raise ValueError(
                f"concatenate_seconds ({self.concatenate_seconds:g}) must not be above "
                f"max_seconds ({self.max_seconds:g})"
            )
        if self.cache == "device" and (self.augment.telephone or self.augment.codec):
            raise ValueError(
                "cache: device does not go with augment.telephone and augment.codec, which are "
                "computed on the processor; leave them out, or set cache: memory"
            )
        joined = self.concatenate_seconds / min(1.0, self.augment.slowest)
        if joined > self.batch_seconds:
            raise ValueError(
                f"batch_seconds ({self.batch_seconds:g}) is less than joined utterances may be "
                f"long ({joined:.4g} s: concatenate_seconds at the slowest speed); raise it or "
                f"lower concatenate_seconds"
            )
        return self

    @property
    def longest(self) -> float:
        """No row of a training batch is longer than so many seconds."""
        return self.max_seconds / min(1.0, self.augment.slowest)
