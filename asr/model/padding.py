"""Batches for encoders whose results depend on padding."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

#: Features (B, T, F) and lengths (B,) to memory (B, M, D), lengths (B,) and tapped layers.
EncodeBatch = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, list[Tensor]]]


def encode_rows(
    encode: EncodeBatch, features: Tensor, lengths: Tensor
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """What `encode` gives for each row, where rows of equal lengths are encoded together.

    Args:
        features: (B, T, F); what stands beyond a row's length is never encoded.
        lengths: (B,).

    Returns:
        memory (B, M, D) with zeros beyond the lengths (B,), and each tap likewise.
    """
    alike: dict[int, list[int]] = {}
    for row, length in enumerate(lengths.tolist()):
        alike.setdefault(length, []).append(row)
    order = [row for rows in alike.values() for row in rows]
    memories: list[Tensor] = []
    counts: list[Tensor] = []
    tapped: list[list[Tensor]] = []
    for length, rows in alike.items():
        memory, count, taps = encode(features[rows, :length], lengths[rows])
        memories.extend(memory)
        counts.append(count)
        tapped.extend([tap[place] for tap in taps] for place in range(len(rows)))
    back = torch.tensor(order).argsort().tolist()

    def batched(parts: list[Tensor]) -> Tensor:
        return pad_sequence([parts[place] for place in back], batch_first=True)

    taps_of = [list(tap) for tap in zip(*tapped, strict=True)]
    return batched(memories), torch.cat(counts)[back], [batched(tap) for tap in taps_of]
