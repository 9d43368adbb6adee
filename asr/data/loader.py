"""Data loaders: augmented batches for training, unchanged batches for validation."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.utils.data import DataLoader, Dataset

from asr.data.augment import Augmenter
from asr.data.batches import BatchSampler
from asr.data.config import DataConfig
from asr.data.corpus import check_batch_seconds, within_seconds
from asr.data.dataset import Batch, SpeechDataset, Tokenise
from asr.data.epoch import EpochItems
from asr.data.prompts import PromptStarts
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
        tokenizer: makes `Batch.tokens` and `Batch.starts`; None leaves them out.
        normalizer: applied to each text before.
        sample_rate: of the model.
        rank, world_size: of this process; all processes get the same number of batches.
        seed: of order, augmentation and sampled tokens; the same in all processes.
        progress: is told how many files the cache has decoded, and of how many.

    Raises:
        ManifestError: nothing to train on; audio cannot be decoded.
        ConfigError: the limits do not go together; noise or rooms are missing.
    """
    kept, cache = _kept(cuts, config, sample_rate, progress)
    sampler = training_sampler(kept, config, seed, rank, world_size)
    dataset = SpeechDataset(
        sample_rate,
        normalise=normalizer,
        tokenise=tokeniser(tokenizer, config.sample_tokens, seed),
        prompts=PromptStarts.of(tokenizer),
        augmenter=Augmenter(config.augment, sample_rate, seed),
        cache=cache,
        leave_out=config.missing_audio == "leave_out",
    )
    return SpeechLoader.of(dataset, sampler, config.workers, keep=True), sampler


def training_sampler(
    cuts: Iterable[Cut], config: DataConfig, seed: int, rank: int = 0, world_size: int = 1
) -> BatchSampler:
    """Batches of training in random order; arguments as in `training_batches`.

    Raises:
        ConfigError: the limits do not go together.
    """
    check_batch_seconds(cuts if isinstance(cuts, Sequence) else None, config)
    return BatchSampler(
        cuts,
        batch_seconds=config.batch_seconds,
        longest=min(config.longest, config.batch_seconds),
        planner=EpochItems(seed, config.augment.speed, config.concatenate_seconds),
        buckets=config.buckets,
        short_first=config.short_first,
        batch_items=config.batch_utterances,
        buffer=config.buffer,
        seed=seed,
        rank=rank,
        world_size=world_size,
    )


def tokeniser(tokenizer: Tokenizer | None, sample: bool, seed: int) -> Tokenise | None:
    """What writes texts as labels; None without a tokenizer."""
    return _Tokenise(tokenizer, sample, seed) if tokenizer is not None else None


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
        tokenise=tokeniser(tokenizer, False, 0),
        prompts=PromptStarts.of(tokenizer),
        leave_out=config.missing_audio == "leave_out",
    )
    return SpeechLoader.of(dataset, sampler, config.workers, keep=False)


def _kept(
    cuts: Iterable[Cut], config: DataConfig, sample_rate: int, progress: Progress | None
) -> tuple[Iterable[Cut], SampleCache | None]:
    """What is trained on of `cuts`, and the cache of its audio where one is wanted."""
    if isinstance(cuts, Sequence) or getattr(cuts, "is_lazy", None) is False:
        if config.cache != "none":
            return kept_in_memory(cuts, config, sample_rate, progress)
        return _inside(cuts, config), None
    if config.cache != "none":
        log.warning("corpora that are read lazily are not kept in memory: cache has no effect")
    return cuts, None


def _inside(cuts: Iterable[Cut], config: DataConfig) -> list[Cut]:
    inside, outside = within_seconds(cuts, config)
    if outside:
        log.warning("%d utterances left out, %s", len(outside), outside[0].reason)
    if not inside:
        raise ManifestError("nothing to train on: no utterance is left of the corpus")
    return inside


def decoding_threads(config: DataConfig) -> int:
    """How many threads decode a corpus into memory: for a GPU, which waits, one for each core."""
    allowed = getattr(os, "sched_getaffinity", None)
    cores = len(allowed(0)) if allowed is not None and config.cache == "device" else 0
    return max(2, config.workers, cores)


def kept_in_memory(
    cuts: Iterable[Cut], config: DataConfig, sample_rate: int, progress: Progress | None = None
) -> tuple[list[Cut], SampleCache]:
    """What is trained on of `cuts`, and a cache that holds all of its files.

    Raises:
        ManifestError: audio cannot be decoded, and `missing_audio` does not say to leave it out;
            nothing is left.
    """
    cuts = _inside(cuts, config)
    cache = SampleCache(sample_rate)
    paths = [name for cut in cuts if (name := audio_file(cut)) is not None]
    failed = cache.fill(paths, jobs=decoding_threads(config), progress=progress)
    if not failed:
        return cuts, cache
    if config.missing_audio == "refuse":
        raise ManifestError(
            f"{len(failed)} files cannot be decoded, the first: {next(iter(failed.values()))} "
            f"(`asr validate` lists them all; data.missing_audio: leave_out trains without them)"
        )
    first = next(iter(failed.values()))
    log.warning("%d files cannot be decoded and are left out, the first: %s", len(failed), first)
    kept = [cut for cut in cuts if audio_file(cut) not in failed]
    if not kept:
        raise ManifestError("nothing to train on: no utterance is left of the corpus")
    return kept, cache


class SpeechLoader(DataLoader[Batch]):
    """A loader that tells the errors of its workers without their tracebacks."""

    @classmethod
    def of(
        cls,
        dataset: Dataset[Batch],
        sampler: BatchSampler | None,
        workers: int,
        keep: bool,
    ) -> SpeechLoader:
        """A loader whose workers live as long as it does (`keep`), or while it is iterated.

        Args:
            sampler: yields whole batches; None where the dataset does.
        """
        return cls(
            dataset,
            sampler=sampler,
            batch_size=None,
            num_workers=workers,
            persistent_workers=keep and workers > 0,
            pin_memory=torch.cuda.is_available(),
            prefetch_factor=4 if workers else None,
        )

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        try:
            yield from super().__iter__()
        except AsrError as error:
            kind = f"{type(error).__module__}.{type(error).__name__}: "
            raise type(error)(str(error).strip().rpartition(kind)[2]) from error
