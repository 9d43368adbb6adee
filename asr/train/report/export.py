"""From the end of training to a model folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from asr.errors import OutputError
from asr.model.folder import save_model_folder
from asr.train.module import SpeechTraining
from asr.train.report.card import Facts, write_card
from asr.train.report.origin import kept_origin
from asr.train.report.plots import draw_attention, draw_curves
from asr.train.report.validation import DevResult
from asr.train.weights.averaging import Snapshots
from asr.train.weights.lora import merged


@dataclass(frozen=True)
class Exported:
    """The weights that were chosen, in words, and what validation measured on exactly them."""

    weights: str
    result: DevResult | None


def validated(module: SpeechTraining) -> str:
    """The weights that all validations of a run measure, in words."""
    return "moving average of the weights" if module.ema else "weights of the last step"


@contextmanager
def chosen_weights(
    module: SpeechTraining,
    snapshots: Snapshots,
    measure: Callable[[str, bool], DevResult | None],
) -> Iterator[Exported]:
    """Puts the best weights of the run into the model: the final ones, or the snapshots' mean.

    Args:
        measure: validates the weights that the model has; it is told in words what they are, and
            whether they are the ones that all validations of the run measure.
    """
    final = validated(module)
    with module.averaged():
        result = measure(final, True)
        kept = {name: tensor.clone() for name, tensor in module.model.state_dict().items()}
        first, world = module.trainer.is_global_zero, module.trainer.world_size
        if not snapshots.average_into(module.model, first, world):
            yield Exported(final, result)
            return
        what = f"mean of the {len(snapshots.kept)} {snapshots.by} snapshots"
        averaged = measure(what, False)
        if result is None or averaged is None or averaged.loss < result.loss:
            chosen = Exported(what, averaged)
        else:
            module.model.load_state_dict(kept)
            chosen = Exported(final, result)
        try:
            yield chosen
        finally:
            module.model.load_state_dict(kept)


def export(folder: Path, module: SpeechTraining, exported: Exported, command: str) -> Path:
    """Writes `folder/model` with the weights that the model has now.

    Raises:
        OutputError: it cannot be written.
    """
    recipe, data = module.recipe, module.data
    training, passing = folder / "training", folder / "checkpoints" / "report"
    plain = merged(module.model)
    facts = Facts.of(module, plain, exported.weights, exported.result)
    origin = kept_origin(data.folder)
    try:
        draw_curves(training / "log.csv", training / "curves.png")
        draw_attention(module, training / "attention.png")
        shutil.rmtree(passing, ignore_errors=True)
        shutil.copytree(training, passing, ignore=shutil.ignore_patterns("tensorboard"))
        save_model_folder(
            folder / "model",
            plain,
            data.tokenizer,
            name=folder.name,
            normalizer=recipe.normalizer,
            card=write_card(folder.name, folder / "model", facts, recipe, command, origin),
            origin=origin,
            facts=facts.for_config(),
            training=passing,
        )
    except OSError as error:
        raise OutputError(
            f"{folder}: the model cannot be written: {error.strerror or error}; make room, then "
            "run the same command again"
        ) from None
    finally:
        shutil.rmtree(passing, ignore_errors=True)
    return folder / "model"
