"""What decides a search: the model's saved options, those of its language model, and the call's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asr.config import parse
from asr.errors import ConfigError, ModelError
from asr.folders import CONFIG
from asr.lm import LoadedLM, check_same_labels, load_lm_folder
from asr.model.folder import LoadedModel
from asr.search import SearchConfig, fitting
from asr.transcribe.words.confidence import VERSION, ConfidenceMaps

#: Where a model folder carries the language model that goes with it.
OWN_LM = "lm"
#: What hypotheses are chosen for; confidence is fitted with those that are saved.
WEIGHTS = ("ctc_weight", "lm_weight", "ilm_weight", "length_reward")


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
    """What tells how sure words are, where the model has it.

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


def unfitted(usual: SearchConfig, asked: Mapping[str, Any]) -> str:
    """What is asked for that maps of confidence were not fitted with; "" where nothing is.

    A map is fitted with the weights that are saved with the model. Weights decide what hypotheses
    are chosen for, so with others it says too much or too little; beam, hotwords and chunks hardly
    matter (docs/evaluation.md).
    """
    known = usual.model_dump(include=set(WEIGHTS))
    return ", ".join(
        f"{name} {asked[name]:g} instead of {known[name]:g}"
        for name in WEIGHTS
        if asked.get(name) is not None and asked[name] != known[name]
    )


def asked_search(
    defaults: SearchConfig, loaded: LoadedModel, lm: LoadedLM | None, asked: Mapping[str, Any]
) -> SearchConfig:
    """`defaults` with what was `asked` for (None: nothing was) in place of them.

    Raises:
        ConfigError: an option is out of range, or needs a language model.
        ModelError: the model cannot do what was asked.
    """
    given = {name: value for name, value in asked.items() if value is not None}
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
    if loaded.model.decoder is None and config.ilm_weight:
        raise ModelError(f"model '{name}' has no decoder: ilm_weight must be 0")
    return config
