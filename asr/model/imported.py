"""Models in other formats as model folders of the kind that this package trains."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import torch
from torch import nn

from asr.errors import ModelError
from asr.folders import DEFAULT_KIND, use_lines
from asr.model.folder import (
    FolderConfig,
    LoadedModel,
    Origin,
    load_model_folder,
    read_folder_config,
    save_model_folder,
)
from asr.model.speech_model import SpeechModel
from asr.model.weights import DTYPES, StoredDtype
from asr.text.languages import TASK

#: By owner and licence, the notice that goes with copies of the weights.
_NOTICES = {
    ("openai", "MIT"): "Copyright (c) 2022 OpenAI",
}


def import_model(source: Path, folder: Path) -> FolderConfig:
    """Writes a model in another format as a model folder; it opens without libraries of the format.

    Weights keep the type that they are stored in; integers become float32. The whole folder
    appears at once, and takes the place of one that is there.

    Args:
        source: what `load_model_folder` opens, of another kind than `asr`.

    Returns:
        the configuration of the model folder.

    Raises:
        ModelError: the source cannot be opened, or is a model folder of kind `asr` already.
        DependencyError: see `load_whisper`.
        OutputError: the folder cannot be written.
    """
    loaded = load_model_folder(source, "stored")
    config, model = loaded.config, loaded.model
    if config.kind == DEFAULT_KIND or not isinstance(model, SpeechModel):
        raise ModelError(f"{source}: is a model folder already; there is nothing to import")
    dtype = _stored_dtype(model)
    save_model_folder(
        folder,
        model,
        loaded.tokenizer,
        name=config.name,
        normalizer=config.normalizer,
        origin=config.origin,
        card=_card(loaded, dtype, folder),
        search=config.search,
        facts=config.facts,
        dtype=dtype,
    )
    return read_folder_config(folder)


def _stored_dtype(model: nn.Module) -> StoredDtype:
    """The narrowest type that holds all weights."""
    widest = reduce(torch.promote_types, {weights.dtype for weights in model.parameters()})
    return next(name for name, dtype in DTYPES.items() if dtype == widest)


def _card(loaded: LoadedModel, dtype: StoredDtype, folder: Path) -> str:
    """The card as Markdown."""
    config, fields = loaded.config, loaded.tokenizer.prompt_fields
    count = sum(weights.numel() for weights in loaded.model.parameters())
    encoder, decoder = config.model.encoder, config.model.decoder
    lines = [
        f"# {config.name}",
        "",
        f"A speech recognition model of {count / 1e6:.1f} million parameters and "
        f"{config.vocabulary} labels, for audio at {config.model.frontend.sample_rate} Hz: encoder "
        f"{encoder.type}, decoder {decoder.type if decoder else 'none'}. It was not trained with "
        "this toolkit.",
        "",
        *use_lines(folder),
        "## Languages",
        "",
        "English."
        if fields is None
        else f"{', '.join(fields.languages)} (tasks: {', '.join(fields.labels[TASK])}).",
        "",
    ]
    return "\n".join([*lines, *(origin_lines(config.origin, dtype) if config.origin else [])])


def origin_lines(origin: Origin, dtype: StoredDtype) -> list[str]:
    """The lines of a card about where a model comes from, and its licence."""
    at = f", revision {origin.revision}" if origin.revision else ""
    became = "" if origin.weights == dtype else f", {dtype} here"
    lines = [
        "## Origin",
        "",
        f"{origin.source}{at}; files of {origin.format}, weights in {origin.weights}{became}.",
        "",
        "## Licence",
        "",
        origin.licence or "Its files do not state one: see where you have the model from.",
        "",
    ]
    notice = _NOTICES.get((origin.source.partition("/")[0], origin.licence or ""))
    return [*lines, f"{notice}. {_MIT}", ""] if notice else lines


_MIT = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software "
    'and associated documentation files (the "Software"), to deal in the Software without '
    "restriction, including without limitation the rights to use, copy, modify, merge, publish, "
    "distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the "
    "Software is furnished to do so, subject to the following conditions: The above copyright "
    "notice and this permission notice shall be included in all copies or substantial portions of "
    'the Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR '
    "IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A "
    "PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE "
    "LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR "
    "OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER "
    "DEALINGS IN THE SOFTWARE."
)
