"""Batches whose samples lie on the GPU: the host sends render plans, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch.utils.data import IterableDataset, get_worker_info

from asr.data.augment import Augmenter
from asr.data.batches import BatchPlan, BatchSampler
from asr.data.config import DataConfig
from asr.data.dataset import Batch
from asr.data.device_sound import DeviceSound, Store, store_noise, store_responses, store_speech
from asr.data.loader import (
    Progress,
    SpeechLoader,
    decoding_threads,
    kept_in_memory,
    tokeniser,
    training_sampler,
)
from asr.data.prompts import PromptStarts
from asr.data.render_plan import RenderPlanDataset
from asr.errors import ConfigError
from asr.text import Tokenizer

if TYPE_CHECKING:
    from lhotse.cut import Cut


class DeviceBatches:
    """The batches of `training_batches`, for `cache: device`, and what gives them their sound.

    `sampler` knows the order and where training stands; `sound.render` fills a batch of `loader`
    that has been moved to the device.

    Args:
        device: keeps the sound of the corpus, 115 MB an hour at 16 kHz for each speed.
        cuts, config, tokenizer, normalizer, sample_rate, rank, world_size, seed, progress: as in
            `training_batches`.

    Raises:
        ConfigError: the corpus is read lazily; noise or rooms are missing.
        ManifestError: nothing to train on; audio cannot be decoded.
        TrainingError: the sound does not fit on the device.
    """

    def __init__(
        self,
        cuts: Iterable[Cut],
        config: DataConfig,
        tokenizer: Tokenizer | None = None,
        normalizer: Callable[[str], str] | None = None,
        *,
        device: torch.device,
        sample_rate: int = 16000,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        if not (isinstance(cuts, Sequence) or getattr(cuts, "is_lazy", None) is False):
            raise ConfigError("data.cache: device needs a corpus that is listed; set it to none")
        kept, cache = kept_in_memory(cuts, config, sample_rate, progress)
        speed = config.augment.speed
        factors = speed.factors if speed is not None else (1.0,)
        speech, places = store_speech(kept, cache, factors, device, decoding_threads(config))
        augmenter = Augmenter(config.augment, sample_rate, seed, decoding_threads(config))
        noise: Store | None = None
        clips: list[tuple[int, int]] = []
        if augmenter.noises is not None:
            noise, clips = store_noise(augmenter.noises, device)
        self.sound = DeviceSound(speech, noise, store_responses(augmenter, device))
        self.sampler = training_sampler(kept, config, seed, rank, world_size)
        self.workers = config.workers
        self._dataset = RenderPlanDataset(
            sample_rate,
            places=places,
            clip_places=clips,
            augmenter=augmenter,
            normalise=normalizer,
            tokenise=tokeniser(tokenizer, config.sample_tokens, seed),
            prompts=PromptStarts.of(tokenizer),
        )

    def loader(self, epochs: int | None) -> SpeechLoader:
        """Batches from where `sampler` stands to the end of epoch number `epochs`, or without end.

        Workers plan and draw ahead, over the ends of epochs too: an epoch takes seconds there.
        """
        stream = _EpochStream(self.sampler, self._dataset, epochs)
        return SpeechLoader.of(stream, None, self.workers, keep=False)


class _EpochStream(IterableDataset[Batch]):
    """One epoch after the other; each worker makes every n-th batch, in an order that n leaves."""

    def __init__(
        self, sampler: BatchSampler, dataset: RenderPlanDataset, epochs: int | None
    ) -> None:
        self.sampler = sampler
        self.dataset = dataset
        self.epochs = epochs

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        number, count = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        for at, plan in enumerate(self._plans()):
            if at % count == number:
                yield self.dataset[plan]

    def _plans(self) -> Iterator[BatchPlan]:
        epoch = self.sampler.epoch
        while self.epochs is None or epoch < self.epochs:
            self.sampler.set_epoch(epoch)
            yield from self.sampler
            epoch += 1
