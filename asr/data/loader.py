"""Loaders of batches: for training in endless variety, for validation always the same."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.utils.data import DataLoader

from asr.data.augment import Augmenter
from asr.data.batches import BatchSampler
from asr.data.config import DataConfig
from asr.data.corpus import within_seconds
from asr.data.dataset import Batch, SpeechDataset
from asr.data.plan import EpochPlanner
from asr.data.samples import SampleCache, audio_file
from asr.errors import AsrError, ManifestError
from asr.text import Tokenizer

if TYPE_CHECKING:
    from lhotse.cut import Cut

log = logging.getLogger(__name__)

#: What is told the files decoded and the files there are.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Tokenise:
    """Writes texts as labels; where it samples, the draw is named by seed, epoch and item."""

    tokenizer: Tokenizer
    sample: bool
    seed: int

    def __call__(self, text: str, epoch: int, name: str) -> Sequence[int]:
        if not self.sample:
            return self.tokenizer.encode(text)
        draw = random.Random(f"{self.seed}/{epoch}/tokens/{name}")
        return self.tokenizer.encode(text, sample=draw)


def training_batches(
    cuts: Iterable[Cut],
    config: DataConfig,
    tokenizer: Tokenizer | None = None,
    normalizer: Callable[[str], str] | None = None,
    *,
    sample_rate: int = 16000,
    rank: int = 0,
    world_size: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[DataLoader[Batch], BatchSampler]:
    """Batches of an epoch in random order, augmented; and the sampler that knows the place.

    After a step, `sampler.done(batch.epoch, batch.index)`; at the end of an epoch,
    `sampler.set_epoch(epoch + 1)`. `sampler.state_dict()` in a checkpoint makes a new loader, of
    the same arguments, go on with the batch after the last one done: same batches, same sound,
    same labels, to the bit, with any number of workers.

    Args:
        cuts: of `load_corpus` (or of `read_manifest`); a list, or an iterable read each epoch.
        tokenizer: makes `Batch.tokens`; None leaves them out.
        normalizer: applied to each text before.
        sample_rate: of the model.
        rank, world_size: of this process; all processes get the same number of batches.
        seed: of order, augmentation and sampled tokens; the same in all processes.
        progress: is told how many files the cache has decoded, and of how many.

    Raises:
        ManifestError: nothing to train on; audio cannot be decoded.
        ConfigError: the limits do not go together; noise or rooms are missing.
    """
    cache: SampleCache | None = None
    if isinstance(cuts, Sequence) or getattr(cuts, "is_lazy", None) is False:
        kept, outside = within_seconds(cuts, config)
        if outside:
            log.warning("%d utterances left out, %s", len(outside), outside[0].reason)
        cuts, cache = _cached(kept, config, sample_rate, progress)
        if not cuts:
            raise ManifestError("nothing to train on: no utterance is left of the corpus")
    elif config.cache != "none":
        log.warning("corpora that are read lazily are not kept in memory: cache has no effect")
    sampler = BatchSampler(
        cuts,
        batch_seconds=config.batch_seconds,
        longest=config.longest,
        planner=EpochPlanner(seed, config.augment.speed, config.concatenate_seconds),
        buckets=config.buckets,
        batch_items=config.batch_utterances,
        buffer=config.buffer,
        seed=seed,
        rank=rank,
        world_size=world_size,
    )
    dataset = SpeechDataset(
        sample_rate,
        normalise=normalizer,
        tokenise=_Tokenise(tokenizer, config.sample_tokens, seed) if tokenizer else None,
        augmenter=Augmenter(config.augment, sample_rate, seed),
        cache=cache,
        leave_out=config.missing_audio == "leave_out",
    )
    return _loader(dataset, sampler, config.workers, keep=True), sampler


def validation_batches(
    cuts: Iterable[Cut],
    config: DataConfig,
    tokenizer: Tokenizer | None = None,
    normalizer: Callable[[str], str] | None = None,
    *,
    sample_rate: int = 16000,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[Batch]:
    """Batches of every cut, unchanged, in an order that never varies; arguments as in training.

    An utterance longer than `batch_seconds` is a batch of its own: nothing is left out but
    audio that is damaged, where `missing_audio` says so.
    """
    known = list(cuts)
    longest = max((cut.duration for cut in known), default=1.0)
    sampler = BatchSampler(
        known,
        batch_seconds=max(config.batch_seconds, longest),
        longest=longest,
        buckets=config.buckets,
        batch_items=config.batch_utterances,
        rank=rank,
        world_size=world_size,
        shuffle=False,
    )
    dataset = SpeechDataset(
        sample_rate,
        normalise=normalizer,
        tokenise=_Tokenise(tokenizer, False, 0) if tokenizer else None,
        leave_out=config.missing_audio == "leave_out",
    )
    return _loader(dataset, sampler, config.workers, keep=False)


def _cached(
    cuts: list[Cut], config: DataConfig, sample_rate: int, progress: Progress | None
) -> tuple[list[Cut], SampleCache | None]:
    """A cache of all files, where one is wanted, and the cuts whose audio could be decoded."""
    if config.cache == "none":
        return cuts, None
    cache = SampleCache(sample_rate)
    paths = [name for cut in cuts if (name := audio_file(cut)) is not None]
    failed = cache.fill(paths, jobs=max(2, config.workers), progress=progress)
    if not failed:
        return cuts, cache
    if config.missing_audio == "refuse":
        raise ManifestError(
            f"{len(failed)} files cannot be decoded, the first: {next(iter(failed.values()))} "
            f"(`asr validate` lists them all; data.missing_audio: leave_out trains without them)"
        )
    first = next(iter(failed.values()))
    log.warning("%d files cannot be decoded and are left out, the first: %s", len(failed), first)
    return [cut for cut in cuts if audio_file(cut) not in failed], cache


def _loader(
    dataset: SpeechDataset, sampler: BatchSampler, workers: int, keep: bool
) -> DataLoader[Batch]:
    """A loader whose workers live as long as it does (`keep`), or only while it is iterated."""
    return _Loader(
        dataset,
        sampler=sampler,
        batch_size=None,  # the sampler yields whole batches
        num_workers=workers,
        persistent_workers=keep and workers > 0,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4 if workers else None,
    )


class _Loader(DataLoader[Batch]):
    """A loader that tells the errors of its workers without their tracebacks."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        try:
            yield from super().__iter__()
        except AsrError as error:
            kind = f"{type(error).__module__}.{type(error).__name__}: "
            raise type(error)(str(error).strip().rpartition(kind)[2]) from error
