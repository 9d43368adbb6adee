"""Where a run stands, and the random numbers that follow from it.

No generator's state is ever saved: every batch seeds its own from (seed, epoch, index ...), so that
resuming repeats nothing.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from asr.model import FULL_CONTEXT, ChunkContext
from asr.train.recipe import ChunkConfig


@dataclass
class RunState:
    """Counters of a run, over all its calls and processes.

    `step` counts optimizer steps; `epoch` and `batch` (from 0) are the next batch to train on;
    `audio_seconds` and `labels` have been trained on; `skipped` steps had a loss or gradient that
    was not finite, `skipped_in_row` of them just now; `clock` is seconds of training; `left_out`
    utterances could not be decoded (of this process' share); `best` is the dev loss of the model
    that was last exported; `stopped` says whether a callback ended the run.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    audio_seconds: float = 0.0
    labels: int = 0
    skipped: int = 0
    skipped_in_row: int = 0
    clock: float = 0.0
    left_out: int = 0
    best: float = float("inf")
    stopped: bool = False

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what `state_dict` gave."""
        for field in fields(self):
            if field.name in state:
                setattr(self, field.name, state[field.name])


def derive(seed: int, *parts: int | str) -> int:
    """A 63-bit seed that depends on all of `parts`; the same on every machine."""
    text = ":".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def draw_context(config: ChunkConfig, seed: int) -> ChunkContext:
    """How much the encoder may see of the batch that `seed` belongs to."""
    generator = random.Random(seed)
    if generator.random() < config.full:
        return FULL_CONTEXT
    chunk = generator.randint(config.smallest, config.largest)
    return ChunkContext(chunk, generator.randint(config.least_left, config.most_left))
