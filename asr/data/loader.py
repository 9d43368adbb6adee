"""Loaders of batches: for training in endless variety, for validation always the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

from asr.data.batches import BatchSampler
from asr.data.cache import SampleCache
from asr.data.config import DataConfig
from asr.data.dataset import Batch, SpeechDataset, Tokenise
from asr.data.decode import audio_file

if TYPE_CHECKING:
    from lhotse.cut import Cut


def training_batches(
    cuts: Iterable[Cut],
    config: DataConfig,
    tokenizer: Any = None,
    normalizer: Callable[[str], str] | None = None,
    *,
    sample_rate: int = 16000,
    rank: int = 0,
    world_size: int = 1,
    seed: int = 0,
) -> tuple[DataLoader[Batch], BatchSampler]:
    """Batches of an epoch in random order, augmented; and the sampler that knows the place."""
    kept = [cut for cut in cuts if config.min_seconds <= cut.duration <= config.max_seconds]
    sampler = BatchSampler(
        kept,
        batch_seconds=config.batch_seconds,
        longest=config.max_seconds,
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
        tokenise=_tokenise(tokenizer),
        cache=_cache(kept, config, sample_rate),
    )
    return _loader(dataset, sampler, config.workers), sampler


def validation_batches(
    cuts: Iterable[Cut],
    config: DataConfig,
    tokenizer: Any = None,
    normalizer: Callable[[str], str] | None = None,
    *,
    sample_rate: int = 16000,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[Batch]:
    """Batches of every cut, unchanged, in an order that never varies."""
    kept = list(cuts)
    longest = max((cut.duration for cut in kept), default=1.0)
    sampler = BatchSampler(
        kept,
        batch_seconds=max(config.batch_seconds, longest),
        longest=longest,
        buckets=config.buckets,
        batch_items=config.batch_utterances,
        rank=rank,
        world_size=world_size,
        shuffle=False,
    )
    dataset = SpeechDataset(sample_rate, normalise=normalizer, tokenise=_tokenise(tokenizer))
    return _loader(dataset, sampler, config.workers)


def _tokenise(tokenizer: Any) -> Tokenise | None:
    if tokenizer is None:
        return None
    return lambda text, epoch, name: tokenizer.encode(text)


def _cache(cuts: Iterable[Cut], config: DataConfig, sample_rate: int) -> SampleCache | None:
    if config.cache == "none":
        return None
    cache = SampleCache(sample_rate)
    cache.fill(path for cut in cuts if (path := audio_file(cut)) is not None)
    return cache


def _loader(dataset: SpeechDataset, sampler: BatchSampler, workers: int) -> DataLoader[Batch]:
    return DataLoader(
        dataset,
        sampler=sampler,
        batch_size=None,  # the sampler yields whole batches
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
    )
