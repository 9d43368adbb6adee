"""Facts about each kind of folder that this package writes, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from asr.folders import CONFIG, check_model_folder, foreign_kind, model_folder

#: What holds the labels, in every folder that has some, and what they are.
TOKENIZERS = {
    "tokenizer.model": "pieces",
    "tokenizer.json": "characters",
    "whisper_tokenizer.json": "bytes",
}


def folder_summary(path: Path | None) -> dict[str, dict[str, Any]]:
    """The facts of a folder, under the name of its kind.

    A model, a language model and a tokenizer are opened and checked whole. The folder of a training
    run stands for what it has made, if it has made it yet.

    Args:
        path: None is the model that ships.

    Raises:
        ModelError: it is no such folder, or damaged.
    """
    folder = model_folder(path)
    for inner in (folder, folder / "model", folder / "lm"):
        if (inner / CONFIG).is_file():
            if _is_lm(inner):
                return {"language_model": lm_summary(inner)}
            return {"model": model_summary(inner)}
    if foreign_kind(folder):
        return {"model": model_summary(folder)}
    if any((folder / name).is_file() for name in TOKENIZERS):
        return {"tokenizer": tokenizer_summary(folder)}
    if (folder / "checkpoints").is_dir():
        return {"run": run_summary(folder)}
    check_model_folder(folder)
    raise AssertionError(f"{folder} has no {CONFIG}")


def _is_lm(folder: Path) -> bool:
    """Whether a folder with a config.yaml is a language model's."""
    from asr.config import read_yaml
    from asr.errors import ConfigError

    try:
        return "lm" in read_yaml(folder / CONFIG)
    except ConfigError:
        return False  # opening it says what is wrong with it


def model_summary(folder: Path) -> dict[str, Any]:
    """Figures of a model folder.

    Raises:
        ModelError: it is damaged.
    """
    from asr.text.languages import LANGUAGE, TASK
    from asr.transcribe.recognizer import load_model
    from asr.transcribe.streams.chunk_encoder import can_stream
    from asr.transcribe.streams.reencoded_segment import ENCODED_PER_SECOND

    recognizer = load_model(folder, "cpu")
    speech, config = recognizer.model, recognizer.config
    encoder, decoder = config.model.encoder, config.model.decoder
    fields = recognizer.tokenizer.prompt_fields
    choices = {name: list(values) for name, values in fields.labels.items()} if fields else {}
    languages, tasks = choices.pop(LANGUAGE, None), choices.pop(TASK, None)
    return {
        "name": config.name,
        "folder": str(folder),
        "kind": config.kind,
        "format_version": config.format_version,
        "origin": _origin(config.origin),
        "parameters": sum(weights.numel() for weights in speech.parameters()),
        "bytes": _bytes(folder),
        "sample_rate": recognizer.sample_rate,
        "frame_ms": round(recognizer.frame_seconds * 1000, 3),
        "vocabulary": config.vocabulary,
        "language": None if languages else config.normalizer.language,
        "languages": languages,
        "tasks": tasks,
        "fields": choices or None,
        "encoder": encoder.type,
        "decoder": decoder.type if decoder else None,
        "ctc": speech.ctc is not None,
        "chunks": (streams := can_stream(speech)),
        "stream_encodes": None if streams else ENCODED_PER_SECOND,
        "search": recognizer.search.model_dump(),
        "language_model": _named(recognizer.lm) if recognizer.lm else None,
        "confidence": _about_confidence(recognizer.confidence),
        "facts": config.facts,
    }


def _origin(origin: Any) -> dict[str, Any] | None:
    """Where a model comes from that was not trained here."""
    if origin is None:
        return None
    values: dict[str, Any] = origin.model_dump()
    return values | {"licence": origin.licence or "not stated"}


def lm_summary(folder: Path) -> dict[str, Any]:
    """Figures of the folder of a language model.

    Raises:
        ModelError: it is damaged.
    """
    from asr.lm import load_lm_folder

    loaded = load_lm_folder(folder)
    config = loaded.config
    return {
        "name": config.name,
        "folder": str(folder),
        "format_version": config.format_version,
        "type": config.lm.type,
        "settings": config.lm.model_dump(mode="json", exclude={"type"}),
        "numbers": _numbers(loaded),
        "bytes": _bytes(folder),
        "vocabulary": config.vocabulary,
        "language": config.normalizer.language,
        "search": config.search,
        "facts": config.facts,
    }


def tokenizer_summary(folder: Path) -> dict[str, Any]:
    """Figures of a tokenizer's folder.

    Raises:
        ModelError: it is damaged.
    """
    from asr.text import load_tokenizer

    tokenizer = load_tokenizer(folder)
    forbidden = tokenizer.labels.forbidden
    first = islice((n for n in range(tokenizer.size) if n not in forbidden), 20)
    return {
        "folder": str(folder),
        "type": next(kind for name, kind in TOKENIZERS.items() if (folder / name).is_file()),
        "vocabulary": tokenizer.size,
        "labels": [tokenizer.piece(label) for label in first],
    }


def run_summary(folder: Path) -> dict[str, Any]:
    """How far a training run has come that has made no model yet."""
    from asr.train.report.log import read_log

    last: dict[str, str] = {}
    for row in read_log(folder / "training" / "log.csv"):
        last |= {f"{row['kind']}_{name}": value for name, value in row.items() if value}
    kept = ("train_step", "train_epoch", "train_audio_hours", "train_loss", "dev_loss", "dev_wer")
    figures = {name: round(float(last[name]), 4) for name in kept if name in last}
    return {
        "folder": str(folder),
        **{name.removeprefix("train_"): value for name, value in figures.items()},
    }


def _named(lm: Any) -> str:
    """The language model that a model folder carries, in words."""
    word = lm.config.facts.get("dev_perplexity_word")
    perplexity = f", perplexity {word} a word" if word is not None else ""
    size = f"{_numbers(lm) / 1e6:.1f} million numbers"
    return f"{lm.config.name} ({lm.config.lm.type}, {size}{perplexity})"


def _numbers(lm: Any) -> int:
    return sum(entry.numel() for entry in lm.lm.state_dict().values())


def _about_confidence(maps: Any) -> dict[str, float] | None:
    """The calibration error that was measured, by what the map is for; None where there is none."""
    known: Mapping[str, Any] = maps.model_dump() if maps else {}
    return {
        name: entry["facts"]["ece"]
        for name, entry in known.items()
        if isinstance(entry, dict) and "ece" in entry["facts"]
    } or None


def _bytes(folder: Path) -> int:
    files = [folder] if folder.is_file() else folder.rglob("*")
    return sum(path.stat().st_size for path in files if path.is_file())
