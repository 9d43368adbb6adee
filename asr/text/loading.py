"""Loading a tokenizer from a model folder."""

from __future__ import annotations

from pathlib import Path

from asr.errors import ModelError
from asr.text.characters import CHARACTER_FILE, parse_characters
from asr.text.config import TokenizerConfig
from asr.text.pieces import PIECE_FILE, parse_pieces
from asr.text.tokenizer import Tokenizer
from asr.text.whisper import WHISPER_FILE, parse_whisper_tokenizer


def load_tokenizer(folder: str | Path, config: TokenizerConfig | None = None) -> Tokenizer:
    """Reads the tokenizer of `folder`.

    That is `tokenizer.model` (SentencePiece), `tokenizer.json` (characters) or
    `whisper_tokenizer.json` (Whisper's byte-level BPE).

    Args:
        folder: a model folder, or what `train_tokenizer` wrote.
        config: how `encode` samples; only its `sample_` keys are read.

    Raises:
        ModelError: there is none, or several, or the file is damaged or of another kind.
    """
    paths = [Path(folder) / name for name in (PIECE_FILE, CHARACTER_FILE, WHISPER_FILE)]
    existing = [path for path in paths if path.exists()]
    if len(existing) != 1:
        names = f"{PIECE_FILE}, {CHARACTER_FILE} or {WHISPER_FILE}"
        problem = "has several of" if existing else "has no"
        raise ModelError(f"{folder}: {problem} {names}; a tokenizer is exactly one of them")
    try:
        content = existing[0].read_bytes()
    except OSError as error:
        raise ModelError(f"{existing[0]}: cannot be read ({error.strerror or error})") from error
    if existing[0].name == CHARACTER_FILE:
        return parse_characters(content, existing[0])
    if existing[0].name == WHISPER_FILE:
        return parse_whisper_tokenizer(content, existing[0])
    return parse_pieces(content, existing[0], config or TokenizerConfig())
