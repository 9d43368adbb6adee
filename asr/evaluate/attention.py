"""Where a model looks while it writes: attention matrices of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr.atomic import atomic_file
from asr.audio import Audio, from_samples
from asr.errors import ModelError
from asr.model.attention_shape import AttentionShape, attention_shape
from asr.transcribe.language import LanguageSetting
from asr.transcribe.options import TranscribeOptions
from asr.transcribe.recognizer import Recognizer

#: Labels beyond this many are too narrow to be read on the picture's axis.
READABLE = 80


@dataclass(frozen=True)
class Looked:
    """One segment: weights (layers, H, U, M) of its labels, the ending counted, over its sound."""

    start: float
    end: float
    labels: tuple[str, ...]
    weights: Tensor

    @property
    def shape(self) -> AttentionShape | None:
        """How diagonal and how narrow they are; the ending may look where it likes."""
        return attention_shape(self.weights[:, :, :-1])


@torch.inference_mode()
def look(
    recognizer: Recognizer, audio: Audio, options: TranscribeOptions | None = None
) -> list[Looked]:
    """Transcribes a recording and says of each segment where its labels look.

    Args:
        audio: at any rate.
        options: as in `Recognizer.transcribe`.

    Raises:
        ModelError: the model has no attention.
    """
    model = recognizer.model
    if model.decoder is None:
        raise ModelError(f"{recognizer.name} is a pure CTC model: it has no attention to look at")
    if audio.rate != recognizer.sample_rate:
        audio = from_samples(audio.samples, audio.rate, recognizer.sample_rate)
    device = next(model.parameters()).device
    language = LanguageSetting.of(recognizer.loaded, TranscribeOptions.of(options))
    found = []
    for segment in recognizer.transcribe(audio, options=options).segments:
        first, last = (round(time * audio.rate) for time in (segment.start, segment.end))
        samples = torch.from_numpy(audio.samples[first:last].copy())[None].to(device)
        lengths = torch.tensor([samples.shape[1]], device=device)
        memory, frames = model.encode(*model.features(samples, lengths))
        start = (*language.prompt, *language.labels_of(segment.language).start)
        tokens = torch.tensor([[*start, *segment.tokens]], device=device)
        weights = model.decoder.attention(tokens, memory, frames)[0].float().cpu()
        weights = weights[:, :, len(start) - 1 :]
        labels = (*(recognizer.tokenizer.piece(token) for token in segment.tokens), "<eos>")
        found.append(Looked(segment.start, segment.end, labels, weights))
    return found


def draw(looked: Looked, title: str, picture: Path, every_head: bool = False) -> None:
    """Draws a matrix for each layer, mean over the heads or a column for each, as PNG.

    Raises:
        OutputError: it cannot be written.
    """
    import warnings

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    weights = looked.weights if every_head else looked.weights.mean(dim=1, keepdim=True)
    layers, heads = weights.shape[:2]
    size = (10 if heads == 1 else max(10, 4 * heads), 1 + 2.2 * layers)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(layers, heads, squeeze=False)
    for layer, row in enumerate(axes):
        for head, axis in enumerate(row):
            _matrix(axis, weights[layer, head], looked, head == 0)
        row[0].set_ylabel(f"layer {layer + 1}")
    for head, axis in enumerate(axes[-1], start=1):
        axis.set_xlabel("seconds" if heads == 1 else f"head {head}, seconds")
    figure.suptitle(f"{title}: which sound each label looks at", fontsize=9)
    FigureCanvasAgg(figure)
    with warnings.catch_warnings():  # labels of a script that the font lacks are drawn as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        with atomic_file(picture) as file:
            figure.savefig(file, dpi=110, format="png")


def _matrix(axis: Any, weights: Tensor, looked: Looked, named: bool) -> None:
    labels: Sequence[str] = looked.labels
    axis.imshow(
        weights.numpy(),
        aspect="auto",
        origin="lower",
        interpolation="nearest",
        extent=(looked.start, looked.end, -0.5, len(labels) - 0.5),
    )
    if named and len(labels) <= READABLE:
        axis.set_yticks(range(len(labels)), labels, fontsize=max(4, min(8, 300 / len(labels))))
    else:
        axis.set_yticks([])
