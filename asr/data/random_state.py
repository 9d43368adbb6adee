"""Random generators by name: the same seed, epoch and cut give the same numbers.

Global random state makes an interrupted run differ from an unbroken one, and a run with two
workers from one with three. Here each draw has a name, and the name is its seed.
"""

from __future__ import annotations

import hashlib

import numpy as np


def generator(*name: int | str) -> np.random.Generator:
    """A generator whose draws are a function of `name` alone, on every machine.

    Args:
        name: what the draw is for, most general first, such as (seed, epoch, "speed", cut id).
    """
    text = "\x1f".join(str(part) for part in name)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
