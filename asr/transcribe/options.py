"""The options of a call: what `transcribe`, `stream`, the command line and evaluation take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from pydantic import Field, FiniteFloat, field_validator, model_validator

from asr.config import Options
from asr.errors import ConfigError
from asr.transcribe.hotwords import Hotwords, plain_hotwords
from asr.transcribe.streams.endpoint import EndpointConfig

if TYPE_CHECKING:
    from typing_extensions import Unpack


class OptionValues(TypedDict, total=False):
    """The fields of `TranscribeOptions` as keyword arguments; they are documented there."""

    chunk_ms: float | None
    left_ms: float | None
    endpoint: EndpointConfig | None
    beam: int | None
    nbest: int | None
    ctc_weight: float | None
    lm_weight: float | None
    ilm_weight: float | None
    length_reward: float | None
    hotwords: Hotwords | None
    hotword_weight: float | None
    language: str | None
    task: Literal["transcribe", "translate"] | None
    prompt: str | None
    timestamps: bool | None
    fields: dict[str, str] | None


class TranscribeOptions(Options):
    """How a recording or a stream is decoded. None takes the default of the model.

    Immutable, comparable, hashable and picklable. `model_dump(mode="json", exclude_none=True)`
    gives JSON values, and `TranscribeOptions.of(**values)` takes them back.

    Values are checked here. What depends on a model is checked where it is used: whether chunks are
    whole frames of its encoder, whether it has CTC, a decoder or a language model, whether it knows
    the language, the task and the fields, and whether its tokenizer can write the hotwords.
    """

    chunk_ms: FiniteFloat | None = Field(None, gt=0.0)
    """How much sound the encoder sees at once, in milliseconds, a multiple of the model's
    `frame_seconds`: text appears about so much later. Shorter chunks cost more work, and some
    accuracy. None: whole segments for recordings, 640 for streams."""
    left_ms: FiniteFloat | None = Field(None, ge=0.0, le=600_000.0)
    """How much sound before its chunk a frame sees; needs `chunk_ms`. None: about five seconds."""
    endpoint: EndpointConfig | None = None
    """Where segments end. Without chunks only the level of the sound decides: see
    `asr.transcribe.files.segmenter`."""
    beam: int | None = Field(None, ge=1, le=1000)
    """Hypotheses that the search keeps; 1 is greedy."""
    nbest: int | None = Field(None, ge=1, le=1000)
    """Hypotheses returned for each segment (`Segment.alternatives`); at most `beam`."""
    ctc_weight: FiniteFloat | None = Field(None, ge=0.0, le=1.0)
    """Share of CTC in the score; attention has the rest."""
    lm_weight: FiniteFloat | None = Field(None, ge=0.0)
    """Weight of the language model."""
    ilm_weight: FiniteFloat | None = Field(None, ge=0.0)
    """How much of the decoder's internal language model is subtracted, where another is used."""
    length_reward: FiniteFloat | None = Field(None, ge=0.0)
    """Added to the score for each label."""
    hotwords: str | tuple[str, ...] | dict[str, float] | None = None
    """Phrases that are likely: a file with one in each line, a list of them, one string with commas
    between them, or phrases with their weights (1 is usual); see docs/hotwords.md."""
    hotword_weight: FiniteFloat | None = Field(None, ge=0.0)
    """Added to the score for each letter of a hotword; needs `hotwords`."""
    language: str | None = Field(None, min_length=1)
    """Code of the language that is spoken, as "fr", or "auto": that of each segment is detected, by
    models that know several. None: auto for such models, the only language for others. Streams do
    not detect; a model that knows several languages needs a code there."""
    task: Literal["transcribe", "translate"] | None = None
    """"translate": the text is English, whatever is spoken, by models that can. None:
    transcribe."""
    prompt: str | None = None
    """Text that each segment is to follow, for names and style, by Whisper models: what the sound
    does not decide is written as in the prompt. None: no prompt; an empty one is refused."""
    timestamps: bool | None = None
    """True: Whisper models write times into their text, and segments are cut there and have these
    times. None or False: segments are cut at pauses."""
    fields: dict[str, str] | None = None
    """Values of the prompt fields that a model was trained with, but for the language, as
    `{"style": "plain"}`; those that are left out have the model's defaults. See docs/prompts.md."""

    def __init__(self, **values: Unpack[OptionValues]) -> None:
        """Checks the values.

        Raises:
            ConfigError: an option is unknown (the nearest known one is named), out of range, or
                needs another one.
        """
        super().__init__(**values)

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # see `Options`

    def __hash__(self) -> int:
        plain = (frozenset(v.items()) if isinstance(v, dict) else v for _, v in self)
        return hash(tuple(plain))

    @field_validator("hotwords", mode="before")
    @classmethod
    def _plain_hotwords(cls, value: Any) -> str | tuple[str, ...] | dict[str, float] | None:
        return plain_hotwords(value)

    @field_validator("prompt")
    @classmethod
    def _prompt_has_text(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("the prompt is empty: give it text, or leave it out")
        return value

    @model_validator(mode="after")
    def _fits(self) -> TranscribeOptions:
        if self.left_ms is not None and self.chunk_ms is None:
            raise ValueError(
                "left_ms needs chunk_ms (--left-ms needs --chunk-ms): without chunks the encoder "
                "sees the whole past; leave it out"
            )
        if self.hotword_weight is not None and self.hotwords is None:
            raise ValueError(
                "hotword_weight needs hotwords (--hotword-weight needs --hotwords): add them, or "
                "leave it out"
            )
        unfit = {
            "chunk_ms (--chunk-ms; streams have it always)": self.chunk_ms is not None,
            "lm_weight (--lm-weight)": bool(self.lm_weight),
            "nbest (--nbest)": (self.nbest or 1) > 1,
        }
        for name, given in unfit.items() if self.timestamps else ():
            if given:
                raise ValueError(
                    f"timestamps (--timestamps) and {name} do not go together: leave one out"
                )
        if self.fields is not None and "language" in self.fields:
            raise ValueError(
                "fields cannot have the language (--field language=...), which is an option of its "
                "own: language (--language)"
            )
        return self

    @classmethod
    def of(
        cls, options: TranscribeOptions | None = None, **values: Unpack[OptionValues]
    ) -> TranscribeOptions:
        """`options` with the given values in place of theirs; None clears a value.

        Raises:
            ConfigError: as the constructor, or `options` are of another type.
        """
        merged = cls.merged(options, values)
        return cls(**merged) if options is None or values else options

    @classmethod
    def merged(cls, options: TranscribeOptions | None, values: OptionValues) -> OptionValues:
        """As `of`, but the values before they are checked.

        Raises:
            ConfigError: `options` are of another type.
        """
        if options is None:
            return values
        if not isinstance(options, TranscribeOptions):
            raise ConfigError(
                f"options must be asr.TranscribeOptions, got {type(options).__name__}; "
                "a dict goes as **values"
            )
        return cast(OptionValues, {**options.given, **values})

    @property
    def given(self) -> Mapping[str, Any]:
        """The options that are not None."""
        return {name: value for name, value in self if value is not None}
