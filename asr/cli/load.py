"""Loading the model of a command; a wrong call is refused before that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asr.cli import options
from asr.cli.console import Console
from asr.folders import SHIPPED, check_lm_folder, check_model_folder, model_folder
from asr.interrupts import defer_interrupts

if TYPE_CHECKING:
    from asr.transcribe.options import TranscribeOptions
    from asr.transcribe.recognizer import Recognizer


def local_model(model: str | Path | None) -> Path:
    """The folder of a model that is named as `asr.folders.model_folder` says; it may be fetched.

    Raises:
        ModelError, DependencyError: it cannot be fetched.
    """
    console = click.get_current_context().find_object(Console)
    if console is not None and (console.quiet or console.as_json):
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    return model_folder(model)


def check_model(model: str | Path | None, lm: str | None = None, no_lm: bool = False) -> None:
    """Refuses folders that are none, in no time: torch alone takes seconds to load.

    Raises:
        click.UsageError: --lm and --no-lm are both given.
        ModelError: a folder is not what it should be, or a published model cannot be fetched.
        DependencyError: as `local_model`.
    """
    asked = options.lm_argument(lm, no_lm)
    check_model_folder(local_model(model))
    if isinstance(asked, str):
        check_lm_folder(Path(asked))


def open_model(
    console: Console,
    model: str | Path | None,
    device: str,
    lm: str | None = None,
    no_lm: bool = False,
    **more: Any,
) -> Recognizer:
    """Opens a model as `load_model` does, and shows on a terminal that it is being loaded.

    Raises:
        click.UsageError, ModelError: as `check_model`.
        ConfigError: there is no such device here.
    """
    check_model(model, lm, no_lm)
    with console.working(f"loading {shown_name(model)}"):
        with defer_interrupts():  # torch and numpy would swallow one while they are imported
            from asr.transcribe.recognizer import load_model
        options.leave_cores_free()
        return load_model(model, device, lm=options.lm_argument(lm, no_lm), **more)


def reencoding_note(recognizer: Recognizer) -> str | None:
    """What decoding as a stream costs with a model that cannot stream; None for those that can."""
    from asr.transcribe.streams.chunk_encoder import can_stream
    from asr.transcribe.streams.reencoded_segment import ENCODED_PER_SECOND

    if can_stream(recognizer.model):
        return None
    return (
        f"model '{recognizer.name}' cannot stream: each second of sound is encoded up to about "
        f"{ENCODED_PER_SECOND:g} times, as the segment grows"
    )


def note_chunks(console: Console, recognizer: Recognizer, asked: TranscribeOptions) -> None:
    """Notes if --chunk-ms has recordings decoded as a stream by a model that cannot stream."""
    note = reencoding_note(recognizer) if asked.chunk_ms is not None else None
    if note is not None:
        console.note(f"{note}; without --chunk-ms each segment is encoded once, as a whole")


def note_confidence(console: Console, recognizer: Recognizer, asked: TranscribeOptions) -> None:
    """Notes if the confidence of words was fitted for other weights than those that are used."""
    from asr.transcribe.settings import OWN_LM, unfitted_weights

    if not recognizer.confidence:
        return
    others = unfitted_weights(recognizer.search, asked)
    own = (recognizer.folder / OWN_LM).resolve()
    if recognizer.lm is not None and recognizer.lm.folder.resolve() != own:
        others = f"another language model{others and f', {others}'}"
    if others:
        console.note(
            f"the confidence of words was not fitted for this ({others}): it may say too much or "
            "too little (docs/evaluation.md)"
        )


def shown_name(model: str | Path | None) -> str:
    """What a message calls the model that an option names."""
    return str(model) if model is not None else f"the model that ships ({SHIPPED.name})"
