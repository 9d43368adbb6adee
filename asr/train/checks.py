"""What is checked before a run starts: the recipe against the encoder and the corpora against the
model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping

from asr.data.prompts import PromptStarts
from asr.data.utterance import text_of
from asr.errors import ConfigError, ModelError, TrainingError
from asr.evaluate.error_rate import number_of
from asr.frontend import FRONTENDS
from asr.model import ChunkContext, Encoder, ModelConfig, SpeechModel
from asr.model.registry import DECODERS, ENCODERS
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
    try:
        FRONTENDS.build(model.frontend).check_streaming()
    except ModelError as error:
        reason = str(error).partition("; ")[0]  # what follows is for transcribing
        raise ConfigError(
            f"chunks.full is {chunks.full:g}, so chunks would be trained on, but {reason}; set "
            "chunks.full to 1, or use a front end that works on a stream (whisper does with "
            "model.frontend.maximum running and without pad_seconds)"
        ) from None
    encoder = _encoder(model)
    try:
        encoder.check_context(ChunkContext(chunks.smallest, chunks.least_left))
        encoder.check_context(ChunkContext(chunks.largest, chunks.most_left))
    except ModelError as error:
        raise ConfigError(
            f"chunks.full is {chunks.full:g}, so chunks would be trained on, but {error}; to train "
            "this encoder, set chunks.full to 1"
        ) from None


def check_strategy(model: ModelConfig, strategy: str) -> None:
    """Refuses to divide the weights of an encoder that takes rows of one length at a time.

    All processes would gather a layer's weights together, but each calls the layers once for each
    length in its batch, and they would wait for each other for ever.

    Raises:
        ConfigError: it would be divided.
    """
    if strategy == "fsdp" and not _encoder(model).padding_invariant:
        raise ConfigError(
            f"training.strategy fsdp does not go with the encoder {model.encoder.type}, which "
            "takes utterances of different lengths one after the other; use ddp"
        )


def check_monitors(recipe: Recipe, callbacks: Iterable[Callback]) -> None:
    """Refuses early stopping by a figure of the dev set that an epoch may end without.

    Raises:
        ConfigError: validation does not come with each epoch, or there is no dev set.
    """
    for callback in callbacks:
        if not isinstance(callback, EarlyStopping) or not callback.strict:
            continue
        if not callback.monitor.startswith("dev_"):
            continue
        name = f"training.callbacks: {type(callback).__name__}"
        if not recipe.data.dev:
            raise ConfigError(f"{name} monitors {callback.monitor}: name a dev set in data.dev")
        if recipe.validation.steps is not None:
            raise ConfigError(
                f"{name} looks at {callback.monitor} at the end of each epoch, but validation is "
                f"every {recipe.validation.steps} steps: leave validation.steps out, so that each "
                "epoch ends with a validation"
            )


def check_limits(recipe: Recipe, data: RunData) -> None:
    """Refuses utterances that are longer than the encoder takes, and texts that are longer than
    the decoder takes. Of corpora that are read lazily, only `data.max_seconds` is looked at.

    Raises:
        TrainingError: there are some.
    """
    limits = Limits(recipe.model, data.tokenizer)
    slowest = min(1.0, recipe.data.augment.slowest)
    for name, cuts, speed in (
        ("train", data.corpora.train, slowest),
        ("dev", data.corpora.dev, 1.0),
    ):
        if size(cuts) is not None:
            limits.check_seconds(name, cuts, speed)
            limits.check_labels(name, cuts, data.encode)
    settings = {"concatenate_seconds": recipe.data.concatenate_seconds}
    if size(data.corpora.train) is None:
        settings["max_seconds"] = recipe.data.max_seconds
    for setting, seconds in settings.items():
        if limits.too_long(seconds / slowest):
            most = limits.describe_seconds(slowest)
            raise TrainingError(f"data.{setting}: {seconds:g} is more than the {most}; lower it")


class Limits:
    """How long the utterances and texts may be that a model takes."""

    def __init__(self, model: ModelConfig, tokenizer: Tokenizer) -> None:
        self.frontend = FRONTENDS.build(model.frontend)
        self.encoder = _encoder(model)
        self.labels: int | None = None  # behind the start
        if model.decoder is not None:
            with torch.device("meta"):
                decoder = DECODERS.build(model.decoder, tokenizer.size, self.encoder.dim)
            if decoder.max_labels is not None:
                self.labels = decoder.max_labels - len(tokenizer.labels.start)

    def too_long(self, seconds: float) -> bool:
        """Whether sound has more frames than the encoder takes, a last part of one counted."""
        most = self.encoder.max_frames
        if most is None:
            return False
        samples = torch.tensor([round(seconds * self.frontend.sample_rate)])
        features = int(self.frontend.frames(samples))
        frames = features * self.frontend.hop_seconds / self.encoder.frame_seconds
        return math.ceil(frames - 1e-6) > most

    def describe_seconds(self, speed: float) -> str:
        """The longest utterance in words, where it is played at `speed`."""
        most = self.encoder.max_frames
        assert most is not None
        slow = f" when played {speed:g} times as fast" if speed < 1 else ""
        return f"{most * self.encoder.frame_seconds * speed:g} s that the encoder takes{slow}"

    def check_seconds(self, name: str, cuts: Iterable[Cut], speed: float) -> None:
        """Refuses utterances that are too long where they are played at `speed`."""
        if long := [cut for cut in cuts if self.too_long(cut.duration / speed)]:
            examples = _examples([f"{cut.id} ({cut.duration:.2f} s)" for cut in long])
            remedy = "lower data.max_seconds, or cut them" if name == "train" else "cut them"
            raise TrainingError(
                f"{name}: {number_of(len(long), 'utterance')} longer than the "
                f"{self.describe_seconds(speed)}: {examples}; {remedy}"
            )

    def check_labels(
        self, name: str, cuts: Iterable[Cut], encode: Callable[[str], list[int]]
    ) -> None:
        """Refuses texts with too many labels."""
        if self.labels is None:
            return
        counts = {cut.id: len(encode(text_of(cut))) for cut in cuts}
        long = [f"{cut} ({count})" for cut, count in counts.items() if count > self.labels]
        if long:
            raise TrainingError(
                f"{name}: {number_of(len(long), 'text')} with more labels than the {self.labels} "
                f"that the decoder takes: {_examples(long)}; correct them, cut these utterances or "
                "leave them out"
            )


def check_prompts(data: RunData) -> None:
    """Refuses utterances whose fields cannot be named by the start sequence.

    Corpora that are read lazily are not looked at: training stops where there is one.

    Raises:
        ManifestError: a value is unknown, or is missing and has no default.
    """
    starts = PromptStarts.of(data.tokenizer)
    for cuts in (data.corpora.train, data.corpora.dev):
        if starts is not None and size(cuts) is not None:
            for cut in cuts:
                starts.values(cut)


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


def _encoder(model: ModelConfig) -> Encoder:
    """The encoder, without any weights."""
    frontend = FRONTENDS.build(model.frontend)
    with torch.device("meta"):  # nothing is allocated or drawn
        return ENCODERS.build(model.encoder, frontend.dim, frontend.hop_seconds)


def _examples(names: Sequence[str]) -> str:
    return f"{', '.join(names[:SHOWN])}{' ...' if len(names) > SHOWN else ''}"


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
