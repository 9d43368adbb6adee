"""The protocol of audio decoders, and the blocks that they yield."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

#: Sample frames in a block: four seconds at 16 kHz, and few megabytes however many channels.
BLOCK_FRAMES = 1 << 16

Block = np.ndarray
"""Samples (n, channels), float32, n from 1 to BLOCK_FRAMES; good until the next one is taken."""


class AudioDecoder(Protocol):
    """Reads one file once, from its start to its end."""

    rate: int
    """Samples a second."""
    channels: int
    notes: list[str]
    """Sentences for people; complete when the blocks have ended."""
    complete: bool
    """False once it is known that sound is missing at the end."""

    def blocks(self) -> Iterator[Block]:
        """The samples in order; may be called once."""
        ...

    def close(self) -> None:
        """Frees what the library holds; the source stays open."""
        ...


class CannotDecodeError(Exception):
    """One library cannot read this file; another may. Never leaves this package."""
