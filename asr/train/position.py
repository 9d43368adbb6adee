"""Where a run stands."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass
class Position:
    """Counters of a run, over all its calls and processes.

    `step` counts optimizer steps; `epoch` and `batch` (from 0) are the next batch to train on;
    `audio_seconds` have been trained on; `skipped` steps had a loss or gradient that was not
    finite, `skipped_in_row` of them just now; `clock` is seconds of training;
    `left_out` utterances could not be decoded (of this process' share); `best` is the dev loss of
    the model that was last exported.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    audio_seconds: float = 0.0
    skipped: int = 0
    skipped_in_row: int = 0
    clock: float = 0.0
    left_out: int = 0
    best: float = float("inf")
    order: dict[str, Any] = field(default_factory=dict)

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def of(cls, state: dict[str, Any]) -> Position:
        """From what `state_dict` gave."""
        return cls(**{one.name: state[one.name] for one in fields(cls) if one.name in state})
