"""Decodes segments of sound together: samples, features, memory, hypotheses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from asr.errors import ModelError
from asr.lm import LanguageModel
from asr.model import ASRModel
from asr.search import PhraseTree, SearchConfig, all_scorers, search
from asr.text import Labels
from asr.transcribe.files.batch import GRID_SECONDS
from asr.transcribe.language import LanguageSetting
from asr.transcribe.words.align import align_many
from asr.transcribe.words.evidence import with_label_scores
from asr.types import Hypothesis


@dataclass(frozen=True)
class SegmentDecoder:
    """A model, which sees each segment as a whole, with the way it is searched."""

    model: ASRModel
    language: LanguageSetting
    search: SearchConfig
    lm: LanguageModel | None = None
    hotwords: PhraseTree | None = None

    def __call__(self, segments: Sequence[np.ndarray]) -> list[list[Hypothesis]]:
        """The best hypotheses of each segment (N,) of float32 samples, best first.

        With CTC the labels of the best one have their `spans` and `label_scores`. Segments of
        different languages are searched one language after the other: a search has one start.
        The hypothesis of a segment too short for one feature frame is empty. Where the
        accelerator's memory does not hold the batch, its halves are decoded one after the other.

        Raises:
            ModelError: the memory does not hold a single segment, or the model lacks what
                the search is to use.
        """
        if not segments:
            return []
        try:
            return self._decode(segments)
        except torch.OutOfMemoryError:
            half = len(segments) // 2
        # Outside of the handler: the exception would keep the tensors that filled the memory.
        torch.cuda.empty_cache()
        if half == 0:
            raise ModelError(
                "the GPU's memory does not hold one segment of "
                f"{len(segments[0]) / self.model.sample_rate:.0f} s: lower --beam, or use "
                "--device cpu"
            )
        return self(segments[:half]) + self(segments[half:])

    @torch.inference_mode()
    def _decode(self, segments: Sequence[np.ndarray]) -> list[list[Hypothesis]]:
        grid = round(GRID_SECONDS * self.model.sample_rate)
        if self.model.encoder.max_frames is not None:  # padding must not go beyond it
            grid = 1
        samples, lengths = padded(segments, grid)
        device = next(self.model.parameters()).device
        features, frames = self.model.features(samples.to(device), lengths.to(device))
        if features.size(1) == 0:
            return [[Hypothesis((), 0.0)] for _ in segments]
        memory, memory_lengths = self.model.encode(features, frames)
        results: list[list[Hypothesis]] = [[] for _ in segments]
        for language, rows in self.language.groups(self.model, memory, memory_lengths):
            some, counts = memory, memory_lengths
            if len(rows) < len(results):
                some, counts = memory[rows], memory_lengths[rows]
            hypotheses = self._searched(some, counts, self.language.labels_of(language))
            for row, best in zip(rows, hypotheses, strict=True):
                results[row] = [replace(hypothesis, language=language) for hypothesis in best]
        return results

    def _searched(self, memory: Tensor, lengths: Tensor, labels: Labels) -> list[list[Hypothesis]]:
        """The best hypotheses of segments (B, M, D) that have one start."""
        prompt = self.language.prompt
        scorers = all_scorers(self.model, labels, self.search, self.lm, self.hotwords, prompt)
        results = search(scorers, memory, lengths, labels, self.search)
        return self._aligned(results, memory, lengths, labels)

    @property
    def _lm(self) -> LanguageModel | None:
        """The language model, if it takes part."""
        return self.lm if self.search.lm_weight else None

    def _aligned(
        self, results: list[list[Hypothesis]], memory: Tensor, lengths: Tensor, labels: Labels
    ) -> list[list[Hypothesis]]:
        """The same, with place and scores of each label of the best ones, where there is CTC."""
        if self.model.ctc is None:
            return results
        log_probs = self.model.ctc_log_probs(memory).cpu().numpy()
        posteriors = [row[:length] for row, length in zip(log_probs, lengths.tolist(), strict=True)]
        spans = align_many(posteriors, [best.tokens for best, *_ in results], labels.ctc_blank)
        placed = [
            replace(best, spans=tuple(span))
            for (best, *_), span in zip(results, spans, strict=True)
        ]
        sure = with_label_scores(
            self.model,
            labels,
            placed,
            memory,
            lengths,
            posteriors,
            self._lm,
            self.language.prompt,
        )
        return [[best, *others] for best, (_, *others) in zip(sure, results, strict=True)]


def padded(segments: Sequence[np.ndarray], grid: int = 1) -> tuple[Tensor, Tensor]:
    """Segments (N,) as samples (B, N), zeros behind each, and lengths (B,).

    N is a multiple of `grid`.
    """
    lengths = [len(segment) for segment in segments]
    samples = torch.zeros(len(segments), grid * -(-max(lengths) // grid))
    for row, segment in zip(samples, segments, strict=True):
        row[: len(segment)] = torch.from_numpy(np.ascontiguousarray(segment, dtype=np.float32))
    return samples, torch.tensor(lengths)
