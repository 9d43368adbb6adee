"""Downmixing: many channels to one.

The mix is the sum of the channels, divided by the number of them that carry sound anywhere in
the recording. So a conversation on two channels is their mean, and a recording on one side only
keeps its level. The number must be known before the first sample is mixed, or it would depend on
where the blocks end; `mix_plan` looks for it, and stops as soon as every channel has carried
sound, which in most recordings is the first block. A file with a silent channel is decoded twice.

Two channels that cancel each other throughout (a cable of opposite polarity) are mixed with the
second one turned over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

#: A channel whose samples never go beyond this (-60 dB) counts as silent: the noise of an unused
#: input, or what a lossy codec leaks into it.
SILENT_PEAK = 2.0**-10

#: Below this part of the channels' energy (-30 dB) the mix has lost what they carry. Channels
#: that have nothing to do with each other keep at least 1/32 of it.
_CANCELLED = 1e-3


@dataclass(frozen=True)
class MixPlan:
    """How to mix a recording, which all of it decides.

    Attributes:
        carrying: how many channels carry sound; all of them if none does.
        inverted: the second of two channels is the first one upside down.
    """

    carrying: int
    inverted: bool = False


def mix_plan(blocks: Iterable[np.ndarray], channels: int) -> MixPlan:
    """The plan for `blocks` (n, channels) of one recording; reads no more than it must."""
    silent = set(range(channels))
    cancelling, sides, middle = channels == 2, 0.0, 0.0
    for block in blocks:
        for channel in tuple(silent):  # one by one: numpy is slow along the short axis
            samples = block[:, channel]
            if max(samples.max(), -samples.min()) > SILENT_PEAK:
                silent.remove(channel)
        if cancelling:
            mono = (block[:, 0] + block[:, 1]) / 2
            sides += float(np.vdot(block, block)) / 2
            middle += float(np.vdot(mono, mono))
            # Anything that is no copy upside down shows within the first block.
            cancelling = middle < _CANCELLED * sides
        if not silent and not cancelling:
            break
    return MixPlan(channels - len(silent) or channels, cancelling)


class Downmix:
    """Mixes blocks (n, channels) to mono (n,), as `plan` says."""

    def __init__(self, channels: int, plan: MixPlan) -> None:
        self._channels = channels
        self._divisor = np.float32(plan.carrying)
        self._inverted = plan.inverted
        self._energy_before = 0.0
        self._energy_after = 0.0

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """The mono samples (n,) of `block`, in memory of their own."""
        mono = block[:, 0].astype(np.float32)  # a copy
        if self._channels == 1:
            return mono
        if self._inverted:
            mono -= block[:, 1]
        else:
            # One channel after the other: numpy's sum may order its additions by the block's size.
            for channel in range(1, self._channels):
                mono += block[:, channel]
        mono /= self._divisor
        self._energy_before += float(np.vdot(block, block)) / self._channels
        self._energy_after += float(np.vdot(mono, mono))
        return mono

    def notes(self) -> list[str]:
        """Says when a channel was turned over, or channels have cancelled each other."""
        if self._inverted:
            return ["one channel is the other upside down: it was turned over before the mix"]
        if self._energy_after < _CANCELLED * self._energy_before:
            return [
                "the channels cancel each other (opposite polarity) and little is left of the "
                "mix; give one channel only"
            ]
        return []
