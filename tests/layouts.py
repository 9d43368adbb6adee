"""Two ways to number the same labels: special ones first, as ours are, and strewn about."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from asr.text import Labels


@dataclass(frozen=True)
class Layouts:
    """`other` numbers the labels of `usual` anew: label n there is `numbers[n]` here."""

    usual: Labels
    other: Labels
    numbers: tuple[int, ...]

    @property
    def vocabulary(self) -> int:
        return len(self.numbers)

    @property
    def writable(self) -> range:
        """The labels of `usual` that hypotheses may hold."""
        return range(max(self.usual.forbidden) + 1, self.vocabulary)

    def renumbered(self, tokens: Tensor) -> Tensor:
        """Labels of `usual` as `other` numbers them; below 0 is no label."""
        return torch.tensor(self.numbers)[tokens.clamp(min=0)].where(tokens >= 0, tokens)

    def renumber(self, labels: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.numbers[label] for label in labels)

    def moved(self, tensor: Tensor, dim: int = 0) -> Tensor:
        """What stands at label n of `tensor` stands at label `numbers[n]`."""
        return tensor.index_select(dim, torch.tensor(self.numbers).argsort())

    def move(self, module: nn.Module) -> None:
        """Renumbers the labels of a model, its decoder or a language model in place."""
        with torch.no_grad():
            for name, weights in module.named_parameters():
                if name.endswith("embedding.weight") or name.split(".")[-2] in ("to_logits", "ctc"):
                    weights.copy_(self.moved(weights))


#: A start of one label, which is also the end.
ONE_START = Layouts(
    usual=Labels(blank=0, unknown=1, end=2, start=(2,)),
    other=Labels(blank=6, unknown=None, end=3, start=(3,), never=(0,)),
    numbers=(6, 0, 3, 1, 2, 4, 5),
)
#: A start of two labels, others that are never said, no unknown.
TWO_STARTS = Layouts(
    usual=Labels(blank=0, unknown=1, end=2, start=(3, 4), never=(5,)),
    other=Labels(blank=11, unknown=None, end=7, start=(9, 4), never=(3, 0)),
    numbers=(11, 0, 7, 9, 4, 3, 1, 2, 5, 6, 8, 10),
)
LAYOUTS = (ONE_START, TWO_STARTS)


def without_blank(labels: Labels) -> Labels:
    """Those of a model without CTC; its blank is never said."""
    never = (*labels.never, *([labels.blank] if labels.blank is not None else []))
    return replace(labels, blank=None, never=never)
