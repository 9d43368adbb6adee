"""What is checked before a run starts: chunks against the encoder, texts against labels and CTC."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch

from asr.data.utterance import text_of
from asr.errors import ConfigError, ModelError, TrainingError
from asr.frontend import FRONTENDS
from asr.model import ChunkContext, ModelConfig, SpeechModel
from asr.model.registry import ENCODERS
from asr.text import Tokenizer
from asr.text.tokenizer import frames_needed
from asr.train.corpora import size
from asr.train.data import RunData
from asr.train.recipe import ChunkConfig, Recipe

if TYPE_CHECKING:
    from lhotse.cut import Cut

#: How many examples a message shows.
SHOWN = 5
#: Frames by which a count from the length alone may be wrong.
MARGIN = 4


def check_chunks(model: ModelConfig, chunks: ChunkConfig) -> None:
    """Refuses chunks that the front end or the encoder cannot honour.

    Raises:
        ConfigError: one cannot, and batches with chunks would be drawn.
    """
    if chunks.full == 1:
        return
    frontend = FRONTENDS.build(model.frontend)
    try:
        frontend.check_streaming()
    except ModelError as error:
        reason = str(error).partition("; ")[0]  # what follows is for transcribing
        raise ConfigError(
            f"chunks.full is {chunks.full:g}, so chunks would be trained on, but {reason}; set "
            "chunks.full to 1, or use a front end that works on a stream (whisper does with "
            "model.frontend.maximum running and without pad_seconds)"
        ) from None
    with torch.device("meta"):  # nothing is allocated or drawn
        encoder = ENCODERS.build(model.encoder, frontend.dim, frontend.hop_seconds)
    try:
        encoder.check_context(ChunkContext(chunks.smallest, chunks.least_left))
        encoder.check_context(ChunkContext(chunks.largest, chunks.most_left))
    except ModelError as error:
        raise ConfigError(
            f"chunks.full is {chunks.full:g}, so chunks would be trained on, but {error}; to train "
            "this encoder, set chunks.full to 1"
        ) from None


def check_texts(recipe: Recipe, data: RunData) -> list[str]:
    """Lines about texts that cannot be written or learned.

    Corpora that are read lazily are not looked at, and a line says so.

    Raises:
        TrainingError: utterances have more labels than frames (see `check_lengths`).
    """
    notes, train = [], data.corpora.train
    for name, cuts in (("train", train), ("dev", data.corpora.dev)):
        if size(cuts) is None:
            notes.append(f"{name}: texts were not checked: the corpus is read lazily")
        elif line := unwritable(cuts, data.normalizer, data.tokenizer):
            notes.append(f"{name}: {line}")
    if recipe.model.ctc and recipe.loss.ctc_weight > 0 and size(train) is not None:
        speed = recipe.data.augment.speed
        fastest = max(speed.factors) if speed else 1.0
        frames = FrameCount(SpeechModel(recipe.model, data.tokenizer.size).eval())
        leave_out = recipe.loss.leave_out_too_long
        line = check_lengths(train, data.encode, frames, fastest, leave_out)
        notes += [line] if line else []
    return notes


class FrameCount:
    """How many frames a model's encoder makes of sound."""

    def __init__(self, model: SpeechModel) -> None:
        self.model = model
        self._known: dict[int, int] = {}

    def about(self, seconds: float) -> float:
        """Within a few frames, at once."""
        return seconds / self.model.encoder.frame_seconds

    @torch.no_grad()
    def exactly(self, seconds: float) -> int:
        """By letting the encoder count, with no more than one run for each length."""
        samples = torch.tensor([round(seconds * self.model.sample_rate)])
        features = int(self.model.frontend.frames(samples))
        if features not in self._known:
            size = (1, features, self.model.frontend.dim)
            like = next(self.model.parameters())
            silence, lengths = like.new_zeros(size), torch.tensor([features], device=like.device)
            counted = int(self.model.encode(silence, lengths)[1]) if features > 0 else 0
            self._known[features] = counted
        return self._known[features]


def unwritable(
    cuts: Iterable[Cut], normalizer: Callable[[str], str], tokenizer: Tokenizer
) -> str | None:
    """A line about the characters that the tokenizer cannot write; None if there are none."""
    counts: Counter[str] = Counter()
    example: tuple[str, str] | None = None
    for cut in cuts:
        text = normalizer(text_of(cut))
        found = tokenizer.unknown(text)
        counts.update(found)
        if found and example is None:
            example = (cut.id, text)
    if example is None:
        return None
    shown = ", ".join(f"{char!r} {count} times" for char, count in counts.most_common(SHOWN))
    return (
        f"{len(counts)} characters cannot be written by the tokenizer: {shown}; "
        f"first in {example[0]}: {example[1]!r}"
    )


def check_lengths(
    cuts: Iterable[Cut],
    encode: Callable[[str], list[int]],
    frames: FrameCount,
    fastest: float,
    leave_out: bool,
) -> str | None:
    """Finds utterances with more labels than encoder frames, which CTC cannot learn from.

    Args:
        encode: text as it stands in the corpus to labels.
        fastest: the greatest speed that sound is played at in training.
        leave_out: `loss.leave_out_too_long`.

    Returns:
        a line about what is left out of the CTC loss, None for nothing.

    Raises:
        TrainingError: there are some, and they are not to be left out.
    """
    found: list[tuple[Any, int, int]] = []
    for cut in cuts:
        needed, seconds = frames_needed(encode(text_of(cut))), cut.duration / fastest
        if needed > frames.about(seconds) - MARGIN and needed > (exact := frames.exactly(seconds)):
            found.append((cut.id, needed, exact))
    if not found:
        return None
    shown = ", ".join(f"{name} ({needed} of {there})" for name, needed, there in found[:SHOWN])
    at = f" when played {fastest:g} times as fast" if fastest > 1 else ""
    told = (
        f"{len(found)} utterances need more frames for their labels than the encoder has{at}: "
        f"{shown}{' ...' if len(found) > SHOWN else ''}"
    )
    if not leave_out:
        raise TrainingError(
            f"{told}; correct their texts, use a larger tokenizer or less subsampling, or leave "
            "them out of the CTC loss with loss.leave_out_too_long=true"
        )
    return f"{told}; they are left out of the CTC loss"
