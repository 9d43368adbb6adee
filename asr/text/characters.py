"""A tokenizer whose labels are single characters."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from asr.atomic import write_atomic
from asr.errors import ConfigError, ModelError
from asr.text.config import TokenizerConfig
from asr.text.special_labels import BLANK, END, LABELS, SPECIAL_PIECES, UNKNOWN
from asr.text.tokenizer import UNKNOWN_MARK, WORD_MARK, Labels

CHARACTER_FILE = "tokenizer.json"
_FORMAT = {"type": "char", "version": 1}


class CharacterTokenizer:
    """Labels are characters, the space among them; ids follow `symbols` after the special ones."""

    prompt_fields = None
    """See `Tokenizer.prompt_fields`: there are none."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = tuple(symbols)
        self._ids = {symbol: i for i, symbol in enumerate(self.symbols, len(SPECIAL_PIECES))}

    @property
    def size(self) -> int:
        """Number of labels, the three special ones included."""
        return len(SPECIAL_PIECES) + len(self.symbols)

    @property
    def labels(self) -> Labels:
        """Which of its labels are special."""
        return LABELS

    def encode(self, text: str, sample: bool | random.Random = False) -> list[int]:
        """The labels of `text`; there is one way to write it, so `sample` changes nothing."""
        return [self._ids.get(character, UNKNOWN) for character in " ".join(text.split())]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`: blank and end write nothing, unknown writes `UNKNOWN_MARK`."""
        text = "".join(self._written(token) for token in ids)
        return " ".join(text.split())

    def piece(self, token: int) -> str:
        """The character; a space is shown as `WORD_MARK`."""
        if BLANK <= token <= END:
            return SPECIAL_PIECES[token]
        return self._written(token).replace(" ", WORD_MARK)

    def unknown(self, text: str) -> Counter[str]:
        """The characters of `text` that are no label, and how often each occurs."""
        return Counter(
            character for character in " ".join(text.split()) if character not in self._ids
        )

    def save(self, folder: str | Path) -> Path:
        """Writes `tokenizer.json` into `folder` and returns its path."""
        path = Path(folder) / CHARACTER_FILE
        content = json.dumps(
            {**_FORMAT, "symbols": list(self.symbols)}, ensure_ascii=False, indent=1
        )
        write_atomic(path, content + "\n")
        return path

    def _written(self, token: int) -> str:
        if token in (BLANK, END):
            return ""
        if token == UNKNOWN:
            return UNKNOWN_MARK
        if not UNKNOWN < token < self.size:
            raise ModelError(f"tokenizer: label {token} is not one of its {self.size} labels")
        return self.symbols[token - len(SPECIAL_PIECES)]


def train_characters(lines: Iterable[str], config: TokenizerConfig) -> CharacterTokenizer:
    """The characters of `lines` that reach `config.character_coverage`, in code point order.

    Raises:
        ConfigError: there are more of them than `config.size` has room for.
    """
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(line)
    wanted = config.character_coverage * counts.total()
    covered, kept = 0, []
    for symbol, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if covered >= wanted:
            break
        covered += count
        kept.append(symbol)
    needed = len(kept) + len(SPECIAL_PIECES)
    if needed > config.size:
        raise ConfigError(
            f"tokenizer: size {config.size} is too small for the {len(kept)} characters of the "
            f"text; set size to {needed} or more, or lower character_coverage"
        )
    return CharacterTokenizer(sorted(kept))


def parse_characters(content: bytes, path: Path) -> CharacterTokenizer:
    """Reads what `CharacterTokenizer.save` wrote.

    Raises:
        ModelError: it is something else, or damaged.
    """
    try:
        stored = json.loads(content.decode())
        symbols = stored.pop("symbols")
        if stored != _FORMAT:
            raise ValueError(f"expected {_FORMAT}, found {stored}")
        if not all(isinstance(symbol, str) and len(symbol) == 1 for symbol in symbols):
            raise ValueError("a symbol is not one character")
        if len(set(symbols)) != len(symbols):
            raise ValueError("a symbol occurs twice")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path}: not a character tokenizer, or damaged ({error}); copy it anew"
        ) from error
    return CharacterTokenizer(symbols)
