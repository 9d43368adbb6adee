"""Validations of a run, the snapshots that they leave, and which weights become the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from asr.data.dataset import Batch
from asr.evaluate.scoring import build_normalizer, scoring_for
from asr.train.corpora import sample, size
from asr.train.module import SpeechTraining
from asr.train.recipe import Recipe
from asr.train.report.attention_check import advice, is_due
from asr.train.report.export import Exported, chosen_weights, export, validated
from asr.train.report.progress import TrainingProgress
from asr.train.report.validation import DevResult, Validator, sample_lines
from asr.train.weights.averaging import Snapshots


class SpeechEvaluation(pl.Callback):
    """What a recogniser's loop measures and writes; `model_folder` is the result.

    Args:
        folder: of the run.
        resumes_here: whether the run goes on from this folder's own checkpoint, and so with its
            snapshots.
        command: for the model card.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        progress: TrainingProgress,
        resumes_here: bool,
        command: str,
    ) -> None:
        self.recipe = recipe
        self.folder = folder
        self.progress = progress
        self.command = command
        self.model_folder: Path | None = None
        checkpoint = recipe.checkpoint
        self.snapshots = Snapshots(folder / "checkpoints", checkpoint.keep, checkpoint.average)
        self._resumes_here = resumes_here
        self._validator: Validator | None = None
        self._measured: tuple[int, DevResult | None] = (-1, None)
        self._work = 0.0
        self._attention_judged = False

    # -- Lightning's hooks -------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Which snapshots there are."""
        return self.snapshots.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with them, if they are in this folder."""
        if self._resumes_here:
            self.snapshots.restore(state_dict)

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Prepares the batches of the dev set, this process' part of them."""
        assert isinstance(module, SpeechTraining)
        data, rank, world = module.data, trainer.global_rank, trainer.world_size
        dev = data.corpora.dev
        if not any(True for _ in dev):
            return
        chosen = sample(dev, self.recipe.validation.decode)
        limit = self.recipe.validation.batches
        most = float("inf") if limit is None else limit * self.recipe.data.batch_seconds
        known = size(dev)
        self._work = min(known[1], most) if known is not None else 0.0
        self._work += sum(cut.duration for cut in chosen)
        measured: Iterable[Batch] = data.dev_batches(dev, rank, world)
        decoded: Iterable[Batch] = data.dev_batches(chosen, rank, world, workers=0)
        if self.recipe.data.cache == "device":  # which would wait for the decoder each time
            measured, decoded = list(measured), list(decoded)
        self._validator = Validator(
            measured,
            decoded if chosen else (),
            data.tokenizer,
            build_normalizer(scoring_for(self.recipe.normalizer)),
            limit,
        )

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Looks at attention as soon as it must have formed, whenever validations come."""
        assert isinstance(module, SpeechTraining)
        done = self._attention_judged or self._validator is None or module.result is None
        if done or not is_due(self.recipe, module.run.step, module.progress):
            return
        assert self._validator is not None
        self._attention_judged = True
        with module.averaged():
            self._judge_attention(module, self._validator.attention(module))

    # -- what the loop asks for --------------------------------------------------------------------

    def validate(self, module: SpeechTraining) -> None:
        """Measures the averaged weights (the plain ones without `training.ema`) and keeps them."""
        with module.averaged():
            result = self.measure(module)
            self._measured = (module.run.step, result)
            if result is not None:
                self._judge_attention(module, (result.diagonality, result.entropy))
            loss, first = result.loss if result else None, module.trainer.is_global_zero
            self.snapshots.add(module.model, module.run.step, loss, write=first)
            if self.recipe.checkpoint.export == "best" and result is not None:
                self._export(module, Exported(validated(module), result))

    def finish(self, module: SpeechTraining) -> None:
        """Measures the best weights of the run and writes them as the model folder."""

        def measured(what: str, same: bool) -> DevResult | None:
            step, result = self._measured
            return result if same and step == module.run.step else self.measure(module, what)

        with chosen_weights(module, self.snapshots, measured) as exported:
            self._export(module, exported)

    def validations_at_end(self) -> int:
        """That of the last weights, and that of the mean of the snapshots where there are some."""
        if self._validator is None:
            return 0
        return 2 if len(self.snapshots.kept) > 1 else 1

    def work(self) -> float:
        """Seconds of audio whose losses are computed, and of those that are decoded."""
        return self._work

    def after_checkpoint(self, module: SpeechTraining) -> None:
        """Removes the files of snapshots that are not kept."""
        if module.trainer.is_global_zero:
            self.snapshots.prune()

    # -- parts -------------------------------------------------------------------------------------

    def measure(self, module: SpeechTraining, what: str = "") -> DevResult | None:
        """Validates the weights that the model has and prints that; None without dev set.

        `what` names weights other than those that are validated all along, which alone are logged.
        """
        if self._validator is None:
            return None
        result, run = self._validator.run(module), module.run
        self.progress.say(f"dev at step {run.step}{what and f', {what}'}: {result}")
        if what:
            return result
        figures = {f"{name}/dev": v for name, v in result.figures().items() if v == v}
        for logger in module.trainer.loggers:
            logger.log_metrics({"epoch": float(run.epoch), **figures}, run.step)
        module.log_dict(_for_callbacks(figures), logger=False, on_step=True)
        if lines := sample_lines(result.sample, self.recipe.validation.show):
            self.progress.say(lines)
            for logger in module.trainer.loggers:
                if isinstance(logger, pl.loggers.TensorBoardLogger):
                    logger.experiment.add_text("sample", lines, run.step)
        return result

    def _judge_attention(self, module: SpeechTraining, shape: tuple[float, float]) -> None:
        """Says what to change where attention has not formed after a while."""
        if (message := advice(self.recipe, *shape, module.run.step, module.progress)) is not None:
            self.progress.say(message)

    def _export(self, module: SpeechTraining, exported: Exported) -> None:
        """Writes the model folder, unless the best is wanted and a better one is there."""
        run = module.run
        loss = exported.result.loss if exported.result is not None else float("nan")
        if self.recipe.checkpoint.export == "best":
            if loss >= run.best:
                self.model_folder = self.folder / "model" if module.trainer.is_global_zero else None
                return
            run.best = loss if loss == loss else run.best
        if module.trainer.is_global_zero:
            self.model_folder = export(self.folder, module, exported, self.command)


def _for_callbacks(figures: Mapping[str, float]) -> dict[str, float]:
    """What callbacks such as EarlyStopping and ModelCheckpoint monitor, as `dev_loss` ..."""
    return {f"dev_{name.removesuffix('/dev')}": value for name, value in figures.items()}
