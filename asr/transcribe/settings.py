"""The settings of a search: those saved with a model and its language model, and a call's."""

from __future__ import annotations

import os
from pathlib import Path

from asr.config import parse
from asr.errors import ConfigError, ModelError
from asr.folders import CONFIG
from asr.lm import LoadedLM, check_same_labels, load_lm_folder
from asr.model import ChunkContext
from asr.model.folder import LoadedModel
from asr.search import SearchConfig, fitting
from asr.transcribe.options import TranscribeOptions
from asr.transcribe.words.confidence import VERSION, ConfidenceMaps

#: Where a model folder carries the language model that goes with it.
OWN_LM = "lm"
#: What hypotheses are chosen for; confidence is fitted with those that are saved.
WEIGHTS = ("ctc_weight", "lm_weight", "ilm_weight", "length_reward")
#: How much of the past a chunk sees by default, in milliseconds; rounded to whole frames.
LEFT_MS = 5120.0

_SEARCH_OPTIONS = SearchConfig.model_fields.keys() & TranscribeOptions.model_fields.keys()


def language_model(
    loaded: LoadedModel, lm: str | os.PathLike[str] | bool | None
) -> LoadedLM | None:
    """Opens the language model that goes with a model.

    Args:
        lm: its folder; None and True take the one inside the model folder (where None finds
            nothing there, there is none), False takes none.

    Raises:
        ModelError: the folder is missing or damaged, or its labels are not the model's.
    """
    if lm is False:
        return None
    folder = loaded.folder / OWN_LM if lm is None or lm is True else Path(lm)
    if lm is None and not (folder / CONFIG).is_file():
        return None
    opened = load_lm_folder(folder)
    check_same_labels(
        loaded.tokenizer, opened.tokenizer, f"model '{loaded.config.name}'", str(folder)
    )
    return opened


def confidence_map(loaded: LoadedModel) -> ConfidenceMaps | None:
    """The map from evidence to the confidence of words, None where the model has none.

    Raises:
        ModelError: what is saved is wrong, or newer than this program.
    """
    values = loaded.config.confidence
    if not values:
        return None
    version = values.get("version")
    if isinstance(version, int) and version > VERSION:
        raise ModelError(
            f"{loaded.folder}: its confidence map has version {version}, newer than this program "
            f"understands ({VERSION}); upgrade asr, or fit one with: asr calibrate"
        )
    try:
        return parse(ConfidenceMaps, values, f"{loaded.folder}: confidence")
    except ConfigError as error:
        raise ModelError(str(error)) from None


def default_search(loaded: LoadedModel, lm: LoadedLM | None) -> SearchConfig:
    """The search that is saved with the model, as far as the model can do it.

    What is saved with the language model stands over it: the weights were chosen together.

    Raises:
        ModelError: what is saved is wrong.
    """
    values = dict(loaded.config.search)
    try:
        saved = parse(SearchConfig, values, f"{loaded.folder}: search")
        if lm is not None:
            saved = parse(SearchConfig, values | lm.config.search, f"{lm.folder}: search")
    except ConfigError as error:
        raise ModelError(str(error)) from None
    return fitting(saved, loaded.model, lm.lm if lm is not None else None)


def unfitted_weights(usual: SearchConfig, options: TranscribeOptions) -> str:
    """The weights that the maps of confidence were not fitted with; "" where there are none.

    A map is fitted with the weights that are saved with the model. Weights decide which hypotheses
    win, so with others confidence is too high or too low; beam, hotwords and chunks hardly matter
    (docs/evaluation.md).
    """
    saved, given = usual.model_dump(include=set(WEIGHTS)), options.given
    return ", ".join(
        f"{name} {given[name]:g} instead of {saved[name]:g}"
        for name in WEIGHTS
        if name in given and given[name] != saved[name]
    )


def search_config(
    defaults: SearchConfig, loaded: LoadedModel, lm: LoadedLM | None, options: TranscribeOptions
) -> SearchConfig:
    """`defaults` with the options that are given in their place.

    Raises:
        ConfigError: options do not go together, or need a language model.
        ModelError: the model lacks the part that an option needs.
    """
    given = {name: value for name, value in options.given.items() if name in _SEARCH_OPTIONS}
    config = parse(SearchConfig, defaults.model_dump() | given, "search options")
    name = loaded.config.name
    if loaded.model.decoder is None and config.ctc_weight < 1:
        raise ModelError(f"model '{name}' has no decoder: ctc_weight must be 1")
    if loaded.model.ctc is None and config.ctc_weight > 0:
        raise ModelError(f"model '{name}' was trained without CTC: ctc_weight must be 0")
    if lm is None and (config.lm_weight or config.ilm_weight):
        raise ConfigError(
            "lm_weight and ilm_weight need a language model, and there is none here: name one "
            "(--lm FOLDER, or load_model(..., lm='FOLDER'))"
        )
    if lm is not None and not config.lm_weight and "lm_weight" not in lm.config.search | given:
        raise ConfigError(
            f"model '{name}' has no weight for language model {lm.folder}: give one that was "
            "measured (--lm-weight, or lm_weight=), or save it with the language model "
            "(tools/tune_search.py --write); use none with --no-lm (lm=False)"
        )
    if options.timestamps and lm is not None and config.lm_weight:
        raise ConfigError(
            "timestamps and a language model do not go together, which knows text only: leave "
            "timestamps out, or use none (--no-lm, or load_model(..., lm=False))"
        )
    if loaded.model.decoder is None and config.ilm_weight:
        raise ModelError(f"model '{name}' has no decoder: ilm_weight must be 0")
    return config


def chunk_context(frame_seconds: float, chunk_ms: float, left_ms: float | None) -> ChunkContext:
    """The context of chunks of `chunk_ms` that see `left_ms` of the past (None: about 5 s).

    Args:
        frame_seconds: length of one frame of the encoder.

    Raises:
        ConfigError: a length is not a multiple of the frame, or too short.
    """
    left = LEFT_MS // (1000 * frame_seconds)
    if left_ms is not None:
        left = _frames(frame_seconds, "left_ms", left_ms, 0)
    return ChunkContext(_frames(frame_seconds, "chunk_ms", chunk_ms, 1), int(left))


def _frames(frame_seconds: float, option: str, milliseconds: float, least: int) -> int:
    """`milliseconds` as whole frames of the encoder."""
    frame_ms = frame_seconds * 1000
    frames = milliseconds / frame_ms
    nearest = max(least, round(frames))
    if not abs(frames - nearest) < 1e-6:
        raise ConfigError(
            f"{option} must be a multiple of {frame_ms:g} (one frame of this model) and at "
            f"least {least * frame_ms:g}, got {milliseconds:g}; the nearest is "
            f"{nearest * frame_ms:g}"
        )
    return nearest
