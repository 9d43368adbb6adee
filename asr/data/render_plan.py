"""Render plans: batches that the device makes of samples that it holds.

The host draws and counts, the device (`asr/data/device_sound.py`) gathers and computes: a batch of
a thousand seconds travels as some kilobytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from asr.data.augment import Augmenter, Changes
from asr.data.batches import BatchPlan
from asr.data.dataset import Batch, RenderPlan, SpeechDataset, Tokenise
from asr.data.prompts import PromptStarts
from asr.data.samples import audio_file

if TYPE_CHECKING:
    from lhotse.cut import Cut

#: What a cut's sound is known by: the file (or the cut's id), where it starts and how long it is.
Key = tuple[str, float, float]
#: Where the sound of a cut at a speed lies among all samples: the first one, and how many.
Places = Mapping[tuple[Key, float], tuple[int, int]]


def key_of(cut: Any) -> Key:
    """Repeats of a cut have the same."""
    return audio_file(cut) or str(cut.id), float(cut.start), float(cut.duration)


class RenderPlanDataset(SpeechDataset):
    """Makes a `Batch` with `render_plan` in place of samples of each `BatchPlan`.

    Args:
        places: where each cut's sound lies in the store, at each speed.
        clip_places: start and size of each noise clip in its store.
    """

    def __init__(
        self,
        sample_rate: int,
        *,
        places: Places,
        clip_places: Sequence[tuple[int, int]],
        augmenter: Augmenter,
        normalise: Callable[[str], str] | None = None,
        tokenise: Tokenise | None = None,
        prompts: PromptStarts | None = None,
    ) -> None:
        super().__init__(sample_rate, tokenise=tokenise, prompts=prompts, augmenter=augmenter)
        self.places = places
        self.clip_places = clip_places
        self.normaliser = normalise
        self._written: dict[str, str] = {}
        if normalise is not None:
            self.normalise = self._normalised

    def __getitem__(self, plan: BatchPlan) -> Batch:
        """Makes the random choices of augmentation; no audio is read."""
        assert self.augmenter is not None
        parts = [self._parts(item.cuts, item.speed) for item in plan.items]
        changes = [self.augmenter.changes(plan.epoch, item.id) for item in plan.items]
        lengths = torch.zeros(plan.rows, dtype=torch.int64)
        lengths[: len(parts)] = torch.tensor([sum(size for _, size in row) for row in parts])
        width = max(int(lengths.max()), math.ceil(plan.seconds * self.sample_rate))
        batch = self._batch(plan, torch.zeros(plan.rows, 0), lengths)
        render_plan = self._render_plan(parts, changes, plan.rows, width)
        return replace(batch, render_plan=render_plan)

    def _parts(self, cuts: Sequence[Cut], speed: float) -> list[tuple[int, int]]:
        return [self.places[key_of(cut), speed] for cut in cuts]

    def _render_plan(
        self,
        parts: Sequence[Sequence[tuple[int, int]]],
        changes: Sequence[Changes],
        rows: int,
        width: int,
    ) -> RenderPlan:
        most = max(len(row) for row in parts)
        spans = torch.zeros(rows, most, 2, dtype=torch.int64)
        render_plan = RenderPlan(
            starts=spans[..., 0],
            sizes=spans[..., 1],
            rooms=torch.full((rows,), -1),
            clips=torch.zeros(rows, 3, dtype=torch.int64),
            snr_db=torch.zeros(rows),
            gains=torch.ones(rows),
            width=width,
        )
        filled = [[*row, *[(0, 0)] * (most - len(row))] for row in parts]
        spans[: len(parts)] = torch.tensor(filled)
        for row, change in enumerate(changes):
            if change.room is not None:
                render_plan.rooms[row] = change.room
            if change.clip is not None:
                number, begin = change.clip
                render_plan.clips[row] = torch.tensor([*self.clip_places[number], begin])
                render_plan.snr_db[row] = change.snr_db
            if change.gain_db is not None:
                render_plan.gains[row] = 10 ** (change.gain_db / 20)
        return render_plan.map(Tensor.contiguous)

    def _normalised(self, text: str) -> str:
        """The same texts come in every epoch: each is normalised once."""
        normalised = self._written.get(text)
        if normalised is None:
            assert self.normaliser is not None
            normalised = self._written[text] = self.normaliser(text)
        return normalised
