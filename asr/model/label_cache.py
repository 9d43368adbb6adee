"""Keys and values of labels for a beam of hypotheses, each label stored once.

The hypotheses of an utterance form a tree: they share their first labels and differ in the last
few. A label is a node; each hypothesis knows which nodes are its own past, and attends to all
nodes of its utterance under that mask. So a hypothesis that survives copies nothing, and the
shared part is read once for all of them. Nodes that no hypothesis descends from any more are
removed from time to time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Storage:
    """Room for nodes, of which the first `filled` are written: they never change any more."""

    nodes: Tensor  # (layers, B, C, 2, H, d): a key and a value of H heads for each node
    filled: int


@dataclass(frozen=True)
class LabelCache:
    """The past of R hypotheses for each of B utterances; a value, as every state is.

    Two caches may share a storage. The one that is extended first writes behind the nodes of
    both; the other then finds that room taken, and moves.
    """

    storage: Storage
    past: Tensor  # (B, R, size) bool, which nodes are the past of each hypothesis
    labels: int  # the position of the next label: how many each hypothesis has, gaps counted
    tidy_at: int  # nodes at which to look for those that nobody needs
    gaps: bool = False  # some hypotheses have fewer labels than others: nodes that nobody sees

    @classmethod
    def empty(cls, layers: int, batch: int, heads: int, like: Tensor, head_dim: int) -> LabelCache:
        """No labels, one hypothesis an utterance; dtype and device as `like`."""
        nodes = like.new_empty(layers, batch, 0, 2, heads, head_dim)
        past = torch.zeros(batch, 1, 0, dtype=torch.bool, device=like.device)
        return cls(Storage(nodes, 0), past, 0, 0)

    @classmethod
    def of(cls, nodes: Tensor, real: Tensor) -> LabelCache:
        """R hypotheses an utterance, with all their labels at once; they share none.

        Args:
            nodes: (layers, B, R, U, 2, H, d).
            real: (B, R, U), False for nodes that are no label: the first ones of short rows, so
                that the last label of every row is at the same position.
        """
        _, rows, labels = real.shape
        gaps = not bool(real.all())
        own = torch.eye(rows, dtype=torch.bool, device=real.device)[:, :, None]
        past = (real[:, None] & own).flatten(2)  # (B, R, R x U)
        return cls(Storage(nodes.flatten(2, 3), rows * labels), past, labels, 0, gaps)

    @property
    def size(self) -> int:
        """Nodes of each utterance."""
        return self.past.shape[2]

    @property
    def nodes(self) -> Tensor:
        """(layers, B, size, 2, H, d), a view: writing to it writes the cache."""
        return self.storage.nodes[:, :, : self.size]

    def extended(self) -> LabelCache:
        """With one more label for each hypothesis, whose nodes, the last R, are to be written."""
        batch, rows, size = self.past.shape
        storage, needed = self.storage, size + rows
        if storage.filled != size or needed > storage.nodes.shape[2]:
            roomy = list(storage.nodes.shape)
            roomy[2] = 2 * needed
            storage = Storage(storage.nodes.new_empty(roomy), size)
            storage.nodes[:, :, :size] = self.nodes
        storage.filled = needed
        itself = torch.eye(rows, dtype=torch.bool, device=self.past.device)
        past = torch.cat([self.past, itself.expand(batch, -1, -1)], dim=2)
        return LabelCache(storage, past, self.labels + 1, self.tidy_at, self.gaps)

    def mask(self) -> Tensor | None:
        """What to add to attention scores, (B, 1, R, size); None where all nodes are visible."""
        if self.past.shape[1] == 1 and self.size == self.labels and not self.gaps:
            return None
        mask = self.storage.nodes.new_zeros(self.past.shape)
        return mask.masked_fill_(~self.past, -torch.inf)[:, None]

    def reordered(self, parents: Tensor, kept: Tensor | None) -> LabelCache:
        """The hypotheses `parents` (N,) of the utterances `kept` (B',), None for all of them."""
        batch = len(self.past) if kept is None else len(kept)
        past = self.past.flatten(0, 1)[parents].unflatten(0, (batch, -1))
        storage = self.storage
        if kept is not None:
            storage = Storage(self.nodes[:, kept], self.size)
        cache = LabelCache(storage, past, self.labels, self.tidy_at, self.gaps)
        return cache._tidied() if self.size >= self.tidy_at else cache

    def _tidied(self) -> LabelCache:
        """Without the nodes that are nobody's past, if they are worth the move.

        Utterances that need fewer nodes than others keep some that nobody sees.
        """
        needed = self.past.any(dim=1)
        count = int(needed.sum(dim=1).max())
        batch, rows, size = self.past.shape
        tidy_at = 2 * count + 8 * rows  # so that moving costs little more than writing did
        if 4 * count > 3 * size:
            return LabelCache(self.storage, self.past, self.labels, tidy_at, self.gaps)
        kept = needed.byte().sort(dim=1, descending=True, stable=True).indices[:, :count]
        past = self.past.gather(2, kept[:, None].expand(-1, rows, -1))
        nodes = self.nodes[:, torch.arange(batch, device=kept.device)[:, None], kept]
        return LabelCache(Storage(nodes, count), past, self.labels, tidy_at, self.gaps)
