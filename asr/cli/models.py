"""`asr models`: the published models that can be had by name."""

from __future__ import annotations

from typing import Any

import click

from asr.cli.console import Console
from asr.cli.tables import table
from asr.hub.fetch import available, cache_folder, cached
from asr.hub.published import PUBLISHED, PublishedModel
from asr.strict_json import strict_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def models(console: Console, as_json: bool) -> None:
    """List the published models that can be had by name, as -m whisper-base.en.

    Such a model is fetched when it is named, if it is not here yet, and only then. A folder of that
    name in the working directory stands before it. This command fetches nothing.
    """
    if as_json:
        values = {"cache": _cache(), "models": [_values(model) for model in PUBLISHED]}
        console.print(strict_json(values, indent=2) + "\n")
    else:
        console.print(_listed())


def _cache() -> str | None:
    return str(cache_folder()) if available() else None


def _values(model: PublishedModel) -> dict[str, Any]:
    """What is known of a model, in JSON."""
    rates = model.librispeech
    folder = cached(model)
    return {
        "name": model.name,
        "repository": model.repository,
        "revision": model.revision,
        "parameters": model.parameters,
        "download_bytes": model.download_bytes,
        "languages": model.languages,
        "licence": model.licence,
        "librispeech_wer": None
        if rates is None
        else {"test-clean": rates[0] / 100, "test-other": rates[1] / 100, "source": rates[2]},
        "folder": None if folder is None else str(folder),
    }


def _listed() -> str:
    """The models for people."""
    rows = [
        (
            model.name,
            f"{model.parameters / 1e6:,.0f} M",
            f"{model.download_bytes / 1e6:,.0f} MB",
            "English" if model.languages == 1 else f"{model.languages}",
            model.licence,
            *_rates(model),
            "yes" if cached(model) else "",
        )
        for model in PUBLISHED
    ]
    head = (
        "name", "parameters", "download", "languages", "licence<", "WER clean", "WER other", "here",
    )  # fmt: skip
    sources = dict.fromkeys(model.librispeech[2] for model in PUBLISHED if model.librispeech)
    cache = _cache()
    lines = [
        "",
        "WER: published, LibriSpeech test-clean and test-other, in per cent; sources:",
        *(f"  {source}: {', '.join(_with_rates_of(source))}" for source in sources),
        f"cache: {cache}"
        if cache is not None
        else "to fetch models, install huggingface_hub: pip install 'asr[hub]'",
    ]
    return table("published models", head, rows) + "\n".join([*lines, ""])


def _rates(model: PublishedModel) -> tuple[str, str]:
    if model.librispeech is None:
        return "", ""
    return f"{model.librispeech[0]:.1f}", f"{model.librispeech[1]:.1f}"


def _with_rates_of(source: str) -> list[str]:
    return [one.name for one in PUBLISHED if one.librispeech and one.librispeech[2] == source]
