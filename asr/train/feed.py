"""The endless stream of batches that Lightning is given, epoch after epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from asr.errors import AsrError

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
            for batch in _told_plainly(self.loader):
                if waiting is not None:
                    yield Fed(waiting, last=False)
                waiting = batch
            if waiting is not None:
                yield Fed(waiting, last=True)
            epoch += 1


def _told_plainly(loader: DataLoader[Any]) -> Iterator[Batch]:
    """The batches of `loader`; an error of a worker comes without the worker's traceback."""
    try:
        yield from loader
    except AsrError as error:
        kind = f"{type(error).__module__}.{type(error).__name__}: "
        raise type(error)(str(error).strip().rpartition(kind)[2]) from error
