"""Subword regularisation: drawing one of many ways to cut a word into pieces.

SentencePiece can sample too, but from one generator hidden in the library, whose state can
neither be kept nor restored, so training could not resume with the same labels. Pieces never
cross a space here, so drawing word by word gives the distribution over whole sentences, and what
is needed to draw is computed once a word.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from functools import lru_cache

from asr.text.special_labels import UNKNOWN

Draw = Callable[[str, random.Random], list[int]]

#: SentencePiece scores an unknown character this much below its worst piece.
_UNKNOWN_PENALTY = 10.0
#: Words whose lattice is kept; a large vocabulary of a language fits.
_CACHED_WORDS = 100_000


def unigram_sampler(pieces: Mapping[str, int], scores: Mapping[int, float], alpha: float) -> Draw:
    """Draws cuts with a probability proportional to that of the unigram model to the power alpha.

    Forward filtering, backward sampling over all cuts (Kudo 2018, "Subword Regularization"; the
    paper's limit of infinitely many best cuts, so there is no list of n best to choose from).
    """
    longest = max(map(len, pieces), default=1)
    unknown = min(scores.values(), default=0.0) - _UNKNOWN_PENALTY

    @lru_cache(maxsize=_CACHED_WORDS)
    def lattice(word: str) -> list[tuple[list[tuple[int, int]], list[float]]]:
        """For each end position: the last pieces (start, id) and their cumulative weights."""
        reach = [0.0]  # log of the summed weight of all cuts of word[:end]
        ends: list[tuple[list[tuple[int, int]], list[float]]] = [([], [])]
        for end in range(1, len(word) + 1):
            edges, logs = [], []
            for start in range(max(0, end - longest), end):
                token = pieces.get(word[start:end])
                if token is not None:
                    edges.append((start, token))
                    logs.append(reach[start] + alpha * scores[token])
            if word[end - 1] not in pieces:
                edges.append((end - 1, UNKNOWN))
                logs.append(reach[end - 1] + alpha * unknown)
            peak = max(logs)
            total, cumulative = 0.0, []
            for value in logs:
                total += math.exp(value - peak)
                cumulative.append(total)
            reach.append(peak + math.log(total))
            ends.append((edges, cumulative))
        return ends

    def draw(word: str, generator: random.Random) -> list[int]:
        ends = lattice(word)
        cut: list[int] = []
        at = len(word)
        while at:
            edges, cumulative = ends[at]
            at, token = generator.choices(edges, cum_weights=cumulative)[0]
            cut.append(token)
        return cut[::-1]

    return draw


def bpe_sampler(pieces: Mapping[str, int], scores: Mapping[int, float], dropout: float) -> Draw:
    """Merges as BPE does, but leaves each possible merge out with probability `dropout`.

    Provilkov et al. 2020, "BPE-Dropout". With a dropout of 0 the cut is SentencePiece's own.
    """

    def draw(word: str, generator: random.Random) -> list[int]:
        cut = list(word)
        while True:
            merges = [
                (-scores[token], i)
                for i in range(len(cut) - 1)
                if (token := pieces.get(cut[i] + cut[i + 1])) is not None
                and generator.random() >= dropout
            ]
            if not merges:
                return [pieces.get(part, UNKNOWN) for part in cut]
            _, i = min(merges)
            cut[i : i + 2] = [cut[i] + cut[i + 1]]

    return draw
