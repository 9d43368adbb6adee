"""`asr info`: what a model is, and what it runs on here."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import click

import asr
from asr.cli.console import DONE, Console


@click.command()
@click.argument("model", required=False, metavar="[MODEL]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def info(console: Console, model: str | None, as_json: bool) -> int:
    """Tell what a model is, and what it runs on here.

    MODEL is a model folder; without it the model that ships is described.
    """
    facts: dict[str, Any] = {"model": None, "environment": about_environment()}
    try:
        facts["model"] = about_model(model)
    finally:  # what the program runs on is worth knowing above all where a model does not open
        if as_json:
            console.print(json.dumps(facts, ensure_ascii=False, indent=2) + "\n")
        else:
            console.print("\n".join(_table(part) for part in facts.values() if part))
    return DONE


def about_model(path: str | None) -> dict[str, Any]:
    """Figures of a model folder, which is opened and checked whole.

    Raises:
        ModelError: it is not a model folder, or damaged.
    """
    from asr.folders import model_folder
    from asr.transcribe.recognizer import load_model

    folder = model_folder(path)
    recognizer = load_model(folder, "cpu")
    speech, config = recognizer.model, recognizer.config
    encoder, decoder = config.model.encoder, config.model.decoder
    return {
        "name": config.name,
        "folder": str(folder),
        "format_version": config.format_version,
        "parameters": sum(weights.numel() for weights in speech.parameters()),
        "bytes": sum(path.stat().st_size for path in _files(folder)),
        "sample_rate": recognizer.sample_rate,
        "frame_ms": round(recognizer.frame_seconds * 1000, 3),
        "vocabulary": config.vocabulary,
        "encoder": encoder.type,
        "decoder": decoder.type if decoder else None,
        "ctc": speech.ctc is not None,
        "chunks": can_stream(recognizer),
        "search": recognizer.search.model_dump(),
        "language_model": about_lm(recognizer.lm),
        "confidence": about_confidence(recognizer.confidence),
        "facts": config.facts,
    }


def about_lm(lm: Any) -> str | None:
    """The language model that the model folder carries, in words."""
    if lm is None:
        return None
    count = sum(one.numel() for one in lm.lm.state_dict().values())
    word = lm.config.facts.get("dev_perplexity_word")
    told = f", perplexity {word} a word" if word is not None else ""
    return f"{lm.config.name} ({lm.config.lm.type}, {count / 1e6:.1f} million numbers{told})"


def about_confidence(maps: Any) -> str | None:
    """What the confidence of words was measured to be worth; None where they have none."""
    known = maps.model_dump() if maps else {}
    told = [
        f"calibration error {one['facts'].get('ece', 'not known')} {name.replace('_', ' ')}"
        for name, one in known.items()
        if isinstance(one, dict)
    ]
    return ", ".join(told) or None


def can_stream(recognizer: Any) -> bool:
    """Whether the encoder can work on chunks, as streams need it to."""
    from asr.errors import ModelError
    from asr.model import ChunkContext

    try:
        recognizer.model.encoder.initial_state(1, ChunkContext(chunk=16, left=16))
    except ModelError:
        return False
    return True


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


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _table(facts: dict[str, Any]) -> str:
    width = max(len(name) for name in facts) + 2
    return "".join(f"{_name(name):{width}}{_value(name, value)}\n" for name, value in facts.items())


def _name(key: str) -> str:
    return key.replace("_", " ")


def _value(key: str, value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key == "bytes":
        return f"{value / 1e6:.1f} MB"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        told = (f"{name} {part}" for name, part in value.items() if part is not None)
        return ", ".join(told) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
