"""Batches of cuts by seconds, from buckets of like length, resumable at any batch.

Lhotse's dynamic bucketer does the sampling. Around it stands what exact resumption needs: every
draw is a function of (seed, epoch, cut id), the order of an epoch is a function of (seed, epoch),
and the position is counted by the training loop (`done`), not by what workers have prefetched.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from torch.utils.data import Sampler

from asr.data.random_state import generator
from asr.errors import ConfigError, TrainingError

if TYPE_CHECKING:
    from lhotse.cut import Cut

#: How many cuts are looked at to place the bounds of the buckets.
BOUNDS_FROM = 20000
#: Up to so many cuts in memory an epoch is planned before it starts.
PLANNED_WHOLE = 200_000
#: A bucket's longest item is at most this much longer than its shortest.
WIDEST_BUCKET = 1.25


@dataclass(slots=True)
class Item:
    """One row of a batch: a cut, or several spoken one after the other.

    `duration` is in seconds as it will be heard, after a change of speed by `speed`.
    """

    id: str
    duration: float
    cuts: tuple[Cut, ...]
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """The items of batch number `index` (from 0) of an epoch.

    `rows` and `seconds` are the shape of its bucket, which the batch is padded to: oneDNN on CPUs
    and compilers on GPUs prepare a kernel for each shape they meet, at up to seconds a shape. A
    batch with less than half of its bucket's rows is padded to half of them, or a quarter ...
    """

    epoch: int
    index: int
    items: tuple[Item, ...]
    rows: int
    seconds: float


#: Makes the items of an epoch of its cuts, in the order given.
Planner = Callable[[Iterable["Cut"], int], Iterator[Item]]


def one_item_a_cut(cuts: Iterable[Cut], epoch: int) -> Iterator[Item]:
    """The plain planner: every cut as it is."""
    return (Item(cut.id, cut.duration, (cut,)) for cut in cuts)


class BatchSampler(Sampler[BatchPlan]):
    """Yields the batches of one epoch after the other, the same for the same arguments.

    No batch is ever longer than `batch_seconds`, counted with its padding: rows x longest row.
    With several processes (`world_size`), each takes its share of every group of batches; all
    get the same number of batches, of the same bucket in each step.

    Args:
        cuts: a sequence, shuffled whole for each epoch, or an iterable that is read anew each
            epoch (a lazily read cut set), shuffled within a buffer of `buffer` cuts.
        batch_seconds: hard cap on a batch's seconds of audio, padding included.
        longest: no item that `planner` makes is longer than this many seconds.
        planner: makes items of cuts, given the epoch.
        buckets: how many buckets hold about equal seconds; wide ones are divided further.
        batch_items: hard cap on a batch's rows.
        shuffle: False for the given order inside each bucket, buckets from short to long.
        short_first: so many first epochs go from short to long batches (SortaGrad, Amodei et al.
            2016), of corpora that are planned whole.

    Raises:
        ConfigError: `batch_seconds` is less than `longest`, or `short_first` is wanted of a corpus
            that is read lazily or is too large.
    """

    def __init__(
        self,
        cuts: Iterable[Cut],
        *,
        batch_seconds: float,
        longest: float,
        planner: Planner = one_item_a_cut,
        buckets: int = 30,
        batch_items: int = 512,
        buffer: int = 20000,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        shuffle: bool = True,
        short_first: int = 0,
    ) -> None:
        if batch_seconds < longest:
            raise ConfigError(
                f"batch_seconds is {batch_seconds:g}, but items may be {longest:.2f} s long; "
                f"set batch_seconds to at least that, or lower max_seconds"
            )
        self.cuts = cuts
        self.planner = planner
        self.buffer = buffer
        self.shuffle = shuffle
        self.short_first = short_first
        self.rank, self.world_size = rank, world_size
        self.seed = seed
        self.epoch = 0
        self._done = 0
        if short_first and not self._is_small():
            raise ConfigError(
                f"data.short_first needs a corpus in memory of at most {PLANNED_WHOLE} utterances; "
                "set it to 0"
            )
        first = islice(planner(self._sample(), 0), BOUNDS_FROM)
        # sums of durations are not exact: the last bucket takes what is longest by rounding
        self.bounds = bucket_bounds([item.duration for item in first], buckets, longest + 1e-6)
        self.sizes = [
            max(1, min(batch_items, math.floor(batch_seconds / bound + 1e-6)))
            for bound in self.bounds
        ]

    def _sample(self) -> Iterable[Cut]:
        """Cuts to place the bounds by: of all parts of the corpus, where it is in memory."""
        if not isinstance(self.cuts, Sequence) or len(self.cuts) <= BOUNDS_FROM:
            return self.cuts
        return self.cuts[:: len(self.cuts) // BOUNDS_FROM]

    def __iter__(self) -> Iterator[BatchPlan]:
        """Batches of the current epoch that are not done yet."""
        epoch, start = self.epoch, self._done
        for index, group in enumerate(islice(self._groups(epoch), start, None), start=start):
            yield self._plan(epoch, index, group[self.rank])

    def _plan(self, epoch: int, index: int, items: tuple[Item, ...]) -> BatchPlan:
        longest = max(item.duration for item in items)
        bucket = min(bisect_left(self.bounds, longest), len(self.bounds) - 1)
        rows = max(len(items), self.sizes[bucket])
        while (half := -(-rows // 2)) >= len(items) and half < rows:
            rows = half
        return BatchPlan(epoch, index, items, rows, max(longest, self.bounds[bucket]))

    def set_epoch(self, epoch: int) -> None:
        """Goes to the start of `epoch`, or stays where it is if this is the current one."""
        if epoch != self.epoch:
            self.epoch, self._done = epoch, 0

    def done(self, epoch: int, index: int) -> None:
        """Tells that training has finished a batch: resuming starts with the next one."""
        self.epoch, self._done = epoch, index + 1

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the position, and what it is a position in."""
        return {"epoch": self.epoch, "done": self._done, "order": self._order()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes to where `state` was taken.

        Raises:
            TrainingError: this sampler would give other batches than the one that saved `state`.
        """
        changed = [
            f"{key} was {old}, is {self._order()[key]}"
            for key, old in state["order"].items()
            if self._order().get(key) != old
        ]
        if changed:
            raise TrainingError(
                f"cannot resume in the middle of an epoch, the batches would differ: "
                f"{'; '.join(changed)}; restore the settings or start a new run from the weights"
            )
        self.epoch, self._done = int(state["epoch"]), int(state["done"])

    def count(self, epoch: int) -> int | None:
        """Batches of an epoch for each process, by a dry run; None where that takes too long."""
        if not self._is_small():
            return None
        return sum(1 for _ in self._groups(epoch))

    def _order(self) -> dict[str, Any]:
        size = len(self.cuts) if isinstance(self.cuts, Sequence) else None
        return {
            "seed": self.seed,
            "world_size": self.world_size,
            "cuts": size,
            "bounds": [round(bound, 4) for bound in self.bounds],
            "sizes": list(self.sizes),
            "short_first": self.short_first,
        }

    def _is_small(self) -> bool:
        return isinstance(self.cuts, Sequence) and len(self.cuts) <= PLANNED_WHOLE

    def _groups(self, epoch: int) -> Iterator[list[tuple[Item, ...]]]:
        """One batch for each process, step by step."""
        groups = _grouped(self._batches(epoch), self.world_size)
        if not (self.shuffle and self._is_small()):
            return groups
        # The bucketer leaves what does not fill a batch, and the fullest buckets, to the end of
        # an epoch. Planning all of it first makes the order even; in large corpora the end is
        # a small part, and planning takes long (10 to 50 microseconds a cut).
        known = list(groups)
        if epoch < self.short_first:
            return iter(sorted(known, key=lambda group: max(i.duration for i in group[0])))
        order = generator(self.seed, epoch, "batches").permutation(len(known))
        return (known[i] for i in order)

    def _batches(self, epoch: int) -> Iterator[tuple[Item, ...]]:
        from lhotse.dataset.sampling.dynamic_bucketing import (
            DynamicBucketer,
            FixedBucketBatchSizeConstraint,
        )

        cuts: Iterable[Cut] = self.cuts
        if self.shuffle and isinstance(cuts, Sequence):
            order = generator(self.seed, epoch, "order").permutation(len(cuts))
            cuts = (self.cuts[i] for i in order)  # type: ignore[index]
        bucketer = DynamicBucketer(
            ((item,) for item in self.planner(cuts, epoch)),
            duration_bins=self.bounds[:-1],
            world_size=self.world_size,
            constraint=FixedBucketBatchSizeConstraint(self.bounds, self.sizes),
            buffer_size=self.buffer,
            shuffle=self.shuffle,
            rng=random.Random(f"{self.seed}/{epoch}/items"),
            bucket_rng=random.Random(f"{self.seed}/{epoch}/buckets"),
        )
        return (tuple(batch) for batch in bucketer)


def bucket_bounds(durations: Sequence[float], buckets: int, longest: float) -> list[float]:
    """Upper bounds of buckets that hold about the same seconds each, the last one `longest`.

    Where two bounds are further apart than the factor WIDEST_BUCKET there are more in between:
    a batch is sized for the longest item its bucket may hold, and that must not waste much.
    """
    ordered = sorted(durations)
    share = sum(ordered) / buckets
    bounds: list[float] = []
    total = 0.0
    for duration in ordered:
        total += duration
        if total >= share * (len(bounds) + 1) and duration < longest:
            bounds.append(duration)
    bounds = [*sorted(set(bounds)), longest]
    divided: list[float] = []
    for low, high in zip([ordered[0] if ordered else longest, *bounds], bounds, strict=False):
        parts = max(1, math.ceil(math.log(max(high / low, 1.0)) / math.log(WIDEST_BUCKET) - 1e-9))
        divided += [low * (high / low) ** (part / parts) for part in range(1, parts)] + [high]
    return divided


def _grouped(
    batches: Iterator[tuple[Item, ...]], world_size: int
) -> Iterator[list[tuple[Item, ...]]]:
    """Batches in groups of one for each process; the last group is filled by division."""
    while group := list(islice(batches, world_size)):
        while len(group) < world_size:
            widest = max(range(len(group)), key=lambda i: len(group[i]))
            items = group[widest]
            half = (len(items) + 1) // 2
            # a batch of one cannot be divided: the others train on it too
            parts = [items[:half], items[half:]] if len(items) > 1 else [items, items]
            group[widest : widest + 1] = parts
        yield group
