"""`asr train`: a recipe to a model folder."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asr.cli import options
from asr.cli.console import DONE, INTERRUPTED, Console
from asr.cli.load import local_model
from asr.dependencies import need
from asr.errors import ManifestError
from asr.folders import check_model_folder
from asr.transcribe.files.jobs import check_corpora

if TYPE_CHECKING:
    from asr.train.recipe import Recipe

#: What training needs besides what transcribing does.
LIBRARIES = ("lightning.pytorch", "lhotse", "matplotlib", "tensorboard")
EXAMPLE = Path(__file__).parents[1] / "train" / "example.yaml"


def _show_keys(context: click.Context, _: click.Parameter, value: bool) -> None:
    if not value:
        return
    from asr.train.keys import format_keys, recipe_keys

    context.ensure_object(Console).print(format_keys(recipe_keys()))
    context.exit()


def _show_example(context: click.Context, _: click.Parameter, value: bool) -> None:
    if not value:
        return
    context.ensure_object(Console).print(EXAMPLE.read_text(encoding="utf-8"))
    context.exit()


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
@click.option(
    "--keys",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_keys,
    help="Print every key of a recipe: default, what is allowed, meaning.",
)
@click.option(
    "--example",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_example,
    help="Print a recipe to start from: asr train --example > mine.yaml",
)
@options.max_time
@options.resume
@click.option(
    "--init",
    callback=options.path,
    metavar="MODEL",
    help="Start from the weights of a model; its architecture, tokenizer and normaliser are taken "
    "where RECIPE names none.",
)
@click.option("--init-partial", is_flag=True, help="Take over what fits of --init.")
@click.option(
    "-o",
    "--output",
    callback=options.path,
    metavar="FOLDER",
    help="Where to write.  [default: exp/NAME beside the recipe]",
)
@click.pass_obj
def train(
    console: Console,
    recipe: Path,
    overrides: tuple[str, ...],
    max_time: str | None,
    resume: str,
    init: Path | None,
    init_partial: bool,
    output: Path | None,
) -> int:
    """Train a model by RECIPE, a YAML file.

    Any key of the recipe can be set on the command line: optimizer.lr=0.001. Run the same command
    again to go on after an interruption. --example prints a recipe to start from, --keys all that
    can be in one.
    """
    extra = [] if max_time is None else [f"training.max_time={max_time}"]
    values = _check(recipe, [*overrides, *extra], init, init_partial)
    named = values.get("output")
    usual = Path(named) if isinstance(named, str) else Path("exp") / recipe.stem
    folder = output or recipe.parent / usual
    with console.working(f"loading libraries to train by {recipe}"):
        # before torch is loaded: what its C++ side warns about is decided here, not by the user
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        from asr.train.recipe import load_recipe

        base = None
        if init is not None:
            need(LIBRARIES[0], "train")
            from asr.train.adapt.base import base_folder

            base = base_folder(local_model(str(init)), folder, resume)
        loaded = load_recipe(recipe, [*overrides, *extra], base)
        _check_corpora(loaded, recipe)
        for library in LIBRARIES:
            need(library, "train")
        from asr.train.run import Start, train

    command = _command(recipe, overrides, max_time, init)
    outcome = train(loaded, folder.absolute(), Start(resume, base, init_partial), command)
    if outcome.model is not None:  # None in processes that another one has started
        click.echo(f"model: {outcome.model}")
    return INTERRUPTED if outcome.ended == "interrupted" else DONE


def _check(
    recipe: Path, overrides: Sequence[str], init: Path | None, init_partial: bool
) -> dict[str, Any]:
    """Refuses what can be told before torch and Lightning are loaded, which takes its time.

    Returns:
        the plain values of the recipe.
    """
    from asr.config import read_yaml

    if init_partial and init is None:
        raise click.UsageError("--init-partial needs --init: name a model folder, or leave it out")
    values = read_yaml(recipe)
    check_overrides(overrides, values)
    if init is not None:
        check_model_folder(local_model(str(init)))
    return values


def check_overrides(overrides: Sequence[str], values: dict[str, Any] | None = None) -> None:
    """Refuses what cannot be laid over the plain values of a recipe.

    Raises:
        ConfigError: one is not written as key.sub=value.
    """
    from asr.config import override

    values = {} if values is None else values
    for setting in overrides:
        override(values, setting)


def _check_corpora(loaded: Recipe, recipe: Path) -> None:
    """Refuses corpora that are not there, and says what makes those of a recipe that ships."""
    try:
        check_corpora(*(Path(corpus.manifest) for corpus in (*loaded.data.train, *loaded.data.dev)))
    except ManifestError as error:
        maker = recipe.parent / "prepare.py"
        if not maker.is_file():
            raise
        raise ManifestError(f"{error}, or make it with: python {maker}") from None


def _command(
    recipe: Path, overrides: tuple[str, ...], max_time: str | None, init: Path | None
) -> str:
    """The call as a model card shows it, without the folders of this machine."""
    words = ["asr", "train", recipe.name, *overrides]
    words += ["--max-time", max_time] if max_time is not None else []
    words += ["--init", init.name] if init is not None else []
    return shlex.join(words)
