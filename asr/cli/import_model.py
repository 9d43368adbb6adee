"""`asr import`: write a model in another format as a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from asr.cli import options
from asr.cli.console import Console
from asr.cli.load import local_model
from asr.errors import ModelError, OutputError
from asr.folders import CONFIG, check_model_folder
from asr.interrupts import defer_interrupts

if TYPE_CHECKING:
    from asr.model.folder import FolderConfig


@click.command("import")
@click.argument("source", metavar="SOURCE", shell_complete=options.a_folder)
@options.output_folder("The model folder; there must be none of that name yet.")
@options.quiet
@click.pass_obj
def import_model(console: Console, source: str, output: Path) -> None:
    """Write a model in another format as a model folder.

    SOURCE is a Whisper model: a Hugging Face or CTranslate2 folder, a file of OpenAI (NAME.pt), or
    a name that asr models lists. A model folder can be trained further, calibrated and given a
    language model. Weights stay as they are stored; integers become float32.
    """
    if output.is_symlink() and not output.exists():
        raise OutputError(f"{output}: a link to what does not exist; name another folder with -o")
    if output.exists():
        raise OutputError(f"{output}: exists already; name another folder with -o")
    folder = local_model(source)
    check_model_folder(folder)
    if (folder / CONFIG).is_file():
        raise ModelError(f"{source}: is a model folder already; there is nothing to import")
    with console.working(f"importing {source}"):
        with defer_interrupts():  # as in `open_model`
            from asr.model.imported import import_model as write
        config = write(folder, output)
    console.print(_report(config, output))


def _report(config: FolderConfig, output: Path) -> str:
    """What was written, and where it comes from."""
    origin = config.origin
    lines = [f"model    {output}"]
    if origin is not None:
        revision = f" at revision {origin.revision}" if origin.revision else ""
        integers = origin.weights.startswith("int")
        lines += [
            f"from     {origin.source}{revision} ({origin.format})",
            f"weights  {origin.weights}{', float32 now' if integers else ''}",
            f"licence  {origin.licence or 'not stated by the files'}",
        ]
    return "\n".join([*lines, ""])
