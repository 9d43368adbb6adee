"""`asr tokenizer`: train a tokenizer from texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asr.cli import options
from asr.cli.console import Console

if TYPE_CHECKING:
    from asr.text import NormalizerConfig, Tokenizer, TokenizerConfig

_EXAMPLE_CHARACTERS = 80


@click.command()
@click.argument(
    "inputs", nargs=-1, required=True, metavar="INPUT...", type=click.Path(path_type=Path)
)
@options.output_folder("Where tokenizer.model (or tokenizer.json) goes.")
@click.option("--type", metavar="unigram|bpe|char", help="Kind of labels.  [default: unigram]")
@click.option(
    "--size",
    type=int,
    metavar="N",
    help="Number of labels; of characters the most there may be.  [default: 1000]",
)
@click.option(
    "--character-coverage",
    type=float,
    metavar="C",
    help="Share of the characters that must be writable.  [default: 1]",
)
@click.option(
    "--config",
    "recipe",
    metavar="YAML",
    type=click.Path(path_type=Path),
    help="Take the sections `tokenizer` and `normalizer` of this file (a recipe will do).",
)
@click.option("--no-normalize", is_flag=True, help="Take the texts as they are.")
@click.pass_obj
def tokenizer(
    console: Console,
    inputs: tuple[Path, ...],
    output: Path,
    recipe: Path | None,
    no_normalize: bool,
    **given: Any,
) -> None:
    """Train a tokenizer from texts.

    INPUT is a text file with a sentence a line, or a JSON-lines manifest (.jsonl) with `text`;
    either may be packed (.gz, .xz, .bz2). Texts are normalised as in training. The same texts and
    options give the same tokenizer.
    """
    from asr.atomic import check_writable
    from asr.text import TextNormalizer, train_tokenizer
    from asr.text.reading import read_texts

    config, normalizer_config = _configs(recipe, given)
    check_writable(output)
    raw = (text for path in inputs for text in read_texts(path))
    if no_normalize:
        texts = [" ".join(text.split()) for text in raw]
    else:
        texts = list(map(TextNormalizer(normalizer_config), raw))
    trained = train_tokenizer(texts, config, output)
    console.print(_report(trained, config.type, texts))


def _configs(
    recipe: Path | None, given: dict[str, Any]
) -> tuple[TokenizerConfig, NormalizerConfig]:
    """The configurations in `recipe`, with what was `given` as options on top."""
    from asr.config import parse
    from asr.text import NormalizerConfig, TokenizerConfig

    sections = _sections(recipe) if recipe else {}
    source = f"{recipe}: " if recipe else ""
    chosen = {key: value for key, value in given.items() if value is not None}
    values = {**sections.get("tokenizer", {}), **chosen}
    return (
        parse(TokenizerConfig, values, f"{source}tokenizer"),
        parse(NormalizerConfig, sections.get("normalizer", {}), f"{source}normalizer"),
    )


def _sections(recipe: Path) -> dict[str, dict[str, Any]]:
    from asr.config import read_yaml
    from asr.errors import ConfigError

    sections = read_yaml(recipe)
    chosen: dict[str, Any] = {
        key: sections[key] for key in ("tokenizer", "normalizer") if key in sections
    }
    if not chosen or not all(isinstance(section, dict) for section in chosen.values()):
        raise ConfigError(
            f"{recipe}: needs a section 'tokenizer' or 'normalizer' with keys and values"
        )
    return chosen


def _report(trained: Tokenizer, kind: str, texts: list[str]) -> str:
    """What was trained, what it cannot write, and an example."""
    from collections import Counter

    written = [text for text in texts if text]
    unknown: Counter[str] = Counter()
    labels = words = 0
    for text in written:
        unknown.update(trained.unknown(text))
        labels += len(trained.encode(text))
        words += text.count(" ") + 1
    example = next((text for text in written if len(text) > _EXAMPLE_CHARACTERS // 2), written[0])[
        :_EXAMPLE_CHARACTERS
    ]
    lines = [
        f"labels      {trained.size} ({kind})",
        f"texts       {len(written)}, and {len(texts) - len(written)} empty ones left out",
        f"words       {words}, {labels / words:.2f} labels each",
        f"not written {_listed(unknown)}",
        f"example     {' '.join(map(trained.piece, trained.encode(example)))}",
    ]
    return "\n".join(lines) + "\n"


def _listed(unknown: dict[str, int]) -> str:
    if not unknown:
        return "nothing"
    most = sorted(unknown.items(), key=lambda item: -item[1])
    listing = ", ".join(f"{character!r} {count}" for character, count in most[:10])
    return f"{len(most)} characters: {listing}{' ...' if len(most) > 10 else ''}"
