"""The corpora, the tokenizer and the feature statistics of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch

from asr.data.batches import BatchSampler
from asr.data.device_batches import DeviceBatches
from asr.data.device_sound import DeviceSound
from asr.data.loader import training_batches, validation_batches
from asr.data.prompts import field_values
from asr.data.utterance import text_of
from asr.frontend import FRONTENDS, FeatureStatistics, Frontend
from asr.text import TextNormalizer, Tokenizer, TokenizerConfig, load_tokenizer, train_tokenizer
from asr.text.prompts import with_prompts
from asr.train.checkpoint import state_file
from asr.train.corpora import Corpora, read_corpora, sample
from asr.train.recipe import Recipe
from asr.train.state import RunState

if TYPE_CHECKING:
    from lhotse.cut import Cut
    from torch.utils.data import DataLoader

    from asr.data.dataset import Batch

STATISTICS = "statistics.pt"

#: Is told what is being prepared, and gives what is told the parts done and the parts there are.
Preparing = Callable[[str], Callable[[int, int], None]]


def _unseen(_: str) -> Callable[[int, int], None]:
    return lambda done, total: None


class Epochs:
    """What Lightning iterates once an epoch: batches of that epoch, the first time the rest of it.

    Args:
        loader: yields the rest of the sampler's epoch each time it is iterated.
        sampler: stands where training goes on.
    """

    def __init__(self, loader: Iterable[Batch], sampler: BatchSampler) -> None:
        self.loader = loader
        self.sampler = sampler
        self._epoch = sampler.epoch

    def __iter__(self) -> Iterator[Batch]:
        self.sampler.set_epoch(self._epoch)
        yield from self.loader
        self._epoch += 1


class ContinuousEpochs:
    """The same of batches that go on over the ends of epochs by themselves."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._batches = iter(batches)
        self._next: Batch | None = None

    def __iter__(self) -> Iterator[Batch]:
        batch = self._next or next(self._batches, None)
        while batch is not None:
            self._next = next(self._batches, None)
            yield batch
            ends = self._next is None or self._next.epoch != batch.epoch
            batch = None if ends else self._next


class RunData(pl.LightningDataModule):
    """Makes, once and on the first process, what a run needs besides its recipe; then its batches.

    `folder` keeps the tokenizer and the statistics for resuming and for the other processes.
    `run` is where training goes on. `preparing` shows what takes long.
    """

    corpora: Corpora
    tokenizer: Tokenizer
    sampler: BatchSampler

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        super().__init__()
        self.prepare_data_per_node = False
        self.recipe = recipe
        self.folder = folder
        self.preparing: Preparing = _unseen
        self.run = RunState()
        self._order: dict[str, Any] | None = None  # of the batches of the run that is resumed
        self.sound: DeviceSound | None = None  # what fills the batches, with `cache: device`
        self.normalizer = TextNormalizer(recipe.normalizer)
        self._read = False

    def read(self) -> Corpora:
        """Reads and checks the corpora, once.

        Raises:
            ManifestError, TrainingError: they cannot be trained on.
        """
        if not self._read:
            self.corpora = read_corpora(self.recipe.data)
            self._read = True
        return self.corpora

    def prepare_data(self) -> None:
        """Trains or copies the tokenizer and gathers statistics, unless that is done already.

        Raises:
            AsrError: the data, the tokenizer or the disk does not allow it.
        """
        if (self.folder / STATISTICS).exists():
            return
        train = self.read().train
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.recipe.tokenizer
        if isinstance(config, TokenizerConfig):
            texts = (self.normalizer(text_of(cut)) for cut in train)
            tokenizer = train_tokenizer(texts, config, self.folder)
        else:
            tokenizer = load_tokenizer(config)
            tokenizer.save(self.folder)
        if self.recipe.prompts.fields:
            values = field_values(train, self.recipe.prompts.fields)
            with_prompts(tokenizer, self.recipe.prompts, values).save(self.folder)
        state = {}
        frontend = FRONTENDS.build(self.recipe.model.frontend)
        if frontend.global_norm:
            state["mean"], state["inverse_std"] = self._statistics(train, frontend)
        with state_file(self.folder / STATISTICS) as file:
            torch.save(state, file)

    def setup(self, stage: str | None = None) -> None:
        """Reads what `prepare_data` made."""
        self.read()
        config = self.recipe.tokenizer
        sampling = config if isinstance(config, TokenizerConfig) else None
        self.tokenizer = load_tokenizer(self.folder, sampling)

    def encode(self, text: str) -> list[int]:
        """The labels of a text of the corpus."""
        return self.tokenizer.encode(self.normalizer(text))

    def statistics(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Mean and inverse standard deviation of the training data's features, (F,) each; None
        where the front end does without.
        """
        state = torch.load(self.folder / STATISTICS, weights_only=True)
        return (state["mean"], state["inverse_std"]) if state else None

    def state_dict(self) -> dict[str, Any]:
        """What decides the order of batches: it must not change within an epoch."""
        return {"order": self.sampler.state_dict()["order"]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes what `state_dict` gave."""
        self._order = state_dict["order"]

    def epoch_batches(self) -> int | None:
        """Batches of the first epoch for each process; None where they cannot be counted.

        Epochs differ by a batch or two; schedules must not depend on where a run was resumed.
        """
        return self.sampler.count(0)

    def train_dataloader(self) -> Epochs | ContinuousEpochs:
        """Training batches from `run` on, this process' part of them.

        Raises:
            TrainingError: the run was stopped within an epoch, and its batches would differ.
        """
        assert self.trainer is not None
        if self.recipe.data.cache == "device":
            on_device = DeviceBatches(
                *self._given(), **self._named(), device=self.trainer.strategy.root_device
            )
            self.sampler, self.sound = on_device.sampler, on_device.sound
            self._go_to_place()
            return ContinuousEpochs(on_device.loader(self.recipe.training.epochs))
        loader, self.sampler = training_batches(*self._given(), **self._named())
        self._go_to_place()
        return Epochs(loader, self.sampler)

    def _given(self) -> tuple[Any, ...]:
        return self.corpora.train, self.recipe.data, self.tokenizer, self.normalizer

    def _named(self) -> dict[str, Any]:
        assert self.trainer is not None
        return {
            "sample_rate": self.recipe.model.frontend.sample_rate,
            "rank": self.trainer.global_rank,
            "world_size": self.trainer.world_size,
            "seed": self.recipe.training.seed,
            "progress": self.preparing("decoding audio into memory"),
        }

    def _go_to_place(self) -> None:
        run = self.run
        if run.batch and self._order is not None:
            place = {"epoch": run.epoch, "done": run.batch, "order": self._order}
            self.sampler.load_state_dict(place)
        self.sampler.set_epoch(run.epoch)

    def dev_batches(
        self, cuts: Iterable[Cut], rank: int = 0, world_size: int = 1, workers: int | None = None
    ) -> DataLoader[Any]:
        """Batches of `cuts`, always the same."""
        config = self.recipe.data
        if workers is not None:
            config = config.model_copy(update={"workers": workers})
        return validation_batches(
            cuts,
            config,
            self.tokenizer,
            self.normalizer,
            sample_rate=self.recipe.model.frontend.sample_rate,
            rank=rank,
            world_size=world_size,
        )

    def _statistics(
        self, cuts: Iterable[Cut], frontend: Frontend
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """From up to `recipe.statistics` utterances, as they are (without augmentation)."""
        gathered = FeatureStatistics(frontend.dim)
        chosen, done = sample(cuts, self.recipe.statistics), 0
        told = self.preparing("statistics of features")
        batches = validation_batches(
            chosen,
            self.recipe.data,
            sample_rate=self.recipe.model.frontend.sample_rate,
        )
        with torch.inference_mode():
            for batch in batches:
                if batch.samples.any():  # there is sound that could be decoded
                    gathered.update(*frontend(batch.samples, batch.lengths))
                done += len(batch.ids)
                told(done, len(chosen))
        return gathered.finish()
