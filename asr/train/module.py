"""The Lightning module: a batch to a loss, batches to a step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from asr.data.dataset import Batch
from asr.data.specaugment import SpecAugment
from asr.model import FULL_CONTEXT, ChunkContext, SpeechModel
from asr.train.data import RunData
from asr.train.devices import out_of_memory
from asr.train.feed import Fed
from asr.train.losses.consistency import widened
from asr.train.losses.objective import EncodedBatch, Objective
from asr.train.losses.weight_noise import noisy_weights
from asr.train.optimizer import build_optimizer
from asr.train.position import Position
from asr.train.recipe import Recipe
from asr.train.seeds import derive, draw_context
from asr.train.weights.ema import Ema
from asr.train.weights.initialise import Init, freeze

#: The losses of a batch that are told as means per label.
LOSSES = ("loss", "ctc", "attention", "intermediate", "consistency")
#: What a batch comes to, in the order of the tensor that sums it: see `Objective`.
SUMS = (*LOSSES, "list_errors", "list_words", "right", "labels", "seconds", "stop")


@dataclass(frozen=True)
class StepResult:
    """One optimizer step. Losses are means per label (each end of a text counts as one).

    `wer` is the word error rate expected over n-best lists, NaN where none were made.
    """

    loss: float
    ctc: float
    attention: float
    intermediate: float
    consistency: float
    accuracy: float
    wer: float
    labels: float
    seconds: float
    grad_norm: float
    lr: float
    applied: bool
    stop: bool

    def figures(self) -> dict[str, float]:
        """What a log shows, by the names of the log; what was not measured is left out."""
        names = (*LOSSES, "accuracy", "wer", "lr", "grad_norm")
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if name != "wer" or value == value}


class SpeechTraining(pl.LightningModule):
    """Trains a `SpeechModel` by a recipe.

    Optimisation is manual: a step is skipped as a whole when its gradient is not finite, gradients
    are divided by the labels of all their batches, and accumulation ends with each epoch.
    """

    model: SpeechModel
    objective: Objective

    def __init__(
        self,
        recipe: Recipe,
        data: RunData,
        state: dict[str, Any] | None = None,
        init: Init | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.recipe = recipe
        self.data = data
        self.init = init
        self.state = state
        self.position = Position.of(self.state["position"]) if self.state else Position()
        data.position = self.position
        self.spec_augment = _spec_augment(recipe)
        self.progress = 0.0  # part of the run that is done, for schedules with an end
        self.stop_wanted = False
        self.ema: Ema | None = None
        # ids and loss of each batch, of the step being gathered and of the one before
        self._gathered: list[tuple[tuple[str, ...], Tensor]] = []
        self._last: list[tuple[tuple[str, ...], Tensor]] = []
        self._sums = torch.zeros(len(SUMS))

    def configure_model(self) -> None:
        """Builds the model, the same in every process, and fills it as the run wants."""
        self.objective = Objective(self.recipe.loss, self.data.tokenizer)
        torch.manual_seed(derive(self.recipe.training.seed, "weights"))
        self.model = SpeechModel(self.recipe.model, self.data.tokenizer.size)
        if self.state is not None:
            self.model.load_state_dict(self.state["model"])
        else:
            if (statistics := self.data.statistics()) is not None:
                self.model.set_statistics(*statistics)
            if self.init is not None:
                self.init.apply(self.model, self.data.tokenizer)
        freeze(self.model, self.recipe.training.freeze)

    def on_fit_start(self) -> None:
        """Continues the average and the optimizer; both live on the device from here on."""
        if self.recipe.training.ema:
            self.ema = Ema(self.model, self.recipe.training.ema)
        if self.state is None:
            return
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        optimizer.load_state_dict(self.state["optimizer"])
        if self.ema is not None and self.state["ema"] is not None:
            self.ema.load_state_dict(self.state["ema"])
        self.state = None

    def run_state(self) -> dict[str, Any]:
        """All that a run needs to go on from here as if nothing had happened."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        return {
            "recipe": self.recipe.model_dump(mode="json"),
            "position": self.position.state_dict(),
            "model": self.model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "ema": self.ema.state_dict() if self.ema is not None else None,
        }

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW, fused."""
        return build_optimizer(self.model, self.recipe.optimizer)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, _: int) -> Any:
        """Everything that is not a tensor stays."""
        return batch.to(device, non_blocking=True)

    def on_after_batch_transfer(self, batch: Any, _: int) -> Any:
        """Where the sound is on the device already, batches are put together there."""
        return batch if self.data.sound is None else batch.map(self.data.sound.render)

    def on_train_batch_start(self, batch: Fed, batch_idx: int) -> int | None:
        """Processes exchange gradients only with the last batch of a step."""
        wrapped = self.trainer.strategy.model
        if isinstance(wrapped, DistributedDataParallel):
            wrapped.require_backward_grad_sync = self.completes_step(batch, ahead=1)
        return -1 if self.trainer.should_stop else None

    def training_step(self, fed: Fed, batch_idx: int) -> None:
        """Adds the gradient of one batch."""
        batch = fed.batch
        seed = self.recipe.training.seed
        # masks and dropout of this batch, whatever was drawn before it
        torch.manual_seed(derive(seed, batch.epoch, batch.index, self.global_rank, "forward"))
        chunks = derive(seed, batch.epoch, batch.index, "chunks")
        context = draw_context(self.recipe.chunks, chunks)
        try:
            with noisy_weights(self.model, self.recipe.training.weight_noise):
                sums = self.losses(batch, context, augment=True)
                loss = sums[0]
                # a loss that is not finite makes every gradient NaN, here and, once they have been
                # exchanged, in all processes: they agree to skip the step without another message
                poison = torch.where(torch.isfinite(loss.detach()), 1.0, float("nan"))
                self.manual_backward(loss * poison)
        except torch.OutOfMemoryError as error:
            raise out_of_memory(batch, error) from None
        self._sums = self._sums.to(loss.device) + sums.detach()
        self._gathered.append((batch.ids, loss.detach()))

    def completes_step(self, fed: Fed, ahead: int = 0) -> bool:
        """Whether a step ends with `fed`, which is trained on already, or not yet (`ahead` 1)."""
        return fed.last or len(self._gathered) + ahead >= self.recipe.training.accumulate

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
        step = self.position.step if augment else None
        sums = self.objective(self.model, batch, encoded, step)
        zero = sums["loss"].new_zeros(())
        sums |= {"seconds": zero + batch.seconds, "stop": zero + float(self.stop_wanted)}
        return torch.stack([sums[name].float() for name in SUMS])

    def finish_step(self) -> StepResult:
        """Turns the gathered gradients into a step, or drops them where they are not finite.

        The numbers come to the host in one transfer, the only one of a step.
        """
        world = self.trainer.world_size
        if world > 1:
            torch.distributed.all_reduce(self._sums)
        labels = self._sums[SUMS.index("labels")]
        parameters = [one for one in self.model.parameters() if one.grad is not None]
        gradients = [one.grad for one in parameters if one.grad is not None]
        # processes have exchanged the mean of their gradients: times `world` is the sum
        scale = world / labels
        norm = torch.nn.utils.get_total_norm(gradients) * scale
        told = torch.cat((self._sums, norm.float()[None])).tolist()
        sums, norm_told = dict(zip(SUMS, told, strict=False)), told[-1]
        applied = math.isfinite(norm_told) and math.isfinite(sums["loss"])
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        lr = self.learning_rate()
        if applied:
            clip = (self.recipe.training.clip_norm / (norm + 1e-6)).clamp(max=1.0)
            torch._foreach_mul_(gradients, scale * clip)
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
            if self.ema is not None:
                self.ema.update()
        optimizer.zero_grad(set_to_none=True)
        self._advance(sums, applied)
        count = max(sums["labels"], 1.0)
        return StepResult(
            **{name: sums[name] / count for name in LOSSES},
            accuracy=sums["right"] / count,
            wer=sums["list_errors"] / (sums["list_words"] or math.nan),
            labels=sums["labels"],
            seconds=sums["seconds"],
            grad_norm=norm_told,
            lr=lr,
            applied=applied,
            stop=sums["stop"] > 0,
        )

    def learning_rate(self) -> float:
        """Of the next step."""
        factor = self.recipe.schedule.factor(self.position.step + 1, self.progress)
        return self.recipe.optimizer.lr * factor

    def culprits(self) -> list[str]:
        """Ids of the batches of the last step whose loss was not finite, of all processes; of all
        its batches if only the gradient was not.
        """
        bad = [ids for ids, loss in self._last if not math.isfinite(float(loss))]
        found = [name for ids in bad or [ids for ids, _ in self._last] for name in ids]
        if self.trainer.world_size == 1:
            return found
        everyone: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(everyone, (bool(bad), found))
        certain = [names for sure, names in everyone if sure]
        return [name for names in certain or [names for _, names in everyone] for name in names]

    def _advance(self, sums: dict[str, float], applied: bool) -> None:
        self.position.audio_seconds += sums["seconds"] if applied else 0.0
        self.position.step += applied
        self.position.skipped += not applied
        self.position.skipped_in_row = 0 if applied else self.position.skipped_in_row + 1
        self._last, self._gathered = self._gathered, []
        self._sums = torch.zeros_like(self._sums)


def _spec_augment(recipe: Recipe) -> SpecAugment | None:
    """Masks for training; two views are masked more over time."""
    config = recipe.spec_augment
    if config is not None and recipe.loss.consistency_weight > 0:
        config = widened(config, recipe.loss.consistency_masking)
    return SpecAugment(config) if config is not None else None
