"""Whether attention has formed by now, and what to change where it has not."""

from __future__ import annotations

import torch

from asr.data.dataset import Batch
from asr.errors import ModelError
from asr.model import SpeechModel
from asr.model.attention_shape import AttentionShape, attention_shape
from asr.text import Labels
from asr.train.losses.joint import teacher_forcing
from asr.train.recipe import Recipe

#: Attention is judged after so many steps and so many times the warm-up, at the latest after this
#: part of the run.
STEPS, WARMUPS, PART = 500, 2, 0.5
#: Attention that works is well above this; see `AttentionShape`.
FORMED = 0.5


@torch.no_grad()
def shapes(model: SpeechModel, batch: Batch, labels: Labels) -> list[AttentionShape]:
    """How the references of a batch look at their sound; nothing where there is no attention.

    The ending is left out: it may look where it likes.
    """
    if model.decoder is None or batch.tokens is None or batch.token_lengths is None:
        return []
    memory, lengths = model.encode(*model.features(batch.samples, batch.lengths))
    rows = len(batch.ids)
    most = model.decoder.max_labels
    inputs, _ = teacher_forcing(batch.tokens, batch.token_lengths, rows, labels, batch.starts, most)
    try:
        weights = model.decoder.attention(inputs, memory, lengths)[:, :, :, len(labels.start) - 1 :]
    except ModelError:
        return []
    ends = zip(batch.token_lengths.tolist(), lengths.tolist(), strict=False)
    found = [
        attention_shape(weights[row, :, :, :count, :frames])
        for row, (count, frames) in enumerate(ends)
        if row < rows
    ]
    return [shape for shape in found if shape is not None]


def is_due(recipe: Recipe, step: int, progress: float) -> bool:
    """Whether attention that works has formed by now.

    Args:
        progress: the part of the run that is done.
    """
    return step >= max(STEPS, WARMUPS * recipe.schedule.warmup_steps) or progress >= PART


def advice(
    recipe: Recipe, diagonality: float, entropy: float, step: int, progress: float
) -> str | None:
    """What to tell who trains, None while all is well or too early to say.

    Args:
        diagonality, entropy: of the dev sample; NaN where there is no attention.
        progress: the part of the run that is done.
    """
    if not is_due(recipe, step, progress) or not diagonality < FORMED:
        return None
    told = (
        f"attention has not formed: the labels do not follow the sound (diagonality "
        f"{diagonality:.2f}, entropy {entropy:.2f}; attention that works has a diagonality near 1)."
    )
    return f"{told} What helps, most of all first: {'; '.join(_changes(recipe))}"


def _changes(recipe: Recipe) -> list[str]:
    """Only what the recipe does not do yet."""
    changes = []
    if not recipe.data.short_first:
        changes.append("short utterances first (data.short_first=1)")
    if recipe.spec_augment is not None:
        changes.append("no masks until it has formed (spec_augment=null)")
    if recipe.loss.ctc_weight < 0.2:
        changes.append("CTC beside it (model.ctc=true loss.ctc_weight=0.3)")
    warmup = max(2 * recipe.schedule.warmup_steps, 100)
    changes.append(f"a longer warm-up (schedule.warmup_steps={warmup})")
    changes.append(f"smaller steps (optimizer.lr={recipe.optimizer.lr / 2:g})")
    changes.append("more steps with smaller batches (data.batch_utterances, training.epochs)")
    return changes
