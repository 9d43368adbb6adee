"""Which heads of Whisper's decoder follow the speech, for checkpoints without such a list.

The lists are those that OpenAI publishes with its models: (layer, head), counted from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from asr.model.whisper.config import WhisperDecoderConfig

Heads: TypeAlias = tuple[tuple[int, int], ...]

#: By width, layers of the decoder and number of labels. large-v1 and large-v2 are not here: they
#: have equal sizes and different heads.
PUBLISHED: dict[tuple[int, int, int], Heads] = {
    # tiny.en, tiny
    (384, 4, 51864): ((1, 0), (2, 0), (2, 5), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4)),
    (384, 4, 51865): ((2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5)),
    # base.en, base
    (512, 6, 51864): ((3, 3), (4, 7), (5, 1), (5, 5), (5, 7)),
    (512, 6, 51865): ((3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6)),
    # small.en, small
    (768, 12, 51864): (
        *((6, 6), (7, 0), (7, 3), (7, 8), (8, 2), (8, 5), (8, 7), (9, 0), (9, 4), (9, 8)),
        *((9, 10), (10, 0), (10, 1), (10, 2), (10, 3), (10, 6), (10, 11), (11, 2), (11, 4)),
    ),
    (768, 12, 51865): (
        *((5, 3), (5, 9), (8, 0), (8, 4), (8, 7), (8, 8), (9, 0), (9, 7), (9, 9), (10, 5)),
    ),
    # medium.en, medium
    (1024, 24, 51864): (
        *((11, 4), (14, 1), (14, 12), (14, 14), (15, 4), (16, 0), (16, 4), (16, 9), (17, 12)),
        *((17, 14), (18, 7), (18, 10), (18, 15), (20, 0), (20, 3), (20, 9), (20, 14), (21, 12)),
    ),
    (1024, 24, 51865): ((13, 15), (15, 4), (15, 15), (16, 1), (20, 0), (23, 4)),
    # large-v3, turbo
    (1280, 32, 51866): (
        *((7, 0), (10, 17), (12, 18), (13, 12), (16, 1), (17, 14), (19, 11), (21, 4), (24, 1)),
        *((25, 6),),
    ),
    (1280, 4, 51866): ((2, 4), (2, 11), (3, 3), (3, 6), (3, 11), (3, 14)),
}


def alignment_heads(
    config: WhisperDecoderConfig, vocabulary: int, given: Sequence[tuple[int, int]] | None
) -> Heads | None:
    """The heads that a checkpoint is published with; None where that is not known.

    Args:
        config: of the decoder.
        vocabulary: number of labels.
        given: the list in the checkpoint. Distilled models may carry that of the model that they
            were made from, with layers that they do not have: then their heads are not known.
    """
    if given and all(config.has_head(layer, head) for layer, head in given):
        return tuple(dict.fromkeys(given))
    return PUBLISHED.get((config.dim, config.layers, vocabulary)) if not given else None
