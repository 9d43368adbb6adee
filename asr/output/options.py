"""Options of the output formats."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import Field, model_validator

from asr.config import Options


class SubtitleConfig(Options):
    """How subtitles are cut: the line and time limits always hold, the others where sound allows.

    A reader who cannot keep up is helped by longer cues where there is a pause to fill, and by
    cuts that leave one; no words are left out for it.
    """

    source = "subtitles"

    line_chars: int = Field(42, ge=8, description="most characters of a line")
    lines: int = Field(2, ge=1, description="most lines of a cue")
    max_seconds: float = Field(7.0, gt=0, description="longest time that a cue is shown")
    min_seconds: float = Field(
        1.0, ge=0, description="a cue stays so long where the next one leaves room for it"
    )
    chars_per_second: float = Field(
        20.0, gt=0, description="reading speed that cues are kept below where there is room"
    )
    pause_seconds: float = Field(1.0, gt=0, description="a pause of so long always ends a cue")
    highlight_words: bool = Field(
        False, description="vtt: underline each word while it is being said"
    )

    @model_validator(mode="after")
    def _least_is_less(self) -> SubtitleConfig:
        if self.min_seconds > self.max_seconds:
            raise ValueError(
                f"min_seconds ({self.min_seconds:g}) is more than max_seconds "
                f"({self.max_seconds:g}): lower it"
            )
        return self


@dataclass(frozen=True)
class OutputOptions:
    """What a format may need besides the transcript: its model, how to cut subtitles."""

    model: str = ""
    subtitles: SubtitleConfig = field(default_factory=SubtitleConfig)
