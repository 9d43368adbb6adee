"""Phrases as a machine that reads labels: which of them is being said, and what that is worth.

An Aho-Corasick automaton (Aho and Corasick 1975) over characters, not labels: however a tokenizer
cuts a phrase into pieces, it is the same path. `WORD_MARK` stands between words and before the
first, so that phrases begin and end where words do: none is found inside another word.

A node is a beginning of phrases. Its credit is the number of its letters times the greatest weight
of those phrases; it is lent while they may yet be said. When the reading leaves them, it is taken
back, but for the worth of what was said whole within them. So what was not said to its end is worth
nothing, whatever came in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from asr.text.tokenizer import WORD_MARK

#: Rows of the table of labels that are kept at once.
_KEPT_ROWS = 4096

ROOT = 0
"""The node of nothing: within a word that no phrase begins with."""


class PhraseTree:
    """The machine for some phrases and one set of labels.

    Args:
        phrases: normalised texts, single spaces between words, and their weights (above 0).
        pieces: of each label, what it writes, `WORD_MARK` where a word begins; "" for those that
            write nothing.
    """

    def __init__(self, phrases: Mapping[str, float], pieces: Sequence[str]) -> None:
        self.phrases = tuple(sorted(phrases.items()))
        """The phrases and their weights: equal for trees that are worth the same."""
        self.pieces = tuple(pieces)
        self.begins_word = torch.tensor([piece.startswith(WORD_MARK) for piece in pieces])
        self._nodes = [_Node()]
        for phrase, weight in phrases.items():
            self._add(phrase, weight)
        self._link()
        self.start = self._nodes[ROOT].children.get(WORD_MARK, ROOT)
        """The node before the first label: a word may begin."""
        self.credits = torch.tensor([node.credit for node in self._nodes], dtype=torch.float64)
        """What is lent at each node."""
        worth = [
            [self.broken(node, ends) for ends in (False, True)] for node in range(len(self._nodes))
        ]
        self.broken_worth = torch.tensor(worth, dtype=torch.float64)
        """`broken` at each node (nodes, 2): within a word, and where one ends."""
        self.most = max(map(len, phrases)) * max(phrases.values())
        """No phrases of one path are worth more."""
        self._rows: dict[int, tuple[Tensor, Tensor]] = {}

    def rows(self, nodes: Sequence[int]) -> tuple[Tensor, Tensor]:
        """What each label does at some nodes.

        Returns:
            what it is worth (N, V) float64, and the node after it (N, V).
        """
        rows = [self._row(node) for node in nodes]
        return torch.stack([worth for worth, _ in rows]), torch.stack([to for _, to in rows])

    def broken(self, node: int, word_ends: bool) -> float:
        """What it is worth that no phrase is followed any more; `word_ends` before it.

        That is what an ending is worth, where the last word ends.
        """
        return self._complete_worth(self._nodes[node], word_ends) - self._nodes[node].credit

    def _add(self, phrase: str, weight: float) -> None:
        at = ROOT
        for place, character in enumerate(WORD_MARK + phrase.replace(" ", WORD_MARK)):
            child = self._nodes[at].children.get(character)
            if child is None:
                child = self._nodes[at].children[character] = len(self._nodes)
                self._nodes.append(_Node(depth=place + 1, parent=at))
            at = child
            self._nodes[at].credit = max(self._nodes[at].credit, weight * place)
        self._nodes[at].value = max(self._nodes[at].value, weight * len(phrase))

    def _link(self) -> None:
        """Finds for each node what it ends with, and what is said whole within it."""
        waiting = deque([ROOT])
        while waiting:
            at = waiting.popleft()
            node = self._nodes[at]
            node.complete = self._best(at)
            for character, child in node.children.items():
                kept = node.complete if character == WORD_MARK else node.kept
                self._nodes[child].kept = kept
                if at != ROOT:
                    self._nodes[child].fail = self._next(node.fail, character)
                waiting.append(child)

    def _best(self, at: int) -> float:
        """The greatest worth of phrases in the text of a node that do not overlap."""
        node, end = self._nodes[at], at
        best = node.kept
        while end != ROOT:
            phrase = self._nodes[end]
            if phrase.value:
                before = at
                while self._nodes[before].depth > node.depth - phrase.depth:
                    before = self._nodes[before].parent
                best = max(best, self._nodes[before].complete + phrase.value)
            end = phrase.fail
        return best

    def _next(self, at: int, character: str) -> int:
        """The longest beginning that a node and a character end with."""
        while character not in self._nodes[at].children and at != ROOT:
            at = self._nodes[at].fail
        return self._nodes[at].children.get(character, ROOT)

    def _complete_worth(self, node: _Node, word_ends: bool) -> float:
        return node.complete if word_ends else node.kept

    def _read(self, at: int, character: str) -> tuple[float, int]:
        """What a character is worth, and the node after it."""
        node, to = self._nodes[at], self._next(at, character)
        after = self._nodes[to]
        worth = after.credit - node.credit
        if after.parent != at:  # what was said whole and will not be counted again
            worth += max(0.0, self._complete_worth(node, character == WORD_MARK) - after.kept)
        return worth, to

    def _row(self, node: int) -> tuple[Tensor, Tensor]:
        if node not in self._rows:
            if len(self._rows) >= _KEPT_ROWS:
                self._rows = {}
            worth, nodes = [], []
            for piece in self.pieces:
                total, at = 0.0, node
                for character in piece:
                    gain, at = self._read(at, character)
                    total += gain
                worth.append(total)
                nodes.append(at)
            self._rows[node] = torch.tensor(worth, dtype=torch.float64), torch.tensor(nodes)
        return self._rows[node]


@dataclass
class _Node:
    """A beginning of phrases."""

    depth: int = 0
    """Its length, the first `WORD_MARK` counted."""
    parent: int = -1
    children: dict[str, int] = field(default_factory=dict)
    fail: int = ROOT
    """The longest other node that it ends with."""
    credit: float = 0.0
    value: float = 0.0
    """What it is worth, where it is a phrase."""
    kept: float = 0.0
    """The worth of what is said whole within it, whatever comes next ..."""
    complete: float = 0.0
    """... and if its last word ends here."""
