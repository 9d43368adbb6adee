"""Where labels are spoken, in models without CTC: from the attention of the decoder.

The weights with which some heads look at the memory while a label is predicted have their peak
where that label is spoken. They are standardised over the labels and averaged over the heads, as
Whisper's own program does, and the best monotone path is looked for, with pauses between labels.
Three rules avoid known faults of that method (words that begin seconds early after silence, or are
stretched over it): labels lose in quiet frames, and pauses in all others; labels that write no
letter take no time; and of the frames of a label only those around its peak count.

The heads are all of the last half of the decoder's layers, not those that a Whisper checkpoint is
published with (`WhisperDecoderConfig.alignment_heads`), of which some are a label early.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from asr.lm import LanguageModel
from asr.model import ASRModel
from asr.model.layers import log_softmax
from asr.text import Labels
from asr.transcribe.words.align import Span, best_paths, evenly_spaced
from asr.transcribe.words.evidence import padded_tokens, with_lm_scores, with_scores_of
from asr.transcribe.words.timing import PART_OF_CHARACTER, WordTimer, labelled_words, written_twice
from asr.types import Hypothesis

#: What a label loses in a quiet frame, in standard deviations of the weights ...
QUIET_PENALTY = 8.0
#: ... and a pause in a frame that is not quiet.
LOUD_PENALTY = 2.0
#: A label keeps the frames beside its peak that have this share of its height.
PEAK_SHARE = 0.5
#: How much of the silence behind a segment the decoder attends to here: all of it would cost three
#: times as much, and with none its predictions would not be those of the search.
SILENCE_SECONDS = 2.56


@torch.inference_mode()
def aligned_by_attention(
    model: ASRModel,
    timer: WordTimer,
    labels: Labels,
    best: Sequence[Hypothesis],
    memory: Tensor,
    lengths: Tensor,
    levels: Sequence[np.ndarray],
    lm: LanguageModel | None = None,
    prompt: Sequence[int] = (),
) -> list[Hypothesis]:
    """Hypotheses with spans and scores of their labels, from one pass of the decoder.

    The scores are those of `with_label_scores`, without CTC's. Where the decoder looks at no frame
    in particular, hypotheses stay as they are.

    Args:
        labels: of the tokenizer.
        best: one hypothesis for each utterance.
        memory: (B, M, D). lengths: (B,).
        levels: of the samples of each utterance, as `WordTimer.levels` gives them. Frames of memory
            beyond them are padding, where nothing is spoken.
        lm: the language model that took part in the search, if one did.
        prompt: what the decoder was fed before the start in the search.
    """
    tokens = padded_tokens(best, labels.end, memory.device)
    if model.decoder is None or not tokens.shape[1]:
        return list(best)
    quiet = [
        timer.quiet_frames(row, size) for row, size in zip(levels, lengths.tolist(), strict=True)
    ]
    silence = round(SILENCE_SECONDS / timer.frame_seconds)
    spoken_frames = torch.tensor([len(row) for row in quiet], device=lengths.device)
    lengths = torch.minimum(lengths, spoken_frames + silence)
    fed = (*prompt, *labels.start)
    start = torch.tensor(fed, device=tokens.device).expand(len(tokens), -1)
    inputs = torch.cat((start, tokens), dim=1)
    logits, attention = model.decoder.forward_attended(
        inputs, memory[:, : int(lengths.max())], lengths
    )
    if attention is None:
        return list(best)
    first = len(fed) - 1  # predicts the first label of the text
    weights = [
        _within(heads[:, first : first + len(hypothesis.tokens) + 1, : len(frames)])
        for heads, hypothesis, frames in zip(attention, best, quiet, strict=True)
    ]
    spoken = [spoken_labels(timer.text_of, hypothesis.tokens) for hypothesis in best]
    aligned = align_attention(weights, quiet, spoken)
    placed = [
        replace(hypothesis, spans=tuple(spans), label_scores={})
        for hypothesis, spans in zip(best, aligned, strict=True)
    ]
    placed = with_scores_of(placed, "attention", log_softmax(logits[:, first:-1]), tokens)
    return with_lm_scores(placed, labels.end, tokens, lm)


def align_attention(
    weights: Sequence[np.ndarray], quiet: Sequence[np.ndarray], spoken: Sequence[Sequence[int]]
) -> list[list[Span]]:
    """Where the labels of B utterances are spoken.

    Args:
        weights: (H, U + 1, T) of each: how H heads look at the frames while each of U labels and
            the end is predicted.
        quiet: (T,) True for frames without sound.
        spoken: for each of the U labels the one that is spoken in its place: itself, or, where it
            writes no letter, another one of its word, or -1 where there is none.

    Returns:
        U spans, one behind the other. That of a label without letters is empty, at the edge of the
        label beside it. Where the frames have no room for so many labels, they share the frames.
    """
    columns = [np.unique([label for label in row if label >= 0]) for row in spoken]
    all_spans: list[list[Span]] = [
        evenly_spaced(len(frames), len(column))
        for frames, column in zip(quiet, columns, strict=True)
    ]
    rows = [row for row, column in enumerate(columns) if 0 < len(column) <= len(quiet[row])]
    if rows:
        looks = {row: _standardised(weights[row]) for row in rows}
        lengths = np.array([len(quiet[row]) for row in rows])
        counts = np.array([len(columns[row]) for row in rows])
        places = 2 * counts.max() + 1
        emissions = np.zeros((lengths.max(), len(rows), places))
        for at, row in enumerate(rows):
            frames, labels = lengths[at], counts[at]
            silent = quiet[row][:, None]
            emissions[:frames, at, ::2] = np.where(silent, 0.0, -LOUD_PENALTY)
            scores = looks[row][columns[row]].T - QUIET_PENALTY * silent
            emissions[:frames, at, 1 : 2 * labels : 2] = scores
        begins, ends = best_paths(emissions, lengths, counts, np.zeros((len(rows), places), bool))
        for at, row in enumerate(rows):
            all_spans[row] = [
                _around_peak(looks[row][label], int(begin), int(end))
                for label, begin, end in zip(columns[row], begins[at], ends[at], strict=False)
            ]
    return [
        _with_unspoken(of_row, dict(zip(column.tolist(), spans, strict=True)))
        for of_row, column, spans in zip(spoken, columns, all_spans, strict=True)
    ]


def spoken_labels(text_of: Callable[[Sequence[int]], str], labels: Sequence[int]) -> list[int]:
    """For each label the one that is spoken in its place; see `align_attention`.

    Punctuation is not spoken: while it is predicted, the decoder looks at what comes next. Before
    the letters of a word it stands at their beginning, else at the end of what came before.
    """
    letters = [any(map(_is_letter, written_twice(text_of, label))) for label in labels]
    if not any(letters):
        return list(range(len(labels)))
    spoken = [label if letters[label] else -1 for label in range(len(labels))]
    for _, first, last in labelled_words(text_of, labels):
        inner = [label for label in range(first, last + 1) if letters[label]]
        if inner:
            spoken[first : inner[0]] = [inner[0]] * (inner[0] - first)
    return spoken


def _is_letter(character: str) -> bool:
    """Letters, digits, their accents, and parts of characters."""
    known = unicodedata.category(character)[0] in "LMN"
    return known or character == PART_OF_CHARACTER


def _with_unspoken(spoken: Sequence[int], spans: dict[int, Span]) -> list[Span]:
    """The spans of all labels, given those of labels that are spoken."""
    placed: list[Span] = []
    edge = 0
    for label, other in enumerate(spoken):
        if other > label:
            begin = spans[other][0]
            placed.append((begin, begin))
        else:
            placed.append(spans.get(label, (edge, edge)))
        edge = placed[-1][1]
    return placed


def _within(weights: Tensor) -> np.ndarray:
    """Weights (H, U, T), of which each label has 1 on the T frames."""
    of_frames = weights.float().cpu().numpy()
    return of_frames / np.maximum(of_frames.sum(axis=-1, keepdims=True), 1e-9)


def _standardised(weights: np.ndarray) -> np.ndarray:
    """(H, U, T) to (U, T): how much more than while other labels are predicted a frame is seen."""
    spread = np.maximum(weights.std(axis=1, keepdims=True), 1e-9)
    return np.asarray(((weights - weights.mean(axis=1, keepdims=True)) / spread).mean(axis=0))


def _around_peak(looks: np.ndarray, begin: int, end: int) -> Span:
    """The frames beside the peak of (T,) within a span that have `PEAK_SHARE` of its height."""
    values = looks[begin:end]
    peak = int(values.argmax())
    low = values < values.min() + PEAK_SHARE * (values[peak] - values.min())
    before, behind = np.flatnonzero(low[:peak]), np.flatnonzero(low[peak:])
    first = int(before[-1]) + 1 if len(before) else 0
    last = peak + int(behind[0]) if len(behind) else len(values)
    return begin + first, begin + last
