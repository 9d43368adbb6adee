"""The Lightning module that trains a recogniser: a batch to a loss."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor

from asr.data.dataset import Batch
from asr.data.specaugment import SpecAugment
from asr.model import FULL_CONTEXT, ChunkContext, SpeechModel
from asr.train.data import RunData
from asr.train.devices import gpu_figures, out_of_memory
from asr.train.losses.consistency import widened
from asr.train.losses.objective import EncodedBatch, Objective
from asr.train.losses.weight_noise import noisy_weights
from asr.train.recipe import Recipe
from asr.train.state import derive, draw_context
from asr.train.steps import StepModule, StepResult, StepSettings
from asr.train.weights.initialise import Init, freeze
from asr.train.weights.lora import add_lora
from asr.train.weights.sharding import full_tensor, is_sharded, local, shard

#: The losses of a batch that are shown as means per label.
LOSSES = ("loss", "ctc", "attention", "intermediate", "consistency")
#: What a batch comes to, in the order of the tensor that sums it: see `Objective`.
SUMS = (*LOSSES, "list_errors", "list_words", "right", "labels", "seconds", "stop")


class SpeechTraining(StepModule):
    """Trains a `SpeechModel` by a recipe.

    Args:
        init: where the weights come from; None draws them. A checkpoint replaces either.
    """

    model: SpeechModel
    objective: Objective

    def __init__(self, recipe: Recipe, data: RunData, init: Init | None = None) -> None:
        training = recipe.training
        settings = StepSettings(
            recipe.optimizer, recipe.schedule, training.clip_norm, training.ema, training.accumulate
        )
        super().__init__(SUMS, settings, data.run)
        self.recipe = recipe
        self.data = data
        self.init = init
        self.spec_augment = _spec_augment(recipe)

    def configure_model(self) -> None:
        """Builds the model, the same in every process, and fills it as the run wants."""
        self.objective = Objective(self.recipe.loss, self.data.tokenizer)
        torch.manual_seed(derive(self.recipe.training.seed, "weights"))
        self.model = SpeechModel(self.recipe.model, self.data.tokenizer.size)
        if (statistics := self.data.statistics()) is not None:
            self.model.set_statistics(*statistics)
        if self.init is not None:
            self.init.apply(self.model, self.data.tokenizer)
        if self.recipe.training.lora is not None:
            add_lora(self.model, self.recipe.training.lora)
        freeze(self.model, self.recipe.training.freeze)
        if isinstance(self.trainer.strategy, ModelParallelStrategy):
            shard(self.model, self.trainer.strategy.device_mesh["data_parallel"])

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """`model` has the averaged weights (its own without `training.ema`) while the block runs.

        Where processes hold parts of the weights, it is a copy with all of them.
        """
        if not is_sharded(self.model):
            with self.ema.swapped_in() if self.ema else nullcontext():
                yield
            return
        trained = self.model
        averages = self.ema.weights() if self.ema else {}
        state = {name: full_tensor(local(own), own) for name, own in trained.state_dict().items()}
        copy = SpeechModel(self.recipe.model, self.data.tokenizer.size).to(self.device)
        copy.load_state_dict(state | averages, strict=True)
        try:
            self.model = copy
            yield
        finally:
            self.model = trained

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the recipe that the weights belong to."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["recipe"] = self.recipe.model_dump(mode="json")

    def on_after_batch_transfer(self, batch: Any, _: int) -> Any:
        """Where the sound is on the device already, batches are put together there."""
        return batch if self.data.sound is None else self.data.sound.render(batch)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Adds the gradient of one batch, and makes the step that ends with it."""
        seed = self.recipe.training.seed
        # masks and dropout of this batch, whatever was drawn before it
        torch.manual_seed(derive(seed, batch.epoch, batch.index, self.global_rank, "forward"))
        chunks = derive(seed, batch.epoch, batch.index, "chunks")
        context = draw_context(self.recipe.chunks, chunks)
        try:
            with noisy_weights(self.model, self.recipe.training.weight_noise):
                self.add_gradient(batch.ids, self.losses(batch, context, augment=True))
        except torch.OutOfMemoryError as error:
            raise out_of_memory(batch, error) from None
        return self.end_batch(batch)

    def losses(
        self, batch: Batch, context: ChunkContext = FULL_CONTEXT, augment: bool = False
    ) -> Tensor:
        """The sums named by `SUMS` over a batch, (11,) float32."""
        views = self.objective.views if augment else 1
        with torch.autocast(batch.samples.device.type, enabled=False):
            features, lengths = self.model.features(batch.samples, batch.lengths)
            if views > 1:
                features, lengths = torch.cat([features] * views), torch.cat([lengths] * views)
            if augment and self.spec_augment is not None:
                features = self.spec_augment(features, lengths)
        encoded = EncodedBatch(*self.model.encode_tapped(features, lengths, context), views)
        step = self.run.step if augment else None
        sums = self.objective(self.model, batch, encoded, step)
        zero = sums["loss"].new_zeros(())
        sums |= {"seconds": zero + batch.seconds, "stop": zero + float(self.stop_wanted)}
        return torch.stack([sums[name].float() for name in SUMS])

    def work_done(self) -> float:
        """Seconds of audio."""
        return self.run.audio_seconds

    def describe(self, result: StepResult, speed: float) -> str:
        """Loss, accuracy, the expected word error rate where n-best lists are made, the speed."""
        wer = _wer(result)
        expected = f", WER {wer:.1%} expected" if wer == wer else ""
        return (
            f"loss {result.mean('loss'):.3f}, accuracy {result.mean('right'):.1%}{expected}, "
            f"{speed:.0f}x real time"
        )

    def figures(self, result: StepResult, speed: float) -> dict[str, float]:
        """See `StepModule.figures`."""
        wer = _wer(result)
        return {
            **super().figures(result, speed),
            "audio_hours": self.run.audio_seconds / 3600,
            **{name: result.mean(name) for name in LOSSES},
            "accuracy": result.mean("right"),
            **({"wer": wer} if wer == wer else {}),
            "audio_seconds_per_second": speed,
            **gpu_figures(self.device),
        }


def _wer(result: StepResult) -> float:
    """The word error rate expected over n-best lists, NaN where none were made."""
    return result.sums["list_errors"] / (result.sums["list_words"] or math.nan)


def _spec_augment(recipe: Recipe) -> SpecAugment | None:
    """Masks for training; two views are masked more over time."""
    config = recipe.spec_augment
    if config is not None and recipe.loss.consistency_weight > 0:
        config = widened(config, recipe.loss.consistency_masking)
    return SpecAugment(config) if config is not None else None
