"""Training a tokenizer from text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from asr.errors import ManifestError
from asr.text.characters import train_characters
from asr.text.config import TokenizerConfig
from asr.text.pieces import train_pieces
from asr.text.tokenizer import WORD_MARK, Tokenizer

#: SentencePiece leaves out lines that hold this character without saying so.
_RESERVED = "\u2585"


def train_tokenizer(texts: Iterable[str], config: TokenizerConfig, folder: str | Path) -> Tokenizer:
    """Trains a tokenizer on normalised texts and saves it in `folder`.

    The same texts and configuration give the same file, byte for byte. Empty texts teach nothing
    and are passed over.

    Raises:
        ManifestError: there is no text, or it holds a character that a tokenizer needs itself.
        ConfigError: `config.size` does not fit the text; the message has a size that does.
        OutputError: the file cannot be written.
    """
    lines = [line for text in texts if (line := " ".join(text.split()))]
    if not lines:
        raise ManifestError("tokenizer: there is no text to train on; every line is empty")
    for line in lines:
        if WORD_MARK in line or _RESERVED in line:
            raise ManifestError(
                f"tokenizer: the text {line[:60]!r} has the character {WORD_MARK} or {_RESERVED}, "
                "which stand for a space and for the unknown inside the tokenizer; remove them "
                "(the normaliser does)"
            )
    tokenizer: Tokenizer
    if config.type == "char":
        tokenizer = train_characters(lines, config)
    else:
        tokenizer = train_pieces(lines, config)
    tokenizer.save(folder)
    return tokenizer
