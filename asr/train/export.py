"""From the end of training to a model folder."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from asr.model.folder import save_model_folder
from asr.train.loop import TrainingLoop
from asr.train.module import SpeechTraining
from asr.train.recipe import Recipe


def export(
    recipe: Recipe, folder: Path, module: SpeechTraining, loop: TrainingLoop, command: str
) -> Path:
    """Writes `folder/model`."""
    model = folder / "model"
    with module.ema.swapped_in() if module.ema else nullcontext():
        save_model_folder(
            model,
            module.model,
            module.data.tokenizer,
            name=folder.name,
            normalizer=recipe.normalizer,
            card="",
            training=folder / "training",
        )
    return model
