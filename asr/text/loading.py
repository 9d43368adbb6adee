"""Loading a tokenizer from a model folder."""

from __future__ import annotations

from pathlib import Path

from asr.errors import ModelError
from asr.text.characters import CHARACTER_FILE, parse_characters
from asr.text.config import TokenizerConfig
from asr.text.pieces import PIECE_FILE, parse_pieces
from asr.text.prompts import PROMPT_FILE, parse_prompts
from asr.text.tokenizer import Tokenizer
from asr.text.whisper import WHISPER_FILE, parse_whisper_tokenizer


def load_tokenizer(folder: str | Path, config: TokenizerConfig | None = None) -> Tokenizer:
    """Reads the tokenizer of `folder`.

    That is `tokenizer.model` (SentencePiece), `tokenizer.json` (characters) or
    `whisper_tokenizer.json` (Whisper's byte-level BPE), and beside it perhaps
    `prompt_fields.json`, which adds labels for the values of prompt fields.

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
    tokenizer = _parsed(existing[0], config or TokenizerConfig())
    prompts = Path(folder) / PROMPT_FILE
    return parse_prompts(_content(prompts), prompts, tokenizer) if prompts.exists() else tokenizer


def _parsed(path: Path, config: TokenizerConfig) -> Tokenizer:
    content = _content(path)
    if path.name == CHARACTER_FILE:
        return parse_characters(content, path)
    if path.name == WHISPER_FILE:
        return parse_whisper_tokenizer(content, path)
    return parse_pieces(content, path, config)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from error
