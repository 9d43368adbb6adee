"""Recordings joined to one, at known times: what several tools measure with."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
import torch

from asr import Recognizer
from asr.audio import Audio, load_audio
from asr.audio.samples import level_db
from asr.evaluate.corpus import ReferenceUtterance, SoundReader
from asr.model import FULL_CONTEXT, ChunkContext
from asr.transcribe.settings import LEFT_MS

#: Where sound begins and ends: this much below its loudest 10 ms.
EDGE_DB = 25.0
#: Quiet within a word (before a stop) is no longer than this.
GAP_SECONDS = 0.12


def trimmed(sound: np.ndarray, rate: int) -> np.ndarray:
    """The word in `sound` (N,), from where it begins to where it ends, to 10 ms.

    What is apart from the loudest stretch by more than `GAP_SECONDS` is a click or a breath.
    """
    step = rate // 100
    levels = level_db(sound[: len(sound) // step * step].reshape(-1, step))
    loud = np.flatnonzero(levels > levels.max() - EDGE_DB)
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > 100 * GAP_SECONDS) + 1)
    word = max(groups, key=lambda group: float(np.sum(10 ** (levels[group] / 10))))
    return sound[word[0] * step : (word[-1] + 1) * step]


def room_tone(
    sound: np.ndarray, seconds: float, rate: int, random: np.random.Generator
) -> np.ndarray:
    """Noise as loud as the quietest tenth of `sound`: pauses of a recording are never digital 0."""
    step = rate // 50
    levels = level_db(sound[: len(sound) // step * step].reshape(-1, step))
    level = float(np.percentile(levels, 10)) if len(levels) else -80.0
    noise = random.normal(0, 10 ** (level / 20), round(seconds * rate))
    return noise.astype(np.float32)


def load(utterance: ReferenceUtterance, rate: int) -> np.ndarray:
    """Its samples (N,) at `rate`."""
    sound = SoundReader(rate).sound(utterance)
    return sound.samples if isinstance(sound, Audio) else load_audio(sound, rate).samples


def levelled(sound: np.ndarray, level: float = 0.1) -> np.ndarray:
    """`sound` (N,) with a root mean square of `level`."""
    return sound * np.float32(level / max(1e-9, float(np.sqrt(np.mean(sound**2)))))


def matches(reference: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[int, int]]:
    """Places of words that are the same in both, in order."""
    found = difflib.SequenceMatcher(None, reference, hypothesis, autojunk=False)
    return [
        (block.a + n, block.b + n)
        for block in found.get_matching_blocks()
        for n in range(block.size)
    ]


@torch.inference_mode()
def posteriors(model: Recognizer, sound: np.ndarray, chunk_ms: float | None) -> np.ndarray:
    """CTC's log posteriors (T, V) of sound (N,) at the model's rate."""
    frame_ms = 1000 * model.frame_seconds
    left = round(LEFT_MS / frame_ms)
    context = FULL_CONTEXT if chunk_ms is None else ChunkContext(round(chunk_ms / frame_ms), left)
    features, lengths = model.model.features(
        torch.from_numpy(sound)[None], torch.tensor([len(sound)])
    )
    memory, _ = model.model.encode(features, lengths, context)
    return np.asarray(model.model.ctc_log_probs(memory)[0].numpy())
