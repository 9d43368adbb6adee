"""Where a Whisper checkpoint comes from, as far as its files show it."""

from __future__ import annotations

import re
from pathlib import Path

from asr.hub.fetch import repository_of
from asr.hub.published import published
from asr.model.folder import Origin
from asr.model.whisper.checkpoint import WhisperCheckpoint
from asr.model.whisper.files import MODEL_BIN

README = "README.md"


def origin_of(path: Path, checkpoint: WhisperCheckpoint) -> Origin:
    """The origin of a checkpoint, of which `path` is the file or the folder."""
    fetched = repository_of(path)
    source, revision = fetched if fetched is not None else (model_name(path), None)
    known = published(source) if fetched is not None else None
    if path.is_file():
        format = "OpenAI"
    else:
        format = "CTranslate2" if (path / MODEL_BIN).is_file() else "Hugging Face"
    stored = checkpoint.integers or checkpoint.weights["decoder.embedding.weight"].dtype
    return Origin(
        source=source,
        revision=revision,
        format=format,
        weights=str(stored).removeprefix("torch."),
        licence=known.licence if known is not None else _stated_licence(path),
    )


def model_name(path: Path) -> str:
    """What a model is called: as its file or folder, or its repository in the hub's cache."""
    fetched = repository_of(path)
    if fetched is not None:
        return fetched[0].rpartition("/")[2]
    return path.resolve().stem if path.is_file() else path.resolve().name


def _stated_licence(folder: Path) -> str | None:
    """The licence that the card in a folder states in its first lines, as cards at the hub do."""
    try:
        card = (folder / README).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    header = re.match(r"---\n(.*?)\n---", card, re.DOTALL)
    stated = re.search(r"^license: *([\w.+-]+) *$", header[1], re.MULTILINE) if header else None
    return stated[1] if stated else None
