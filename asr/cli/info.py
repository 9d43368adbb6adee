"""`asr info`: what a folder holds, and what it runs on here."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

import asr
from asr.cli import options
from asr.cli.console import DONE, Console
from asr.cli.load import local_model, shown_name
from asr.cli.summary import folder_summary
from asr.strict_json import strict_json


@click.command()
@click.argument(
    "folder", required=False, metavar="[FOLDER]", shell_complete=options.a_folder, type=Path
)
@options.model
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def info(console: Console, folder: Path | None, model: str | None, as_json: bool) -> int:
    """Tell what a model is, and what it runs on here.

    FOLDER is a model in any format, the name of a published one (asr models), which is fetched, a
    language model (of asr lm), a tokenizer, or the folder that asr train wrote to; without it the
    model that ships is described. Models are opened, and every file of them is checked.
    """
    if folder is not None and model is not None:
        raise click.UsageError("FOLDER and --model do not go together; give one of them")
    asked = folder if model is None else Path(model)
    facts: dict[str, Any] = {"model": None}
    try:
        place = local_model(asked)
        with console.working(f"opening {shown_name(asked)}"):
            facts |= folder_summary(place)
    finally:  # what the program runs on is worth knowing above all where a model does not open
        with console.working("looking at what is installed"):
            facts["environment"] = about_environment()
        if as_json:
            console.print(strict_json(facts, indent=2) + "\n")
        else:
            console.print(_written(facts))
    return DONE


def about_environment() -> dict[str, Any]:
    """Versions, and whether torchaudio fits torch (only training needs it)."""
    import torch

    from asr.dependencies import installed, torchaudio_problem

    return {
        "asr": asr.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchaudio": installed("torchaudio"),
        "torchaudio_problem": torchaudio_problem(),
        "devices": ["cpu"]
        + [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
        "cpu_threads": torch.get_num_threads(),
    }


#: What people are told in other words than the keys, or not at all.
_NAMES = {
    "name": "",  # stands above
    "format_version": "",
    "bytes": "size",
    "frame_ms": "a frame is",
    "vocabulary": "labels",
    "chunks": "streams",
    "stream_encodes": "a stream encodes",
    "ctc": "CTC",
    "dev_wer": "word error rate",
    "wer": "word error rate",
    "dev": "on the dev set, while training",
    "facts": "training",
    "confidence": "calibration error of confidence",
    "with_lm": "with language model",
    "without_lm": "without",
    "labels": "the first",
    "cpu_threads": "CPU threads",
    # A model may have been trained in several runs; its folder has the facts of the last one.
    "facts.utterances": "utterances of the last run",
    "facts.hours": "hours of sound of the last run",
    "facts.steps": "steps of the last run",
    "dev.loss": "loss that the last run minimised",
    "dev.ctc": "loss of CTC, in nats a label",
    "dev.attention": "loss of the decoder, in nats a label",
    "dev.intermediate": "loss of CTC in middle layers, in nats a label",
    "dev.accuracy": "labels right, each given the ones before",
}
_WRITTEN: dict[str, Callable[[Any], str]] = {
    "bytes": lambda value: f"{value / 1e6:.1f} MB",
    "sample_rate": lambda value: f"{value:,} Hz",
    "frame_ms": lambda value: f"{value:g} ms",
    "hours": lambda value: f"{value:.1f}",
    "stream_encodes": lambda value: f"each second up to about {value:g} times, as segments grow",
}
_ONLY_IF_THERE = {
    "confidence",
    "torchaudio_problem",
    "language",
    "languages",
    "tasks",
    "fields",
    "origin",
    "revision",
    "stream_encodes",
}
#: Parts of names, between underscores, of shares: people think of those in per cent.
_SHARES = {"wer", "accuracy", "confidence"}
#: Options of the search that a user can give, and what they are where nothing is done.
_OFF = {
    "beam": None,
    "ctc_weight": None,
    "lm_weight": 0,
    "ilm_weight": 0,
    "length_reward": 0,
    "hotword_weight": None,
}


def _written(facts: Mapping[str, Any]) -> str:
    """All parts, each under its name."""
    parts = []
    for kind, values in facts.items():
        if values:
            rows = list(_rows(values))
            width = max(len(name) for name, _ in rows) + 2
            name = values.get("name")
            title = f"{kind.replace('_', ' ')} {name}" if name else kind.replace("_", " ")
            lines = [f"  {label:{width}}{text}".rstrip() for label, text in rows]
            parts.append("\n".join([title, *lines, ""]))
    return "\n".join(parts)


def _rows(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """A name and what is told of it, for each line; what belongs to a name is set in below it."""
    for key, value in values.items():
        name = _NAMES.get(f"{above}.{key}", _NAMES.get(key, key.replace("_", " ")))
        if name == "" or value == {} or (value is None and key in _ONLY_IF_THERE):
            continue
        if key == "search":
            yield name, _options(value)
        elif isinstance(value, Mapping):
            yield name, ""
            for inner, text in _rows(value, key):
                yield f"  {inner}", text
        else:
            yield name, _value(key, value, above)


def _options(search: Mapping[str, Any]) -> str:
    """What decides the search, as the options of the commands that change it."""
    changed = [
        f"--{name.replace('_', '-')} {search[name]:g}"
        for name, off in _OFF.items()
        if name in search and search[name] != off
    ]
    return " ".join(changed) or "as usual"


def _value(key: str, value: Any, above: str) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key in _WRITTEN:
        return _WRITTEN[key](value)
    if isinstance(value, float) and not _SHARES.isdisjoint(f"{above}_{key}".split("_")):
        return f"{100 * value:.1f} %"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.10g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
