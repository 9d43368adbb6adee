"""The items of an epoch: which cuts, joined how, at which speed. No audio is read here.

It is decided before batches are made, so that the seconds a batch is capped by are those that
will be heard. Every decision is a function of (seed, epoch, cut id).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from asr.data.batches import Item
from asr.data.config import SpeedConfig
from asr.data.random_state import generator

if TYPE_CHECKING:
    from lhotse.cut import Cut

#: Key in a cut's `custom`: the share of epochs in which it is heard.
SHARE = "epoch_share"


class EpochItems:
    """Makes items of cuts: leaves out, joins, draws the speed."""

    def __init__(self, seed: int, speed: SpeedConfig | None, concatenate_seconds: float) -> None:
        self.seed = seed
        self.factors = speed.factors if speed is not None else (1.0,)
        self.concatenate_seconds = concatenate_seconds

    def __call__(self, cuts: Iterable[Cut], epoch: int) -> Iterator[Item]:
        """The items of `epoch`, in the order of `cuts`."""
        included = (cut for cut in cuts if self._included(cut, epoch))
        for group in (
            self._joined(included, epoch) if self.concatenate_seconds else _alone(included)
        ):
            name = "+".join(cut.id for cut in group)
            speed = 1.0
            if len(self.factors) > 1:
                draw = generator(self.seed, epoch, "speed", name)
                speed = self.factors[int(draw.integers(len(self.factors)))]
            else:
                speed = self.factors[0]
            yield Item(name, sum(cut.duration for cut in group) / speed, group, speed)

    def _included(self, cut: Cut, epoch: int) -> bool:
        share = (getattr(cut, "custom", None) or {}).get(SHARE, 1.0)
        return share >= 1.0 or generator(self.seed, epoch, "heard", cut.id).random() < share

    def _joined(self, cuts: Iterable[Cut], epoch: int) -> Iterator[tuple[Cut, ...]]:
        """Each cut with as many that follow as fit a length drawn below the limit."""
        group: list[Cut] = []
        seconds = limit = 0.0
        for cut in cuts:
            if group and seconds + cut.duration > limit:
                yield tuple(group)
                group, seconds = [], 0.0
            if not group:
                draw = generator(self.seed, epoch, "join", cut.id)
                limit = draw.uniform(0, self.concatenate_seconds)
            group.append(cut)
            seconds += cut.duration
        if group:
            yield tuple(group)


def _alone(cuts: Iterable[Cut]) -> Iterator[tuple[Cut, ...]]:
    return ((cut,) for cut in cuts)
