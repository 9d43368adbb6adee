"""What others call: a search from the start, or one that continues an earlier one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from asr.errors import ConfigError, ModelError
from asr.search.beam import BeamSearch
from asr.search.config import SearchConfig
from asr.search.protocol import SearchResult, WeightedScorer
from asr.text.tokenizer import Labels
from asr.types import Hypothesis


def search(
    scorers: Sequence[WeightedScorer],
    memory: Tensor,
    memory_lengths: Tensor,
    labels: Labels,
    config: SearchConfig | None = None,
) -> list[list[Hypothesis]]:
    """Finds the label sequences with the highest weighted sum of scores.

    Args:
        scorers: at least one with a weight above 0; see `joint_scorers`.
        memory: (B, M, D); what stands beyond a row's length changes nothing.
        memory_lengths: (B,). An utterance of 0 frames has the empty hypothesis, with score 0.
        labels: of the tokenizer; no hypothesis holds one of its `forbidden` ones.
        config: beam, n-best and limits; `ctc_weight` is for `joint_scorers`, not read here.

    Returns:
        for each utterance up to `nbest` hypotheses, best first, at least one: where every
        hypothesis has probability 0, the empty one with score -inf.

    Raises:
        ConfigError: the scorers' names or weights do not go together.
        ModelError: shapes do not fit, or a scorer gave NaN.
    """
    anew = [[()]] * len(memory_lengths)
    results = continue_search(scorers, memory, memory_lengths, labels, config, anew)
    return [result.hypotheses for result in results]


@torch.inference_mode()
def continue_search(
    scorers: Sequence[WeightedScorer],
    memory: Tensor,
    memory_lengths: Tensor,
    labels: Labels,
    config: SearchConfig | None,
    prefixes: Sequence[Sequence[Sequence[int]]],
) -> list[SearchResult]:
    """The search, continued from where an earlier one, over less memory, stood.

    Args:
        prefixes: for each utterance the prefixes, at least one, that its hypotheses continue
            (`SearchResult.open_after`): their labels are scored but not searched. Those of one
            utterance are different and have the same number of labels; `[()]` starts anew.
        The others are as in `search`.

    Returns:
        the result of each utterance. Where every hypothesis has probability 0, that is its first
        prefix with score -inf.

    Raises:
        ConfigError, ModelError: as in `search`; ModelError also where `prefixes` are not so, or
            longer than a scorer can take.
    """
    used = _in_use(scorers)
    if memory.dim() != 3 or memory_lengths.shape != memory.shape[:1]:
        raise ModelError(
            f"memory must be (B, M, D) and its lengths (B,), got {tuple(memory.shape)} "
            f"and {tuple(memory_lengths.shape)}"
        )
    frames = memory_lengths.tolist()
    if any(not 0 <= count <= memory.shape[1] for count in frames):
        raise ModelError(f"memory lengths must be in 0..{memory.shape[1]}, got {frames}")
    prefix_lists = [[tuple(prefix) for prefix in some] for some in prefixes]
    _check_prefixes(prefix_lists, frames, used)
    empty = Hypothesis((), 0.0, {scorer.name: 0.0 for scorer in used})
    results = [SearchResult([empty], [[((), 0.0)]], 0) for _ in frames]
    # Those that start anew have one row, which a scorer makes several of by adding labels only.
    anew = [n for n, count in enumerate(frames) if count and prefix_lists[n] == [()]]
    continued = [n for n, count in enumerate(frames) if count and prefix_lists[n] != [()]]
    for alike in filter(None, (anew, continued)):
        some, counts = memory, memory_lengths
        if len(alike) < len(frames):
            some, counts = memory[alike], memory_lengths[alike]
        chosen = [prefix_lists[utterance] for utterance in alike]
        beam_search = BeamSearch(used, config or SearchConfig(), counts, labels, chosen)
        for utterance, result in zip(alike, beam_search.run(some), strict=True):
            results[utterance] = result
    return results


def _check_prefixes(
    prefixes: list[list[tuple[int, ...]]], frames: list[int], scorers: list[WeightedScorer]
) -> None:
    fits = len(prefixes) == len(frames)
    for some, count in zip(prefixes, frames, strict=False):
        fits &= len(set(some)) == len(some) and len({len(prefix) for prefix in some}) == 1
        fits &= count > 0 or some == [()]
    if not fits:
        raise ModelError(
            f"there must be prefixes for each of {len(frames)} utterances, different and of one "
            f"length, and without a label for one of 0 frames, got {prefixes}"
        )
    longest = max((len(some[0]) for some in prefixes), default=0)
    for weighted in scorers:
        most = weighted.scorer.max_labels
        if most is not None and longest > most:
            raise ModelError(
                f"a prefix has {longest} labels, but scorer '{weighted.name}' takes at most {most}"
            )


def _in_use(scorers: Sequence[WeightedScorer]) -> list[WeightedScorer]:
    """The scorers whose weight is not 0."""
    names = [scorer.name for scorer in scorers]
    if len(set(names)) < len(names):
        raise ConfigError(f"scorers must have different names, got {', '.join(names)}")
    for scorer in scorers:
        if not 0.0 <= scorer.weight < math.inf:
            raise ConfigError(
                f"the weight of scorer '{scorer.name}' must be 0 or more and finite, "
                f"got {scorer.weight}"
            )
    used = [scorer for scorer in scorers if scorer.weight]
    if not used:
        raise ConfigError("the search needs at least one scorer with a weight above 0")
    return used
