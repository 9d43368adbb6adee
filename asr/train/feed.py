"""The endless stream of batches that Lightning is given, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from asr.data.batches import BatchSampler
    from asr.data.dataset import Batch


@dataclass(frozen=True)
class Fed:
    """A batch, and whether it is the last of its epoch."""

    batch: Batch
    last: bool

    def to(self, device: torch.device, non_blocking: bool = False) -> Fed:
        """The same with the tensors on `device`."""
        return replace(self, batch=self.batch.to(device, non_blocking=non_blocking))

    def map(self, change: Callable[[Batch], Batch]) -> Fed:
        """The same with another batch."""
        return replace(self, batch=change(self.batch))


class Feed:
    """Batches from where the sampler stands to the end of epoch number `epochs` (from 1).

    Args:
        loader: yields the rest of the sampler's epoch each time it is iterated.
        epochs: None for no end.
    """

    def __init__(self, loader: DataLoader[Any], sampler: BatchSampler, epochs: int | None) -> None:
        self.loader = loader
        self.sampler = sampler
        self.epochs = epochs

    def __iter__(self) -> Iterator[Fed]:
        """One pass over everything that is left."""
        epoch = self.sampler.epoch
        while self.epochs is None or epoch < self.epochs:
            self.sampler.set_epoch(epoch)
            waiting = None
            for batch in self.loader:
                if waiting is not None:
                    yield Fed(waiting, last=False)
                waiting = batch
            if waiting is not None:
                yield Fed(waiting, last=True)
            epoch += 1


class RunningFeed:
    """Batches that go on over the ends of epochs by themselves."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Fed]:
        """One pass over everything that is left."""
        waiting: Batch | None = None
        for batch in self.batches:
            if waiting is not None:
                yield Fed(waiting, last=batch.epoch != waiting.epoch)
            waiting = batch
        if waiting is not None:
            yield Fed(waiting, last=True)
