"""Where a segment has speech, and how much text it can hold, by a model with CTC.

For models without CTC: an attention decoder writes text for any sound. CTC reads each frame on its
own, and where the blank is nearly certain, nobody speaks. That holds for languages too that the CTC
model was not trained on, because what counts is whether a frame has a label, not which.
docs/no-invented-text.md has the measurements that the figures come from.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asr.audio.resample import Resampler
from asr.model import ASRModel
from asr.text import Tokenizer

#: The detector gets each segment at this peak, with so many seconds of faint noise before and
#: behind it: it was not trained on words that are cut out without any pause, on very quiet ones, or
#: on digital silence.
PEAK, PAD_SECONDS, FAINT = 0.5, 0.5, 1e-4
#: A segment has speech for certain where CTC gives one of its frames a label with this probability,
#: or so many frames one with more than a half.
SPEECH, SPEECH_FRAMES = 0.98, 8
#: Its speech reaches from the first to the last frame with this probability of a label; without
#: any such frame it has none.
SOUND = 0.1
#: Where speech is not certain, the text of the decoder counts if its labels and its end have this
#: log probability on average.
LIKELY = -0.5
#: So much sound is kept before and behind the speech, in seconds.
MARGIN_SECONDS = 0.5
#: It can hold so many letters ...
LETTERS = 15.0
#: ... and so many for each second that has labels (the sum of their probabilities over frames).
LETTERS_PER_SECOND = 75.0
#: So many letters, less a few, are expected for each such second. Nearly all sentences have more:
#: the least measured is 29.7. Spelled letters and digits have 11 or more. A capital (it may be
#: spelled) and a character of Chinese, Japanese or Korean count as `DIGIT` here.
EXPECTED_PER_SECOND, FEW = 28.0, 10.0
#: A digit is spoken like so many letters.
DIGIT = 3.0
#: In the name of a label that writes a part of a character (`Tokenizer.piece`).
PART = "<0x"


@dataclass(frozen=True)
class Speech:
    """The speech of a segment: its samples from `start` to before `end`.

    Attributes:
        letters: how many it can hold.
        expected: how many it should have at least.
        certain: whether there is any; if not, only a likely text shows that there is.
    """

    start: int
    end: int
    letters: float
    expected: float = 0.0
    certain: bool = True

    def holds(self, log_prob: float, labels: int) -> bool:
        """Whether a text of `labels` labels with this log probability shows that it is speech."""
        return self.certain or log_prob >= LIKELY * (labels + 1)


class SpeechDetector:
    """Finds the speech of segments for one model by the blank of another, which has CTC.

    Args:
        model: the model with CTC; it may be of another language.
        blank: the label of its blank.
        tokenizer: that of the model whose texts are to be limited.
    """

    def __init__(self, model: ASRModel, blank: int, tokenizer: Tokenizer) -> None:
        self.model = model
        self.blank = blank
        self.tokenizer = tokenizer

    @cached_property
    def letters(self) -> Tensor:
        """(V,) how many letters each label of the tokenizer writes, a digit counted as `DIGIT`.

        A label that is part of a character counts as one.
        """
        return self._weights(_letters)

    @cached_property
    def spoken(self) -> Tensor:
        """(V,) how many letters each label may stand for; see `EXPECTED_PER_SECOND`."""
        return self._weights(_spoken)

    def _weights(self, weight: Callable[[str], float]) -> Tensor:
        """(V,) of each label, by the weight of a character."""
        labels = range(self.tokenizer.size)
        texts = (self.tokenizer.decode([label]) for label in labels)
        weights = torch.tensor([sum(map(weight, text), 0.0) for text in texts])
        weights[[label for label in labels if PART in self.tokenizer.piece(label)]] = 1.0
        return weights

    def __call__(self, segments: Sequence[np.ndarray], rate: int, step: int) -> list[Speech | None]:
        """The speech of segments (N,) of float32 samples at `rate`; None where there is none.

        A segment's speech does not depend on the others. It begins at a multiple of `step` samples.
        """
        probabilities = self.label_probabilities(segments, rate)
        return [
            self._speech(labels, rate, step, len(segment))
            for labels, segment in zip(probabilities, segments, strict=True)
        ]

    @torch.inference_mode()
    def label_probabilities(self, segments: Sequence[np.ndarray], rate: int) -> list[np.ndarray]:
        """The probability of a label in each frame (T,), `PAD_SECONDS` on both sides counted."""
        model = self.model
        sounds = [
            _usual(Resampler(rate, model.sample_rate).step(part, True), model.sample_rate)
            for part in segments
        ]
        samples = pad_sequence([torch.from_numpy(sound) for sound in sounds], batch_first=True)
        lengths = torch.tensor([len(sound) for sound in sounds])
        device = next(model.parameters()).device
        memory, frames = model.encode(*model.features(samples.to(device), lengths.to(device)))
        blank = model.ctc_log_probs(memory)[:, :, self.blank].exp().cpu().numpy()
        return [1.0 - row[:count] for row, count in zip(blank, frames.tolist(), strict=True)]

    def _speech(self, labels: np.ndarray, rate: int, step: int, size: int) -> Speech | None:
        """The speech of a segment of `size` samples.

        Args:
            labels: (T,) the probability of a label in each frame.
        """
        seconds = self.model.encoder.frame_seconds
        labelled = float(labels.sum()) * seconds
        sounding = np.flatnonzero(labels >= SOUND) * seconds - PAD_SECONDS
        if not len(sounding):
            return None
        start = max(0, int((sounding[0] - MARGIN_SECONDS) * rate) // step * step)
        end = min(size, round((sounding[-1] + seconds + MARGIN_SECONDS) * rate))
        if end <= start:  # in the faint noise
            return None
        certain = labels.max() >= SPEECH or (labels > 0.5).sum() >= SPEECH_FRAMES
        expected = max(0.0, EXPECTED_PER_SECOND * labelled - FEW) if certain else 0.0
        return Speech(
            start, end, LETTERS + LETTERS_PER_SECOND * labelled, expected, certain=bool(certain)
        )


def _usual(sound: np.ndarray, rate: int) -> np.ndarray:
    """Samples (N,) as the detector expects them: at a usual level, with faint noise around them."""
    peak = float(np.abs(sound).max(initial=0.0))
    padded = np.pad(sound * (PEAK / peak) if peak else sound, round(PAD_SECONDS * rate))
    noise = np.random.default_rng(0).standard_normal(len(padded), np.float32)
    return (padded + FAINT * noise).astype(np.float32)


def _letters(character: str) -> float:
    """How many letters a character is; the marks of Indic scripts are letters too."""
    return DIGIT if character.isdigit() else float(unicodedata.category(character)[0] in "LM")


def _spoken(character: str) -> float:
    """How many letters a character may stand for."""
    wide = unicodedata.east_asian_width(character) in "WF"
    return DIGIT if wide or character.isupper() else _letters(character)
