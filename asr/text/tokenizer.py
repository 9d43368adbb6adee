"""What a tokenizer is."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from asr.text.labels import Labels

#: How `decode` writes the unknown label: visible, and no character of any language.
UNKNOWN_MARK = "⁇"
#: How `piece` writes a space, as SentencePiece does: a word starts where a piece starts with it.
WORD_MARK = "▁"


class Tokenizer(Protocol):
    """Turns text into label ids and back."""

    @property
    def size(self) -> int:
        """Number of labels, the special ones included."""
        ...

    @property
    def labels(self) -> Labels:
        """Which of its labels are special."""
        ...

    def encode(self, text: str, sample: bool | random.Random = False) -> list[int]:
        """The labels of `text`, without start and end; what cannot be written becomes unknown.

        Args:
            text: normalised text; runs of spaces count as one, those at the ends as none.
            sample: draw one of many ways to cut the words into labels (subword regularisation)
                rather than the best one. A generator makes the draw reproducible whatever was
                drawn before; True uses the tokenizer's own. Tokenizers with one way ignore it.
        """
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`: blank, start and end write nothing, unknown writes `UNKNOWN_MARK`.

        Raises:
            ModelError: an id is not one of this tokenizer's.
        """
        ...

    def piece(self, token: int) -> str:
        """The label as written in the vocabulary; `WORD_MARK` stands for a space.

        Raises:
            ModelError: the id is not one of this tokenizer's.
        """
        ...

    def unknown(self, text: str) -> Counter[str]:
        """The characters of `text` that cannot be written, and how often each occurs."""
        ...

    def save(self, folder: str | Path) -> Path:
        """Writes the tokenizer's file into `folder` (made if missing) and returns its path.

        Raises:
            OutputError: the file cannot be written.
        """
        ...


def frames_needed(labels: Sequence[int]) -> int:
    """Frames that CTC needs to write `labels`: one each, and a blank between equal neighbours."""
    return len(labels) + sum(label == following for label, following in pairwise(labels))
