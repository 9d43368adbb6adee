"""Downmixing: many channels to one.

The mix is the sum of the channels, divided by the number of them that carry sound anywhere in
the recording. So a conversation on two channels is their mean, and a recording on one side only
keeps its level. The number must be known before the first sample is mixed, or it would depend on
where the blocks end; `carrying_channels` looks for it, and stops as soon as every channel has
been heard, which in most recordings is the first block. A file with a silent channel is decoded
twice.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

#: A channel whose samples never go beyond this (-60 dB) counts as silent: the noise of an unused
#: input, or what a lossy codec leaks into it.
SILENT_PEAK = 2.0**-10

#: Below this part of the channels' energy (-30 dB) the mix has lost what they carry. Channels
#: that have nothing to do with each other keep at least 1/32 of it.
_CANCELLED = 1e-3


def carrying_channels(blocks: Iterable[np.ndarray], channels: int) -> int:
    """How many of the channels of `blocks` (n, channels) carry sound; all of them if none does."""
    silent = set(range(channels))
    for block in blocks:
        for channel in tuple(silent):  # one by one: numpy is slow along the short axis
            samples = block[:, channel]
            if max(samples.max(), -samples.min()) > SILENT_PEAK:
                silent.remove(channel)
        if not silent:
            break
    return channels - len(silent) or channels


class Downmix:
    """Mixes blocks (n, channels) to mono (n,): their sum divided by `carrying`."""

    def __init__(self, channels: int, carrying: int) -> None:
        self._channels = channels
        self._divisor = np.float32(carrying)
        self._energy_before = 0.0
        self._energy_after = 0.0

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """The mono samples (n,) of `block`, in memory of their own."""
        mono = block[:, 0].astype(np.float32)  # a copy
        if self._channels == 1:
            return mono
        # One channel after the other: numpy's sum may order its additions by the block's size.
        for channel in range(1, self._channels):
            mono += block[:, channel]
        mono /= self._divisor
        self._energy_before += float(np.vdot(block, block)) / self._channels
        self._energy_after += float(np.vdot(mono, mono))
        return mono

    def notes(self) -> list[str]:
        """Says when the channels have cancelled each other: one of them has opposite polarity."""
        if self._energy_after < _CANCELLED * self._energy_before:
            return [
                "the channels cancel each other (opposite polarity) and little is left of the "
                "mix; give one channel only"
            ]
        return []
