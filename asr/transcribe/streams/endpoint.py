"""Where a segment of a stream ends. Whole files have the same settings: see `segmenter`.

The endpointer gets the level of each frame of memory and, if the model has CTC, the posterior of
the blank: a frame in which that is low holds a label. A segment ends

- after `silence_seconds` without a label and without loud sound (`loud_db`),
- after `noise_seconds` without a label, however loud,
- sooner once it is long: from half of `max_segment_seconds` on, both limits shrink linearly, to
  `quiet_seconds` and twice that, so that a long segment ends at the next short pause,
- at `max_segment_seconds` in any case: at the best pause of its last part (`LAST_PART_SECONDS`).

A pause is cut in its middle, so that each side keeps half of it. Sound before the first label is
dropped except for `lead_seconds`: silence is never searched. Labels in sound below `silence_db`
are ignored.

Without CTC a loud frame counts as a label.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pydantic import Field, model_validator

from asr.audio.samples import SILENCE_DB
from asr.config import Options

#: A segment of the greatest length is cut in this last part of it. Labels before it may be decided
#: already (`asr.transcribe.streams.open_segment`), and then belong to this segment.
LAST_PART_SECONDS = 0.64


class EndpointConfig(Options):
    """When a segment ends, and what is too quiet to be speech. Levels are RMS, full scale is 0."""

    source = "endpoint"

    silence_seconds: float = Field(default=0.7, ge=0.1, le=10.0)
    """Quiet after speech that ends a segment."""
    noise_seconds: float = Field(default=1.4, ge=0.1, le=20.0)
    """Sound without words after speech that ends a segment, however loud."""
    lead_seconds: float = Field(default=1.0, ge=0.1, le=10.0)
    """Sound before the first word that is kept."""
    max_segment_seconds: float = Field(default=20.0, ge=2.0, le=120.0)
    """The longest segment: not much longer than what models are trained on."""
    quiet_seconds: float = Field(default=0.2, ge=0.02, le=1.0)
    """The shortest pause in which a long segment is cut."""
    blank: float = Field(default=0.9, gt=0.0, lt=1.0)
    """A frame holds a label where CTC gives its blank less than this."""
    loud_db: float = Field(default=30.0, ge=3.0, le=100.0)
    """A frame is loud if it is no more than this below the loudest of its segment."""
    silence_db: float = Field(default=-75.0, ge=-140.0, le=-40.0)
    """What never gets louder than this has no speech."""

    @model_validator(mode="after")
    def _fits(self) -> EndpointConfig:
        if not self.quiet_seconds <= self.silence_seconds <= self.noise_seconds:
            raise ValueError(
                "quiet_seconds, silence_seconds and noise_seconds must not fall, got "
                f"{self.quiet_seconds}, {self.silence_seconds} and {self.noise_seconds}"
            )
        if self.noise_seconds + self.lead_seconds > self.max_segment_seconds:
            raise ValueError(
                f"max_segment_seconds ({self.max_segment_seconds}) must be at least noise_seconds "
                f"and lead_seconds together ({self.noise_seconds + self.lead_seconds})"
            )
        return self


@dataclass(frozen=True)
class Cut:
    """The first `frames` frames leave the segment; `speech`: they hold labels.

    The frames from `first` to before `last` are those that are not silence.
    """

    frames: int
    speech: bool
    first: int = 0
    last: int = 0


@dataclass
class Endpointer:
    """Follows one segment frame by frame. Its state is bounded, and can be pickled."""

    config: EndpointConfig
    frame_seconds: float
    labels: list[bool] = field(default_factory=list)
    """Of each frame of the segment: whether it holds a label."""
    levels: list[float] = field(default_factory=list)
    """Of each frame of the segment: its level, in dB."""
    label_frames: int = 0
    """Frames of the segment with a label."""
    peak: float = SILENCE_DB
    without_label: int = 0
    without_sound: int = 0

    def copy(self) -> Endpointer:
        """An endpointer that goes on independently of this one."""
        return replace(self, labels=[*self.labels], levels=[*self.levels])

    @property
    def frames(self) -> int:
        """Frames of the segment so far."""
        return len(self.labels)

    def push(self, level: float, blank: float | None) -> Cut | None:
        """Adds the next frame; returns a `Cut` where a segment ends or silence is dropped.

        Args:
            level: in dB.
            blank: the posterior of CTC's blank, None for a model without CTC.
        """
        label = level > self.config.silence_db and (
            self._loud(level) if blank is None else blank < self.config.blank
        )
        self._add(level, label)
        cut = self._decide()
        if cut:
            self._drop(cut.frames)
        return cut

    def bounds(self) -> tuple[int, int]:
        """The first frame of the segment that is not silence, and the one behind the last."""
        return self._bounds(self.frames)

    def _decide(self) -> Cut | None:
        config = self.config
        if not self.label_frames:
            idle = self.frames - self._count(config.lead_seconds)
            return Cut(idle, speech=False) if idle > 0 else None
        if self.without_sound >= self._pause_frames(config.silence_seconds, config.quiet_seconds):
            return self._cut(self.frames - self.without_sound // 2)
        if self.without_label >= self._pause_frames(config.noise_seconds, 2 * config.quiet_seconds):
            return self._cut(self.frames - self.without_label // 2)
        if self.frames >= self._count(config.max_segment_seconds):
            return self._cut(self._best_pause())
        return None

    def _pause_frames(self, seconds: float, least: float) -> int:
        """How long a pause must be: `seconds`, less in the second half of the longest segment."""
        most = self.config.max_segment_seconds
        over = max(0.0, 2 * self.frames * self.frame_seconds / most - 1)
        return self._count(seconds + min(over, 1.0) * (min(least, seconds) - seconds))

    def _best_pause(self) -> int:
        """The middle of the frames of the last part with the fewest labels, then the quietest."""
        width = self._count(self.config.quiet_seconds)
        size = min(max(self._count(LAST_PART_SECONDS), width), self.frames - 1)
        width = min(width, size)
        labels, levels = self.labels[-size:], self.levels[-size:]
        places = range(size - width, -1, -1)  # of equal ones the last, for the longest segment
        best = min(
            places, key=lambda at: (sum(labels[at : at + width]), sum(levels[at : at + width]))
        )
        return self.frames - size + best + (width + 1) // 2

    def _cut(self, frames: int) -> Cut:
        return Cut(frames, True, *self._bounds(frames))

    def _bounds(self, frames: int) -> tuple[int, int]:
        """As `bounds`, of the first `frames` frames."""
        sounding = [
            place for place in range(frames) if self.labels[place] or self._loud(self.levels[place])
        ]
        return (sounding[0], sounding[-1] + 1) if sounding else (0, frames)

    def _drop(self, frames: int) -> None:
        """Removes the first `frames` frames; the others begin a new segment."""
        labels, levels = self.labels[frames:], self.levels[frames:]
        self.labels, self.levels, self.peak = [], [], SILENCE_DB
        self.label_frames = self.without_label = self.without_sound = 0
        for label, level in zip(labels, levels, strict=True):
            self._add(level, label)

    def _add(self, level: float, label: bool) -> None:
        self.peak = max(self.peak, level)
        sound = label or self._loud(level)
        self.labels.append(label)
        self.levels.append(level)
        self.label_frames += label
        self.without_label = 0 if label else self.without_label + 1
        self.without_sound = 0 if sound else self.without_sound + 1

    def _loud(self, level: float) -> bool:
        """Whether a frame is above silence and not far below the loudest of its segment."""
        peak = max(self.peak, level)
        return level > self.config.silence_db and level >= peak - self.config.loud_db

    def _count(self, seconds: float) -> int:
        return max(1, round(seconds / self.frame_seconds))
