"""`asr attention`: a picture of the attention weights of a model on a recording."""

from __future__ import annotations

import os
from pathlib import Path

import click

from asr.cli import options
from asr.cli.console import DONE, Console
from asr.cli.load import open_model
from asr.transcribe.files.jobs import check_output, missing


@click.command()
@click.argument("audio", type=click.Path(path_type=Path))
@options.model
@options.device
@click.option(
    "-o",
    "--output",
    callback=options.path,
    metavar="PICTURE.png",
    help="Where to write.  [default: AUDIO with the ending .attention.png]",
)
@click.option(
    "--segment",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Which segment of a long recording.",
)
@click.option("--heads", is_flag=True, help="A column for each head, not their mean.")
@click.pass_obj
def attention(
    console: Console,
    audio: Path,
    model: str | None,
    device: str,
    output: Path | None,
    segment: int,
    heads: bool,
) -> int:
    """Draw where each label that AUDIO is written with looks in the sound.

    A row for each layer of the decoder. Attention that works is a diagonal; two figures say how
    diagonal and how narrow the best head is.
    """
    from asr.audio import load_audio
    from asr.dependencies import need
    from asr.errors import AudioError, ConfigError

    if not os.path.lexists(audio):
        raise missing(audio)
    check_output("-o", output)
    recognizer = open_model(console, model, device)
    from asr.evaluate.attention import draw, look

    need("matplotlib", "train")
    segments = look(recognizer, load_audio(audio, recognizer.sample_rate))
    if not segments:
        raise AudioError(f"{audio}: nothing is said in it that could be drawn; name another")
    if segment > len(segments):
        raise ConfigError(
            f"{audio}: there is no segment {segment}; it has {len(segments)} with something said"
        )
    looked = segments[segment - 1]
    picture = output or audio.with_suffix(".attention.png")
    draw(looked, audio.name, picture, heads)
    shape = looked.shape
    verdict = "too short to judge"
    if shape is not None:
        verdict = f"diagonality {shape.diagonality:.2f}, entropy {shape.entropy:.2f} (best head)"
    of = f" (segment {segment} of {len(segments)})" if len(segments) > 1 else ""
    console.print(f"{picture}{of}: {verdict}\n")
    return DONE
