"""The corpora, the tokenizer and the feature statistics of a run."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch

from asr.data.batches import BatchSampler
from asr.data.loader import training_batches, validation_batches
from asr.frontend import FeatureStatistics, LogMel
from asr.text import TextNormalizer, Tokenizer, TokenizerConfig, load_tokenizer, train_tokenizer
from asr.train.checkpoint import write_whole
from asr.train.corpora import read_corpora
from asr.train.feed import Feed
from asr.train.position import Position
from asr.train.recipe import Recipe

if TYPE_CHECKING:
    from lhotse.cut import Cut
    from torch.utils.data import DataLoader

STATISTICS = "statistics.pt"


class RunData(pl.LightningDataModule):
    """Makes, once and on the first process, what a run needs besides its recipe; then feeds it.

    `folder` keeps the tokenizer and the statistics for resuming and for the other processes.
    """

    tokenizer: Tokenizer
    sampler: BatchSampler
    train_cuts: list[Cut]
    dev_cuts: list[Cut]

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        super().__init__()
        self.prepare_data_per_node = False
        self.recipe = recipe
        self.folder = folder
        self.normalizer = TextNormalizer(recipe.normalizer)
        self.position = Position()
        self._read = False

    def read(self) -> None:
        """Reads the corpora, once."""
        if not self._read:
            self.train_cuts, self.dev_cuts = read_corpora(self.recipe.data)
            self._read = True

    def prepare_data(self) -> None:
        """Trains or copies the tokenizer and gathers statistics, unless that is done already."""
        if (self.folder / STATISTICS).exists():
            return
        self.read()
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.recipe.tokenizer
        if isinstance(config, TokenizerConfig):
            train_tokenizer(self.texts(self.train_cuts), config, self.folder)
        else:
            load_tokenizer(config).save(self.folder)
        mean, inverse_std = self._statistics()
        state = {"mean": mean, "inverse_std": inverse_std}
        write_whole(self.folder / STATISTICS, lambda file: torch.save(state, file))

    def setup(self, stage: str | None = None) -> None:
        """Reads what `prepare_data` made."""
        self.read()
        config = self.recipe.tokenizer
        sampling = config if isinstance(config, TokenizerConfig) else None
        self.tokenizer = load_tokenizer(self.folder, sampling)

    def texts(self, cuts: Sequence[Cut]) -> list[str]:
        """The normalised texts of `cuts`."""
        from asr.data.dataset import text_of

        return [self.normalizer(text_of(cut)) for cut in cuts]

    def statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and inverse standard deviation of the training data's features, (mels,) each."""
        state = torch.load(self.folder / STATISTICS, weights_only=True)
        return state["mean"], state["inverse_std"]

    def train_dataloader(self) -> Feed:
        """Training batches from `position` on, this process' part of them."""
        assert self.trainer is not None
        at = self.position
        loader, self.sampler = training_batches(
            self.train_cuts,
            self.recipe.data,
            self.tokenizer,
            self.normalizer,
            sample_rate=self.recipe.model.frontend.sample_rate,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            seed=self.recipe.training.seed,
        )
        self.sampler.set_epoch(at.epoch)
        if at.batch:
            self.sampler.done(at.epoch, at.batch - 1)
        return Feed(loader, self.sampler, self.recipe.training.epochs)

    def dev_batches(
        self, cuts: Sequence[Cut], rank: int = 0, world_size: int = 1
    ) -> DataLoader[Any]:
        """Batches of `cuts`, always the same."""
        return validation_batches(
            cuts,
            self.recipe.data,
            self.tokenizer,
            self.normalizer,
            sample_rate=self.recipe.model.frontend.sample_rate,
            rank=rank,
            world_size=world_size,
        )

    def sample(self, cuts: Sequence[Cut], size: int) -> list[Cut]:
        """A sample of `cuts` that is always the same, in its order."""
        chosen = random.Random("sample").sample(range(len(cuts)), min(size, len(cuts)))
        return [cuts[index] for index in sorted(chosen)]

    def _statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """From up to `recipe.statistics` utterances, as they are (without augmentation)."""
        frontend = LogMel(self.recipe.model.frontend)
        found = FeatureStatistics(self.recipe.model.frontend.mels)
        cuts = self.sample(self.train_cuts, self.recipe.statistics)
        batches = validation_batches(
            cuts, self.recipe.data, sample_rate=self.recipe.model.frontend.sample_rate
        )
        with torch.inference_mode():
            for batch in batches:
                found.update(*frontend(batch.samples, batch.lengths))
        return found.finish()


def forget(folder: Path) -> None:
    """Removes what an earlier run prepared."""
    shutil.rmtree(folder, ignore_errors=True)
