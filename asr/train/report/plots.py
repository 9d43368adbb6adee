"""Learning curves and a look at the attention, as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from asr.errors import ModelError
from asr.evaluate.attention import Looked, draw
from asr.train.corpora import sample
from asr.train.losses.joint import teacher_forcing
from asr.train.report.log import read_log

if TYPE_CHECKING:
    from asr.train.module import SpeechTraining


def draw_curves(log: Path, picture: Path) -> None:
    """Draws loss, accuracy, word error rate and learning rate over the steps of a `log.csv`."""
    figure, axes = _figure(2, 2, (11, 7))
    panels = (
        ("loss", "loss per label"),
        ("accuracy", "labels right, given those before"),
        ("wer", "word error rate (dev: of the sample)"),
        ("lr", "learning rate"),
    )
    rows = read_log(log)
    for axis, (name, title) in zip(axes.flat, panels, strict=True):
        for kind in ("train", "dev"):
            mine = [row for row in rows if row["kind"] == kind and row[name]]
            if mine:
                steps = [int(row["step"]) for row in mine]
                values = [float(row[name]) for row in mine]
                style = {"marker": "."} if kind == "dev" else {"linewidth": 0.8}
                axis.plot(steps, values, label=kind, **style)
        axis.set_title(title)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend()
    _write(figure, picture)


@torch.no_grad()
def draw_attention(module: SpeechTraining, picture: Path) -> None:
    """Draws where each label of one utterance looks, layer by layer, mean over the heads.

    The utterance is the first dev one, or the first of training where there is no dev set. A
    decoder that looks at no frame in particular has no picture.
    """
    data, model = module.data, module.model
    cuts = sample(data.corpora.dev, 1) or sample(data.corpora.train, 1)
    if model.decoder is None or not cuts:
        return
    batch = next(iter(data.dev_batches(cuts, workers=0))).to(module.device)
    rows = len(batch.ids)
    training = model.training
    model.eval()
    memory, lengths = model.encode(*model.features(batch.samples, batch.lengths))
    special = data.tokenizer.labels
    most = model.decoder.max_labels
    inputs, _ = teacher_forcing(
        batch.tokens, batch.token_lengths, rows, special, batch.starts, most
    )
    try:
        weights = model.decoder.attention(inputs, memory, lengths)[0]
    except ModelError:
        return
    finally:
        model.train(training)
    size, frames = int(batch.token_lengths[0]), int(lengths[0])
    labels = [data.tokenizer.piece(int(one)) for one in batch.tokens[0, :size]] + ["<eos>"]
    seconds = frames * model.encoder.frame_seconds
    first = len(special.start) - 1
    weights = weights[:, :, first : first + size + 1, :frames].float().cpu()
    draw(Looked(0.0, seconds, tuple(labels), weights), batch.ids[0], picture)


def _figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _write(figure: Any, picture: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    figure.savefig(picture, dpi=110)
