"""`asr finetune`: a model and a folder of recordings to a model that fits them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asr.cli import options
from asr.cli.console import DONE, INTERRUPTED, SOME_FAILED, Console
from asr.cli.load import check_model
from asr.cli.progress import progress
from asr.cli.train import LIBRARIES, check_overrides
from asr.dependencies import need
from asr.folders import model_folder
from asr.transcribe.files.jobs import check_corpora

if TYPE_CHECKING:
    from asr.train.adapt.finetune import Adapted


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
@options.output_folder("Where everything goes; FOLDER/model is the adapted model.")
@options.model
@click.option(
    "--dev",
    type=click.Path(path_type=Path),
    metavar="CORPUS",
    help="Measure on this.  [default: a tenth of DATA, which is held out]",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    metavar="CORPUS",
    help="Train on some of this as well, so that what the model was made for is not lost.",
)
@click.option(
    "--old",
    type=click.Path(path_type=Path),
    metavar="CORPUS",
    help="Measure on this too: what the model was made for, before and after.",
)
@options.columns
@click.option(
    "--language",
    metavar="CODE",
    help="What is spoken in DATA (fr), where the manifest does not say it; for models of several "
    "languages.",
)
@click.option(
    "--lora",
    is_flag=True,
    help="Train small matrices beside the weights instead of all weights: less memory, and less of "
    "what the model could is lost.",
)
@click.option(
    "--tokenizer",
    metavar="keep|new|FOLDER",
    help="Labels: the model's, or new ones that write all of DATA, or those of a folder.  "
    "[default: the model's, and texts that they cannot write are refused]",
)
@options.max_time
@options.resume
@click.pass_obj
def finetune(
    console: Console,
    data: Path,
    overrides: tuple[str, ...],
    output: Path,
    model: str | None,
    lora: bool,
    max_time: str | None,
    **asked: Any,
) -> int:
    """Adapt a model to DATA: recordings with what is said in them.

    DATA is a folder of audio files with a .txt file beside each, or a manifest (JSON lines, CSV,
    TSV, Kaldi, Lhotse). Settings are chosen from how much there is, and shown; any key of the
    recipe can be set: optimizer.lr=0.0002 (all of them: asr train --keys). Ends with a table of
    error rates before and after. Run the same command again to go on after an interruption.

    Exit status: 0 done, 1 it could not be done, or some audio to measure on could not be used,
    2 the call is wrong, 130 interrupted.
    """
    check_corpora(data, *(asked[name] for name in ("dev", "keep", "old")))
    check_model(model)
    check_overrides(overrides)
    with console.working("loading libraries"):
        # before torch is loaded: what its C++ side warns about is decided here, not by the user
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        for library in LIBRARIES:
            need(library, "train")
        from asr.train.adapt.finetune import finetune as adapt
        from asr.train.adapt.request import Request

        options.leave_cores_free()
    low_rank = ["training.lora={}"] if lora else []
    limit = [] if max_time is None else [f"training.max_time={max_time}"]
    request = Request(
        model=model_folder(model).absolute(),
        data=data,
        folder=output.absolute(),
        overrides=(*low_rank, *overrides, *limit),
        **asked,
    )
    command = _command(request, model, overrides, lora, max_time)
    adapted = adapt(request, _say, _measuring, command)
    if adapted.model is None:  # in processes that another one has started
        return DONE
    if adapted.ended != "interrupted":
        return _report(console, adapted)
    console.print(f"model: {adapted.model}\n")
    return INTERRUPTED


def _report(console: Console, adapted: Adapted) -> int:
    from asr.train.adapt.finetune import result_table

    if adapted.comparisons:
        console.print(f"\n{result_table(adapted.comparisons)}\n")
    console.print(f"model: {adapted.model}\n")
    failed: dict[str, str] = {}
    for comparison in adapted.comparisons:
        failed |= comparison.before.failed | comparison.after.failed
    for name, error in failed.items():
        console.say(f"{name}: not counted: {error}")
    return SOME_FAILED if failed else DONE


def _say(line: str) -> None:
    click.echo(line, err=True)


@contextmanager
def _measuring(seconds: float | None) -> Iterator[Callable[[float], None]]:
    with progress(None, seconds) as bar:
        yield bar.decoded


def _command(
    request: Any,
    model: str | None,
    overrides: tuple[str, ...],
    lora: bool,
    max_time: str | None,
) -> str:
    """The call as a model card shows it, without the folders of this machine."""
    words = ["asr", "finetune", request.data.name, *overrides]
    words += ["-m", request.model.name if model is None else Path(model).name]
    for name in ("dev", "keep", "old"):
        if (place := getattr(request, name)) is not None:
            words += [f"--{name}", place.name]
    pairs = (f"{name}={column}" for name, column in request.columns.items())
    words += ["--columns", ",".join(pairs)] if request.columns else []
    words += ["--language", request.language] if request.language is not None else []
    words += ["--lora"] if lora else []
    if request.tokenizer is not None:
        words += ["--tokenizer", Path(request.tokenizer).name]
    words += ["--max-time", max_time] if max_time is not None else []
    return shlex.join(words)
