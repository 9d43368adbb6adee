"""Phrases as a machine that reads labels: which of them is being said, and what that is worth.

An Aho-Corasick automaton (Aho and Corasick 1975) over characters, not labels: however a tokenizer
cuts a phrase into pieces, it is the same path. Where a piece ends inside a character of several
bytes, the character is read when its last byte comes. `WORD_MARK` stands between words and
before the first, so that phrases begin and end where words do: none is found inside another word.
Spaces and punctuation part words (apostrophes do not), and each character of a script that is
written without spaces is a word.

A node is a beginning of phrases. Its credit is the number of its letters times the greatest weight
of those phrases; it is lent while they may yet be said. When the reading leaves them, it is taken
back, but for the worth of what was said whole within them. So what was not said to its end is worth
nothing, whatever came in between.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor

from asr.text.tokenizer import WORD_MARK

#: Rows of the table of labels that are kept at once.
_KEPT_ROWS = 4096
#: Labels at a node that are kept at once.
_KEPT_PAIRS = 1_000_000
_APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}"
#: Scripts written without spaces, by the beginning of the names of their characters.
_NO_SPACES = ("CJK ", "HIRAGANA ", "KATAKANA ", "THAI ", "LAO ", "KHMER ", "MYANMAR ")
#: A byte that is a part of a character, as `Tokenizer.piece` writes it.
_BYTE = re.compile("<0x([0-9A-F]{2})>")

ROOT = 0
"""The node of nothing: within a word that no phrase begins with."""


class PhraseTree:
    """The machine for some phrases and one set of labels.

    Args:
        phrases: normalised texts and their weights (above 0), each with a letter (`has_letters`).
        pieces: of each label, what it writes, as `Tokenizer.piece` has it; "" for those that write
            nothing.

    A place in the reading is a number: that of a node, and where bytes of a character have been
    read that is not complete, a multiple of `size` beside it, so that `place % size` is the node.
    """

    def __init__(self, phrases: Mapping[str, float], pieces: Sequence[str]) -> None:
        self.phrases = tuple(sorted(phrases.items()))
        """The phrases and their weights: equal for trees that are worth the same."""
        self.pieces = tuple(map(_content, pieces))
        begins = [piece[:1] != "" and _followed(piece)[:1] == WORD_MARK for piece in pieces]
        self.begins_word = torch.tensor(begins)
        self._nodes = [_Node()]
        self._incomplete = {b"": 0}
        """Bytes of a character that is not complete, and their number."""
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
        self.most = max(node.depth for node in self._nodes) * max(phrases.values())
        """No phrases of one path are worth more."""
        self._rows: dict[int, tuple[Tensor, Tensor]] = {}
        self._pairs: dict[int, tuple[float, int]] = {}

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self._nodes)

    def rows(self, places: Sequence[int]) -> tuple[Tensor, Tensor]:
        """What each label does at some places.

        Returns:
            what it is worth (N, V) float64, and the place after it (N, V).
        """
        rows = [self._row(place) for place in places]
        return torch.stack([worth for worth, _ in rows]), torch.stack([to for _, to in rows])

    def pairs(self, places: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The same for some labels (N, K) at places (N,) alone: vocabularies may be large."""
        keys, where = (places[:, None] * len(self.pieces) + labels).unique(return_inverse=True)
        pairs = [self._pair(key) for key in keys.tolist()]
        worth = torch.tensor([gain for gain, _ in pairs], dtype=torch.float64, device=keys.device)
        after = torch.tensor([place for _, place in pairs], device=keys.device)
        return worth[where], after[where]

    def broken(self, node: int, word_ends: bool) -> float:
        """What it is worth that no phrase is followed any more; `word_ends` before it.

        That is what an ending is worth, where the last word ends.
        """
        return self._complete_worth(self._nodes[node], word_ends) - self._nodes[node].credit

    def _add(self, phrase: str, weight: float) -> None:
        at = ROOT
        path = _path(phrase)
        for place, character in enumerate(path):
            child = self._nodes[at].children.get(character)
            if child is None:
                child = self._nodes[at].children[character] = len(self._nodes)
                self._nodes.append(_Node(place + 1, at, word_ended=character == WORD_MARK))
            at = child
            self._nodes[at].credit = max(self._nodes[at].credit, weight * place)
        self._nodes[at].value = max(self._nodes[at].value, weight * (len(path) - 1))

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
        node = self._nodes[at]
        if character == WORD_MARK and node.word_ended:  # a space behind a comma
            return 0.0, at
        to = self._next(at, character)
        after = self._nodes[to]
        worth = after.credit - node.credit
        if after.parent != at:  # what was said whole and will not be counted again
            worth += max(0.0, self._complete_worth(node, character == WORD_MARK) - after.kept)
        return worth, to

    def _row(self, place: int) -> tuple[Tensor, Tensor]:
        if place not in self._rows:
            if len(self._rows) >= _KEPT_ROWS:
                self._rows = {}
            read = [self._read_piece(place, piece) for piece in self.pieces]
            worth = torch.tensor([gain for gain, _ in read], dtype=torch.float64)
            self._rows[place] = worth, torch.tensor([after for _, after in read])
        return self._rows[place]

    def _pair(self, key: int) -> tuple[float, int]:
        if key not in self._pairs:
            if len(self._pairs) >= _KEPT_PAIRS:
                self._pairs = {}
            place, label = divmod(key, len(self.pieces))
            self._pairs[key] = self._read_piece(place, self.pieces[label])
        return self._pairs[key]

    def _read_piece(self, place: int, piece: bytes) -> tuple[float, int]:
        """What a piece is worth, and the place after it."""
        number, at = divmod(place, len(self._nodes))
        if number:
            piece = list(self._incomplete)[number] + piece
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        total = 0.0
        for character in _followed(decoder.decode(piece)):
            gain, at = self._read(at, character)
            total += gain
        rest, _ = decoder.getstate()
        number = self._incomplete.setdefault(rest, len(self._incomplete))
        return total, at + number * len(self._nodes)


def has_letters(phrase: str) -> bool:
    """Whether anything is left of a phrase without spaces and punctuation."""
    return len(_path(phrase)) > 1


def _path(phrase: str) -> str:
    """The characters that a phrase is followed by: a mark, and words with a mark between them."""
    return WORD_MARK + WORD_MARK.join(filter(None, _followed(phrase).split(WORD_MARK)))


def _followed(text: str) -> str:
    """A text with marks for what parts words."""
    return "".join(map(_character, text))


@cache
def _character(character: str) -> str:
    if character in _APOSTROPHES:
        return "'"
    if character == WORD_MARK or character.isspace():
        return WORD_MARK
    if unicodedata.category(character).startswith("P"):
        return WORD_MARK
    if in_unspaced_script(character):
        return WORD_MARK + character + WORD_MARK
    return character


def in_unspaced_script(character: str) -> bool:
    """Whether a character is of a script that is written without spaces, as Chinese is."""
    return unicodedata.name(character, "").startswith(_NO_SPACES)


def _content(piece: str) -> bytes:
    """What a label writes, from how `Tokenizer.piece` has it."""
    parts = _BYTE.split(piece)  # text and bytes in turns
    return b"".join(
        bytes.fromhex(part) if place % 2 else part.encode() for place, part in enumerate(parts)
    )


@dataclass
class _Node:
    """A beginning of phrases."""

    depth: int = 0
    """Its length, the first `WORD_MARK` counted."""
    parent: int = -1
    word_ended: bool = False
    """Whether its last character is `WORD_MARK`."""
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
