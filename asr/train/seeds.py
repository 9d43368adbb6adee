"""Random numbers as a function of where a run stands, so that resuming repeats nothing.

No generator's state is ever saved: every batch seeds its own from (seed, step, ...).
"""

from __future__ import annotations

import hashlib
import random

from asr.model import FULL_CONTEXT, ChunkContext
from asr.train.recipe import ChunkConfig


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
