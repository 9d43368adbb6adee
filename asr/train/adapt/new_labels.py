"""Labels for texts that a model's own cannot write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from asr.errors import ConfigError
from asr.text import Tokenizer, TokenizerConfig, train_tokenizer
from asr.text.characters import CharacterTokenizer
from asr.text.prompts import PromptedTokenizer
from asr.text.tokenizer import WORD_MARK

#: SentencePiece is asked for fewer and fewer pieces until the text has so many.
FEWEST_PIECES = 32


def new_labels(theirs: Tokenizer, texts: Iterable[str], folder: Path) -> Tokenizer:
    """Makes labels of the kind of `theirs` that write `texts`, and saves them in `folder`.

    What `theirs` can write can be written still. Of characters, all of theirs stay labels; of
    pieces there are as many as theirs, or what the texts have, and their single characters.

    Args:
        texts: normalised.

    Raises:
        ConfigError: the texts are empty.
        OutputError: the folder cannot be written.
    """
    lines = [text for text in texts if text]
    if isinstance(theirs, PromptedTokenizer):  # the values of its fields stay labels
        inner = new_labels(theirs.inner, lines, folder)
        prompted = PromptedTokenizer(inner, theirs.values, theirs.defaults)
        prompted.save(folder)
        return prompted
    if isinstance(theirs, CharacterTokenizer):
        made = CharacterTokenizer(sorted({*theirs.symbols, *"".join(lines)}))
        made.save(folder)
        return made
    # a line of their characters: what is in the texts is what can be written
    lines.append(" ".join(sorted(_characters(theirs))))
    size = max(theirs.size, 2 * len(set("".join(lines))))
    while True:
        try:
            return train_tokenizer(lines, TokenizerConfig(type="unigram", size=size), folder)
        except ConfigError:
            if size <= FEWEST_PIECES:
                raise
            size = max(size * 3 // 4, FEWEST_PIECES)


def same_labels(own: Tokenizer, theirs: Tokenizer) -> int:
    """How many labels are spelled the same."""
    pieces = [{one.piece(token) for token in range(one.size)} for one in (own, theirs)]
    return len(pieces[0] & pieces[1])


def _characters(tokenizer: Tokenizer) -> set[str]:
    forbidden = tokenizer.labels.forbidden
    pieces = (tokenizer.piece(label) for label in range(tokenizer.size) if label not in forbidden)
    return {piece for piece in pieces if len(piece) == 1 and piece != WORD_MARK}
