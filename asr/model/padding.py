"""Batches for encoders that padding is not the same as nothing to."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asr.frontend.protocol import zero_beyond

#: Features (B, T, F) and lengths (B,) to memory (B, M, D), lengths (B,) and tapped layers.
EncodeBatch = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, list[Tensor]]]


def encode_rows(
    encode: EncodeBatch, features: Tensor, lengths: Tensor, padded: Tensor
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """What `encode` gives for each row, where rows of equal padded lengths are encoded together.

    Args:
        features: (B, T, F); what stands beyond a row's length is never encoded.
        lengths: (B,).
        padded: (B,) the features that each row is encoded with, of which those beyond its length
            are zeros.

    Returns:
        memory (B, M, D) with zeros beyond the lengths (B,), and each tap likewise.
    """
    alike: dict[int, list[int]] = {}
    for row, size in enumerate(padded.tolist()):
        alike.setdefault(size, []).append(row)
    order = [row for rows in alike.values() for row in rows]
    memories: list[Tensor] = []
    counts: list[Tensor] = []
    tapped: list[list[Tensor]] = []
    for size, rows in alike.items():
        own = zero_beyond(features[rows, :size], lengths[rows])
        own = F.pad(own, (0, 0, 0, size - own.shape[1]))
        memory, count, taps = encode(own, lengths[rows])
        memories.extend(zero_beyond(memory, count))
        counts.append(count)
        taps = [zero_beyond(tap, count) for tap in taps]
        tapped.extend([tap[place] for tap in taps] for place in range(len(rows)))
    back = torch.tensor(order).argsort().tolist()

    def batched(parts: list[Tensor]) -> Tensor:
        return pad_sequence([parts[place] for place in back], batch_first=True)

    taps_of = [list(tap) for tap in zip(*tapped, strict=True)]
    return batched(memories), torch.cat(counts)[back], [batched(tap) for tap in taps_of]
