"""An n-gram model over labels with backing off (Katz 1987), looked up for many rows at once.

    log p(w | h) = log p(h w)                     where the n-gram h w is known
                   backoff(h) + log p(w | h')     elsewhere; h' is h without its first label

N-grams are the nodes of a tree: the root is the empty one (node 0), the node of h w is a child of
that of h. Nodes are numbered by level, then parent, then label, so `parent * V + label` grows with
the number and a child is found by binary search. The end label as the first one of an n-gram is the
start of a text, as the last one its end; its own node holds the probability of the end and the
backoff behind the start.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from asr.config import TypedConfig
from asr.errors import ModelError
from asr.lm.protocol import LanguageModel
from asr.model.states import per_row


class NGramConfig(TypedConfig):
    """`order` labels are looked at, the predicted one counted.

    `prune` leaves out n-grams without which the model's text loses less than this many nats for
    each label (Stolcke 1998); 0 keeps all.
    """

    type: Literal["ngram"] = "ngram"
    order: int = Field(default=6, ge=1, le=20)
    prune: float = Field(default=1e-7, ge=0)


class NGram(LanguageModel):
    """A back-off n-gram model. Its state is a node for each row (N,): what it remembers.

    Args:
        parents, words: (nodes,) of all n-grams, without the root, in the order above. Every
            label is a child of the root, but for at most one that no text holds: CTC's blank.
        log_probs, backoffs: (nodes,) natural logarithms.

    Raises:
        ModelError: they are no such tree.
    """

    parents: Tensor
    words: Tensor
    log_probs: Tensor
    backoffs: Tensor
    _keys: Tensor
    _unigrams: Tensor  # (V,) log p of each label behind nothing known, -inf for blank
    _first: Tensor  # (nodes + 2,) the first child of each node, counted without the root
    _suffix: Tensor  # (nodes + 1,) the longest shorter n-gram that ends in the same way
    _context: Tensor  # (nodes + 1,) the longest one of these from which more is known

    def __init__(
        self, vocabulary: int, parents: Tensor, words: Tensor, log_probs: Tensor, backoffs: Tensor
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        nodes = len(parents)
        keys = parents.long() * vocabulary + words.long()
        # Keys that rise are different, so the root's children are all labels if there are so many.
        children = int((keys < vocabulary).sum())
        if (
            {len(words), len(log_probs), len(backoffs)} != {nodes}
            or children not in (vocabulary, vocabulary - 1)
            or bool((words.long() < 0).any() | (words.long() >= vocabulary).any())
            or bool((keys[1:] <= keys[:-1]).any())
            or bool((parents.long() > torch.arange(nodes)).any())
        ):
            raise ModelError("the n-grams are not a tree in order: the file is damaged")
        self.register_buffer("parents", parents.to(torch.int32))
        self.register_buffer("words", words.to(torch.int32))
        self.register_buffer("log_probs", _with_root(log_probs.float(), -torch.inf))
        self.register_buffer("backoffs", _with_root(backoffs.float(), 0.0))
        unigrams = torch.full((vocabulary,), -torch.inf)
        unigrams[words[:children].long()] = log_probs[:children].float()
        self.register_buffer("_unigrams", unigrams, persistent=False)
        bounds = torch.arange(nodes + 2) * vocabulary
        self.register_buffer("_keys", keys, persistent=False)
        self.register_buffer("_first", torch.searchsorted(keys, bounds), persistent=False)
        self.register_buffer("_suffix", torch.zeros(nodes + 1, dtype=torch.long), persistent=False)
        self._find_suffixes()
        self.register_buffer("_context", self._contexts(), persistent=False)

    def initial_state(self, batch: int) -> Tensor:
        """See `LanguageModel.initial_state`: the root."""
        return torch.zeros(batch, dtype=torch.long, device=self.device)

    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See `LanguageModel.step`."""
        state = self._context[self.longest(state, tokens)]
        return self._rows(state), state

    def prime(self, tokens: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """See `LanguageModel.prime`."""
        state, behind, rows = self.initial_state(len(tokens)), None, []
        counts = per_row(counts, tokens)
        for place, column in enumerate(tokens.unbind(1)):
            log_probs, state = self.step(column, state)
            rows.append(log_probs)
            behind = state if behind is None else torch.where(place < counts, state, behind)
        assert behind is not None
        return torch.stack(rows, 1), behind

    def reorder(self, state: Tensor, parents: Tensor) -> Tensor:
        """See `LanguageModel.reorder`."""
        return state[parents]

    def log_prob(self, state: Tensor, tokens: Tensor) -> Tensor:
        """log p of `tokens` (N,) behind the n-grams `state` (N,), float32."""
        total = torch.zeros(len(state), device=state.device)
        left = torch.ones_like(state, dtype=torch.bool)
        while bool(left.any()):
            child, known = self.child(state, tokens)
            total = torch.where(left & known, total + self.log_probs[child], total)
            left &= ~known
            total = torch.where(left, total + self.backoffs[state], total)
            left &= (state != 0) | known  # blank is not even known to the root
            state = self._suffix[state]
        return total.masked_fill(self._unigrams[tokens].isneginf(), -torch.inf)

    def child(self, nodes: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The nodes (N,) of `nodes` followed by `tokens`, and whether there are such."""
        keys = nodes.long() * self.vocabulary + tokens
        place = torch.searchsorted(self._keys, keys).clamp(max=len(self._keys) - 1)
        return place + 1, self._keys[place] == keys

    def longest(self, nodes: Tensor, tokens: Tensor) -> Tensor:
        """The longest known n-gram (N,) that `nodes` followed by `tokens` end in."""
        result = torch.zeros_like(nodes)
        left = torch.ones_like(nodes, dtype=torch.bool)
        while bool(left.any()):
            child, known = self.child(nodes, tokens)
            result = torch.where(left & known, child, result)
            left &= ~known & (nodes != 0)
            nodes = self._suffix[nodes]
        return result

    def _rows(self, state: Tensor) -> Tensor:
        """log p (N, V) of all labels behind the n-grams `state` (N,)."""
        rows = self._unigrams.repeat(len(state), 1)
        chain = []
        while bool(state.any()):
            chain.append(state)
            state = self._suffix[state]
        for nodes in reversed(chain):  # what longer n-grams say stands over what shorter ones do
            used = nodes.nonzero()[:, 0]
            nodes = nodes[used]
            rows[used] += self.backoffs[nodes, None]
            first, counts = self._first[nodes], self._first[nodes + 1] - self._first[nodes]
            row = torch.repeat_interleave(used, counts)
            before = torch.repeat_interleave(first - (counts.cumsum(0) - counts), counts)
            place = before + torch.arange(len(row), device=row.device)
            rows[row, self.words[place].long()] = self.log_probs[place + 1]
        return rows

    def levels(self) -> list[int]:
        """Where the nodes of each order begin, root counted, and where the last ones end."""
        ends = [0, 1]
        while ends[-1] <= len(self.parents):
            ends.append(int(self._first[ends[-1]]) + 1)
        return ends

    def _find_suffixes(self) -> None:
        """Level by level: the suffix of h w is the longest known n-gram of h' w."""
        starts = self.levels()[2:]  # those of one label have the root
        for start, end in pairwise(starts):
            parents, words = self.parents[start - 1 : end - 1], self.words[start - 1 : end - 1]
            self._suffix[start:end] = self.longest(self._suffix[parents.long()], words.long())

    def _contexts(self) -> Tensor:
        """A node without children and backoff is as good as its suffix."""
        context = torch.arange(len(self.parents) + 1)
        idle = (self._first[1:] == self._first[:-1]) & (self.backoffs == 0)
        idle[0] = False
        while bool((idle_now := idle[context]).any()):
            context = torch.where(idle_now, self._suffix[context], context)
        return context


def _with_root(values: Tensor, root: float) -> Tensor:
    return torch.cat([values.new_full((1,), root), values])
