"""Decodes segments of sound together: samples, features, memory, hypotheses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from asr.errors import ModelError
from asr.lm import LanguageModel
from asr.model import ASRModel
from asr.search import PhraseTree, SearchConfig, all_scorers, search
from asr.search.speech_limit import SpeechLimit
from asr.text import Labels
from asr.text.languages import TRANSLATE
from asr.transcribe.files.batch import GRID_SECONDS
from asr.transcribe.files.speech import Speech, SpeechDetector
from asr.transcribe.language import LanguageSetting
from asr.transcribe.words.align import align_many
from asr.transcribe.words.attention import aligned_by_attention
from asr.transcribe.words.evidence import with_label_scores
from asr.transcribe.words.timing import WordTimer
from asr.types import Hypothesis


@dataclass(frozen=True)
class SegmentDecoder:
    """A model, which sees each segment as a whole, with the way it is searched."""

    model: ASRModel
    language: LanguageSetting
    search: SearchConfig
    lm: LanguageModel | None = None
    hotwords: PhraseTree | None = None
    timer: WordTimer | None = None
    """Times the words; without it and without CTC labels are not aligned."""
    detector: SpeechDetector | None = None
    """Finds the speech of segments, for a model that writes text for any sound; without one, all
    sound is decoded."""

    def __call__(self, segments: Sequence[np.ndarray]) -> list[list[Hypothesis]]:
        """The best hypotheses of each segment (N,) of float32 samples, best first.

        The labels of the best one have their `spans` and `label_scores`, by CTC or by the attention
        of the decoder, where it has one. Segments of different languages are searched one language
        after the other: a search has one start. The hypothesis of a segment too short for one
        feature frame, or without speech, is empty. It is empty, with score -inf, where no
        hypothesis fits the speech (`SpeechLimit`). Where the accelerator's memory does not hold the
        batch, its halves are decoded one after the other.

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
        if self.detector is None:
            return self._decode_features(segments, *self._features(segments))
        rate = self.model.sample_rate
        frame = round(self.model.encoder.frame_seconds * rate)
        detected = self.detector(segments, rate, frame)
        spoken = {row: speech for row, speech in enumerate(detected) if speech is not None}
        results = [[Hypothesis((), 0.0)] for _ in segments]
        if spoken:
            parts = [segments[row][speech.start : speech.end] for row, speech in spoken.items()]
            decoded = self._decode_speech(parts, list(spoken.values()))
            for (row, speech), hypotheses in zip(spoken.items(), decoded, strict=True):
                best = hypotheses[0]
                if speech.holds(best.scores.get("attention", -math.inf), len(best.tokens)):
                    results[row] = [self._later(each, speech.start // frame) for each in hypotheses]
        return results

    def _later(self, hypothesis: Hypothesis, frames: int) -> Hypothesis:
        """`hypothesis` with spans and time stamps so many frames later."""
        spans = tuple((first + frames, last + frames) for first, last in hypothesis.spans)
        tokens, stamps = hypothesis.tokens, self.language.labels.timestamps
        if stamps is not None:
            seconds = frames * self.model.encoder.frame_seconds
            tokens = tuple(stamps.later(label, seconds) for label in tokens)
        return replace(hypothesis, tokens=tokens, spans=spans)

    def _decode_speech(
        self, segments: Sequence[np.ndarray], speech: Sequence[Speech]
    ) -> list[list[Hypothesis]]:
        """Decodes the parts of segments that are speech; those that fail once more, as windows.

        A part fails where no hypothesis fits its speech. As a window it has silence behind it up to
        the most that the encoder takes: that costs most, and is what Whisper was trained on.
        """
        results = self._decode_features(segments, *self._features(segments), speech)
        failed = [row for row, (best, *_) in enumerate(results) if best.score == -math.inf]
        encoder = self.model.encoder
        if failed and encoder.max_frames is not None:
            size = round(encoder.max_frames * encoder.frame_seconds * self.model.sample_rate)
            sounds = [segments[row] for row in failed]
            windows = [np.pad(sound, (0, max(0, size - len(sound)))) for sound in sounds]
            features = self._features(windows)
            again = self._decode_features(sounds, *features, [speech[row] for row in failed])
            for row, hypotheses in zip(failed, again, strict=True):
                results[row] = hypotheses
        return results

    def _features(self, segments: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """Features (B, T, F) of segments, and lengths (B,)."""
        grid = round(GRID_SECONDS * self.model.sample_rate)
        if self.model.encoder.max_frames is not None:  # padding must not go beyond it
            grid = 1
        samples, lengths = padded(segments, grid)
        device = next(self.model.parameters()).device
        return self.model.features(samples.to(device), lengths.to(device))

    def _decode_features(
        self,
        segments: Sequence[np.ndarray],
        features: Tensor,
        frames: Tensor,
        speech: Sequence[Speech] | None = None,
    ) -> list[list[Hypothesis]]:
        """The best hypotheses of segments with features (B, T, F), limited by their `speech`."""
        if features.size(1) == 0:
            return [[Hypothesis((), 0.0)] for _ in features]
        memory, memory_lengths = self.model.encode(features, frames)
        results: list[list[Hypothesis]] = [[] for _ in features]
        for language, rows in self.language.groups(self.model, memory, memory_lengths):
            some, counts = memory, memory_lengths
            if len(rows) < len(results):
                some, counts = memory[rows], memory_lengths[rows]
            limit = None
            if speech is not None and self.detector is not None:
                bounds = [(speech[row].expected, speech[row].letters) for row in rows]
                expected, most = torch.tensor(bounds, device=memory.device).T
                letters = (self.detector.letters, self.detector.spoken)
                limit = SpeechLimit(expected, most, *(each.to(memory.device) for each in letters))
            labels, sounds = self.language.labels_of(language), [segments[row] for row in rows]
            hypotheses = self._searched(some, counts, labels, sounds, limit)
            for row, best in zip(rows, hypotheses, strict=True):
                results[row] = [replace(hypothesis, language=language) for hypothesis in best]
        return results

    def _searched(
        self,
        memory: Tensor,
        lengths: Tensor,
        labels: Labels,
        segments: Sequence[np.ndarray],
        limit: SpeechLimit | None,
    ) -> list[list[Hypothesis]]:
        """The best hypotheses of segments of one start, from their memory (B, M, D)."""
        scorers = all_scorers(
            self.model, labels, self.search, self.lm, self.hotwords, self.language.prompt, limit
        )
        results = search(scorers, memory, lengths, labels, self.search)
        if self.model.ctc is None:
            return self._aligned_by_attention(results, memory, lengths, labels, segments)
        return self._aligned(results, memory, lengths, labels)

    @property
    def _lm(self) -> LanguageModel | None:
        """The language model, if it takes part."""
        return self.lm if self.search.lm_weight else None

    def _aligned_by_attention(
        self,
        results: list[list[Hypothesis]],
        memory: Tensor,
        lengths: Tensor,
        labels: Labels,
        segments: Sequence[np.ndarray],
    ) -> list[list[Hypothesis]]:
        """`_aligned` without CTC. Translations are not aligned: their words have another order."""
        if self.timer is None or self.language.task == TRANSLATE:
            return results
        best = aligned_by_attention(
            self.model,
            self.timer,
            labels,
            [best for best, *_ in results],
            memory,
            lengths,
            [self.timer.levels(samples) for samples in segments],
            self._lm,
            self.language.prompt,
        )
        return [[first, *others] for first, (_, *others) in zip(best, results, strict=True)]

    def _aligned(
        self, results: list[list[Hypothesis]], memory: Tensor, lengths: Tensor, labels: Labels
    ) -> list[list[Hypothesis]]:
        """`results`, with spans and scores of the labels of the best hypotheses, by CTC."""
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
