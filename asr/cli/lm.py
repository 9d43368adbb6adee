"""`asr lm`: texts to a language model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asr.cli import options
from asr.cli.console import DONE, INTERRUPTED, Console
from asr.errors import ModelError
from asr.folders import check_lm_folder, model_folder
from asr.transcribe.files.jobs import check_corpora

if TYPE_CHECKING:
    from asr.train.lm.recipe import LMRecipe


@click.command()
@click.argument(
    "texts", nargs=-1, required=True, metavar="TEXT...", type=click.Path(path_type=Path)
)
@click.option(
    "-o",
    "--output",
    callback=options.path,
    metavar="FOLDER",
    help="Where to write; FOLDER/lm is the language model. With the folder of an n-gram model as "
    "TEXT: the .arpa file to write.",
)
@click.option(
    "--tokenizer",
    callback=options.path,
    metavar="FOLDER",
    help="The model folder that it is for (or the folder of a tokenizer).  "
    "[default: the model that ships]",
)
@click.option(
    "--type",
    type=click.Choice(["lstm", "transformer", "ngram"]),
    help="Kind of model.  [default: lstm]",
)
@click.option("--order", type=int, metavar="N", help="Of n-grams: how many labels.  [default: 6]")
@click.option(
    "--join",
    type=int,
    metavar="N",
    help="Join up to N neighbouring texts to one, where utterances have several sentences.  "
    "[default: 3; of n-grams: 1]",
)
@click.option(
    "--dev",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Measure on this text, not on a held-out part of TEXT; give it again for more.",
)
@click.option(
    "--without",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Leave out what shares seven words in a row with this manifest; name each of your test "
    "sets.",
)
@options.max_time
@options.resume
@click.option("--init", callback=options.path, metavar="LM_FOLDER", help="Start from its weights.")
@click.option(
    "--config",
    "recipe",
    callback=options.path,
    metavar="YAML",
    help="Take settings from this file; docs/language-models.md lists them.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY.SUB=VALUE",
    help="Set one of them: --set lm.dim=768",
)
@click.option(
    "--measure",
    callback=options.path,
    metavar="LM_FOLDER",
    help="Train nothing: tell the perplexity of this language model on TEXT.",
)
@options.device
@click.pass_obj
def lm(
    console: Console,
    texts: tuple[Path, ...],
    output: Path | None,
    measure: Path | None,
    device: str,
    **choices: Any,
) -> int:
    """Train a language model on texts.

    TEXT is a text file with a sentence a line, or a JSON-lines manifest (.jsonl) with `text`;
    either may be packed (.gz, .xz, .bz2); one that is named twice counts twice. Texts are
    normalised as in training. A file that ends in .arpa (or .arpa.gz ...) is an n-gram model over
    the tokenizer's pieces, and is converted. The other way, `asr lm FOLDER/lm -o FILE.arpa` writes
    an n-gram model for KenLM, SRILM and the like.

    Run the same command again to go on after an interruption.
    """
    if measure is not None:
        _refuse_all_but("measure", because="--measure trains nothing")
        check_corpora(*texts)
        check_lm_folder(measure)
        with console.working(f"measuring {measure}"):
            message = _measured(measure, texts)
        console.print(message)
        return DONE
    if output is None:
        raise click.UsageError("say where to write: add -o FOLDER")
    if _is_arpa(output):
        _refuse_all_but("output", because="an n-gram model is written as it is, not trained")
        with console.working(f"writing {output}"):
            message = _exported(texts, output)
        console.print(message)
        return DONE
    arpa = any(_is_arpa(path) for path in texts)
    if arpa:
        _refuse_all_but("output", "tokenizer", because="an .arpa file is converted, not trained")
    _check(texts, **choices)
    if arpa:
        with console.working(f"converting {texts[0]}"):
            message = _converted(texts, output, choices["tokenizer"])
        console.print(message)
        return DONE
    return _train(console, texts, output, device, **choices)


def _check(
    texts: tuple[Path, ...],
    dev: tuple[Path, ...],
    without: tuple[Path, ...],
    tokenizer: Path | None,
    recipe: Path | None,
    init: Path | None,
    overrides: tuple[str, ...],
    **_: Any,
) -> None:
    """Refuses what can be refused before torch is loaded."""
    from asr.config import override, read_yaml
    from asr.text import load_tokenizer

    check_corpora(*texts, *dev, *without)
    load_tokenizer(model_folder(tokenizer))
    values = read_yaml(recipe) if recipe is not None else {}
    for setting in overrides:
        override(values, setting)
    if init is not None:
        check_lm_folder(init)


def _refuse_all_but(*names: str, because: str) -> None:
    """Refuses options that would be without effect."""
    every = {option.name or "" for option in click.get_current_context().command.params}
    options.refuse(every - {"texts", "debug", *names}, because)


def _train(
    console: Console,
    texts: tuple[Path, ...],
    output: Path,
    device: str,
    tokenizer: Path | None,
    dev: tuple[Path, ...],
    without: tuple[Path, ...],
    max_time: str | None,
    resume: str,
    init: Path | None,
    **settings: Any,
) -> int:
    with console.working("loading libraries"):
        wanted = _recipe(**settings)
        from asr.config import seconds_of
        from asr.train.lm.run import LMStart, train_lm
        from asr.train.lm.texts import Sources
        from asr.transcribe.devices import chosen_device

        options.leave_cores_free()
    limit = None if max_time is None else seconds_of(max_time)
    outcome = train_lm(
        Sources(texts, dev, without),
        model_folder(tokenizer),
        wanted,
        output,
        LMStart(resume, init, limit),
        chosen_device(device),
    )
    if outcome.ended in ("interrupted", "max_time"):
        console.say("stopped before the end; the same command goes on from here")
    console.print(f"dev: {outcome.measured}\nlanguage model: {outcome.lm}\n")
    return INTERRUPTED if outcome.ended == "interrupted" else DONE


def _recipe(
    recipe: Path | None,
    type: str | None,
    order: int | None,
    join: int | None,
    overrides: tuple[str, ...],
) -> LMRecipe:
    from asr.config import override, parse, read_yaml
    from asr.train.lm.recipe import LMRecipe

    values = read_yaml(recipe) if recipe is not None else {}
    given = [f"lm.type={type}"] if type is not None else []
    given += [f"lm.order={order}"] if order is not None else []
    given += [f"text.join={join}"] if join is not None else []
    for setting in (*given, *overrides):
        override(values, setting)
    return parse(LMRecipe, values, str(recipe or "settings"))


def _measured(folder: Path, texts: tuple[Path, ...]) -> str:
    from asr.lm.folder import load_lm_folder
    from asr.lm.perplexity import perplexity
    from asr.text import TextNormalizer
    from asr.train.lm.texts import encoded_files

    loaded = load_lm_folder(folder)
    normalize = TextNormalizer(loaded.config.normalizer)
    corpus = encoded_files(texts, normalize, loaded.tokenizer)
    words, end = int(corpus.words.sum()), loaded.tokenizer.labels.end
    return f"{perplexity(loaded.lm, corpus.texts(), words, end)}\n"


def _is_arpa(path: Path) -> bool:
    return ".arpa" in path.suffixes[-2:]


def _converted(texts: tuple[Path, ...], output: Path, tokenizer: Path | None) -> str:
    from asr.lm.arpa import read_arpa
    from asr.lm.folder import LMFolderConfig, save_lm_folder
    from asr.lm.ngram import NGramConfig
    from asr.text import load_tokenizer
    from asr.train.lm.run import normalizer_of

    if len(texts) > 1:
        raise click.UsageError("one .arpa file makes a language model; name it alone")
    source = model_folder(tokenizer)
    labels = load_tokenizer(source)
    ngram = read_arpa(texts[0], labels)
    config = LMFolderConfig(
        name=output.name,
        vocabulary=labels.size,
        lm=NGramConfig(order=max(1, len(ngram.levels()) - 2), prune=0.0),
        normalizer=normalizer_of(source),
    )
    save_lm_folder(output / "lm", ngram, labels, config)
    return f"{len(ngram.parents)} n-grams\nlanguage model: {output / 'lm'}\n"


def _exported(folders: tuple[Path, ...], path: Path) -> str:
    if len(folders) > 1:
        raise click.UsageError("an .arpa file holds one language model; name its folder alone")
    if path.suffix != ".arpa":
        raise click.UsageError(f"{path}: name a file that ends in .arpa, and pack it afterwards")
    check_lm_folder(folders[0])
    from asr.lm.arpa import write_arpa
    from asr.lm.folder import load_lm_folder
    from asr.lm.ngram import NGram

    loaded = load_lm_folder(folders[0])
    if not isinstance(loaded.lm, NGram):
        raise ModelError(
            f"{folders[0]}: is of type {loaded.config.lm.type}; only n-gram models can be written "
            "as ARPA: train one with: asr lm TEXT --type ngram -o FOLDER"
        )
    write_arpa(loaded.lm, loaded.tokenizer, path)
    return f"{len(loaded.lm.parents)} n-grams\nARPA file: {path}\n"
