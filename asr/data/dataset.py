"""The dataset: from a batch plan to the samples and tokens of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from asr.data.batches import BatchPlan, Item
from asr.data.prompts import PromptStarts
from asr.data.samples import cut_samples
from asr.data.utterance import text_of
from asr.errors import AudioError

if TYPE_CHECKING:
    from asr.data.augment import Augmenter
    from asr.data.samples import SampleCache

#: Tokens are padded to a multiple of this, so that few widths occur (see `BatchPlan`).
TOKEN_STEP = 16


@dataclass(frozen=True)
class RenderPlan:
    """How a batch of B rows is put together; integers are int64.

    `starts` and `sizes` (B, P): the parts of each row, in samples of the store. `rooms` (B,): the
    number of a response, -1 for none. `clips` (B, 3): start and size of a noise clip and where in
    it the noise begins, size 0 for none; `snr_db` (B,) its ratio. `gains` (B,): what the level is
    multiplied by. `width`: samples of a row.
    """

    starts: Tensor
    sizes: Tensor
    rooms: Tensor
    clips: Tensor
    snr_db: Tensor
    gains: Tensor
    width: int

    def map(self, change: Callable[[Tensor], Tensor]) -> RenderPlan:
        """The same with `change` applied to each tensor."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        tensors: dict[str, Any] = {
            name: change(value) for name, value in values.items() if isinstance(value, Tensor)
        }
        return replace(self, **tensors)


@dataclass(frozen=True)
class Batch:
    """Utterances as the model takes them.

    `samples` (B, N) float32 and `lengths` (B,); what stands beyond a row's length is zero.
    `tokens` (B, U) int64 and `token_lengths` (B,) where texts were tokenised, else None. `starts`
    (B, S) are the start sequences of tokenizers with prompt fields (None: all have that of the
    tokenizer), and `start_targets` (B, S - 1) what they are to predict (`NO_TARGET`: nothing).
    `seconds` is the audio in it without padding; (`epoch`, `index`) is its place in the order.
    Rows beyond `ids` are padding of length 0, see `BatchPlan`. `left_out` says which utterances
    could not be decoded and are missing here, where that is allowed. With a `render_plan`,
    `samples` (B, 0) are still to be made on the device (`asr/data/device_sound.py`).
    """

    ids: tuple[str, ...]
    samples: Tensor
    lengths: Tensor
    texts: tuple[str, ...]
    seconds: float
    tokens: Tensor | None = None
    token_lengths: Tensor | None = None
    starts: Tensor | None = None
    start_targets: Tensor | None = None
    epoch: int = 0
    index: int = 0
    left_out: tuple[str, ...] = ()
    render_plan: RenderPlan | None = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch with its tensors on `device`."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory; the DataLoader calls this."""
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        tensors: dict[str, Any] = {
            name: change(value) for name, value in values.items() if isinstance(value, Tensor)
        }
        render_plan = self.render_plan.map(change) if self.render_plan is not None else None
        return replace(self, **tensors, render_plan=render_plan)


#: Writes the text of an item as token ids, given the epoch and the item's id (for sampling).
Tokenise = Callable[[str, int, str], Sequence[int]]


class SpeechDataset(Dataset[Batch]):
    """Makes a `Batch` of each `BatchPlan`; its workers hold no state, so any of them may make
    any."""

    def __init__(
        self,
        sample_rate: int,
        *,
        normalise: Callable[[str], str] | None = None,
        tokenise: Tokenise | None = None,
        prompts: PromptStarts | None = None,
        augmenter: Augmenter | None = None,
        cache: SampleCache | None = None,
        leave_out: bool = False,
    ) -> None:
        self.sample_rate = sample_rate
        self.leave_out = leave_out
        self.augmenter = augmenter
        self.normalise = normalise
        self.tokenise = tokenise
        self.prompts = prompts
        self.cache = cache

    def __getitem__(self, plan: BatchPlan) -> Batch:
        """Decodes, augments and pads.

        Raises:
            AudioError: the audio of an item cannot be read, and `leave_out` does not allow that.
        """
        plan, rows, left_out = self._decoded(plan)
        samples, lengths = _padded(rows, plan, self.sample_rate)
        return replace(self._batch(plan, samples, lengths), left_out=left_out)

    def _batch(self, plan: BatchPlan, samples: Tensor, lengths: Tensor) -> Batch:
        """The batch of a plan: its samples, and the texts and tokens of its items."""
        texts = tuple(self._text(item) for item in plan.items)
        tokens, token_lengths = self._tokens(plan, texts)
        prompts = self.prompts
        starts, targets = prompts(plan.items, plan.rows) if prompts is not None else (None, None)
        return Batch(
            ids=tuple(item.id for item in plan.items),
            samples=samples,
            lengths=lengths,
            texts=texts,
            seconds=float(lengths.sum()) / self.sample_rate,
            tokens=tokens,
            token_lengths=token_lengths,
            starts=starts,
            start_targets=targets,
            epoch=plan.epoch,
            index=plan.index,
        )

    def _decoded(self, plan: BatchPlan) -> tuple[BatchPlan, list[np.ndarray], tuple[str, ...]]:
        """The items that can be decoded, their samples, and which cannot."""
        rows, kept, left_out = [], [], []
        for item in plan.items:
            try:
                rows.append(self._samples(item, plan.epoch))
            except AudioError as error:
                left_out.append(f"{item.id}: {error}")
                if not self.leave_out:
                    raise
            else:
                kept.append(item)
        if not kept:  # all processes must have as many batches: in this one nobody speaks
            kept = [replace(plan.items[0], cuts=())]
            rows = [np.zeros(round(kept[0].duration * self.sample_rate), dtype=np.float32)]
        return replace(plan, items=tuple(kept)), rows, tuple(left_out)

    def _samples(self, item: Item, epoch: int) -> np.ndarray:
        parts = [cut_samples(cut, self.sample_rate, self.cache) for cut in item.cuts]
        samples = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if self.augmenter is None:
            return samples
        return self.augmenter(samples, epoch, item.id, item.speed)

    def _text(self, item: Item) -> str:
        texts = (text_of(cut) for cut in item.cuts)
        if self.normalise is not None:
            texts = (self.normalise(text) for text in texts)
        return " ".join(text for text in texts if text)

    def _tokens(self, plan: BatchPlan, texts: Sequence[str]) -> tuple[Tensor | None, Tensor | None]:
        if self.tokenise is None:
            return None, None
        rows = [
            torch.tensor(self.tokenise(text, plan.epoch, item.id), dtype=torch.int64)
            for text, item in zip(texts, plan.items, strict=True)
        ]
        lengths = torch.zeros(plan.rows, dtype=torch.int64)
        lengths[: len(rows)] = torch.tensor([len(row) for row in rows])
        width = max(-(-int(lengths.max()) // TOKEN_STEP) * TOKEN_STEP, TOKEN_STEP)
        padded = torch.zeros(plan.rows, width, dtype=torch.int64)  # padding is not read
        for row, target in zip(rows, padded, strict=False):
            target[: len(row)] = row
        return padded, lengths


def _padded(rows: Sequence[np.ndarray], plan: BatchPlan, sample_rate: int) -> tuple[Tensor, Tensor]:
    lengths = torch.zeros(plan.rows, dtype=torch.int64)
    lengths[: len(rows)] = torch.tensor([len(row) for row in rows])
    width = max(int(lengths.max()), math.ceil(plan.seconds * sample_rate))
    samples = torch.zeros(plan.rows, width)
    for row, target in zip(rows, samples, strict=False):
        target[: len(row)] = torch.from_numpy(row)
    return samples, lengths
