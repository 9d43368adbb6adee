"""Hotwords as users write them: phrases, perhaps with weights, from a file or a list."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import ConfigError

if TYPE_CHECKING:
    from asr.model.folder import LoadedModel
    from asr.search import PhraseTree

#: What `hotwords=` may be.
Hotwords = str | os.PathLike[str] | Sequence[str] | Mapping[str, float]
#: The same as values of JSON.
PlainHotwords = str | tuple[str, ...] | dict[str, float]

#: `phrase : 2.5`, or a tab in place of the colon. The spaces tell a weight from a time of day.
_WEIGHTED = re.compile(r"(?P<phrase>.*?)(?:\s+:\s+|\s*\t\s*)(?P<weight>.*)")
#: `phrase:2`: a number behind a word can be nothing else than its weight.
_TIGHT = re.compile(r"(?P<phrase>.*[^\d\s])\s*:\s*(?P<weight>[-+]?\d*\.?\d+)")
#: What may be meant as a weight, or not; `10:30` is a time.
_UNCLEAR = re.compile(r"(?P<phrase>.+?)\s*(?::\s*|=\s*)(?P<weight>[-+]?\d*\.?\d+)")
_TIME = re.compile(r".*\d:\d\d")
#: A string with one of these endings is meant to be a file.
_FILE = re.compile(r"[/\\]|\.(txt|tsv|list|lst|text|words)$")
#: What a hotword counts, of its weight, in other capitals than those it was given in.
OTHER_CAPITALS = 0.8
#: Wrong entries that one message names.
_NAMED = 5


def phrase_tree(hotwords: Hotwords | None, loaded: LoadedModel) -> PhraseTree | None:
    """The hotwords for a search, normalised as the model's texts are; None where there are none.

    Args:
        hotwords: a file (see `read_hotwords`), several phrases in one string with commas between
            them, phrases, or phrases with their weights.

    Raises:
        ConfigError: there is no such file, there is no phrase, or a phrase or weight is wrong.
            The first few mistakes are in one message.
    """
    from asr.search.phrases import PhraseTree, has_letters
    from asr.text import TextNormalizer

    if hotwords is None:
        return None
    normalizer, tokenizer = loaded.config.normalizer, loaded.tokenizer
    normalize = TextNormalizer(normalizer)
    phrases: dict[str, float] = {}

    def add(phrase: str, factor: float) -> None:
        """Adds the spellings of a phrase; ConfigError where the model cannot write it."""
        written = normalize(phrase)
        if not has_letters(written):
            raise ConfigError(f"'{phrase}' has no letters")
        if unknown := tokenizer.unknown(written):
            letters = " ".join(unknown)
            raise ConfigError(f"'{phrase}': this model cannot write {letters}; spell it without")
        spellings = {written: 1.0} if normalizer.lowercase else _spellings(written)
        for spelling, share in spellings.items():
            phrases[spelling] = max(factor * share, phrases.get(spelling, 0.0))

    _each(hotwords, add)
    forbidden = tokenizer.labels.forbidden
    pieces = [
        "" if label in forbidden else tokenizer.piece(label) for label in range(tokenizer.size)
    ]
    return PhraseTree(phrases, pieces)


def _spellings(phrase: str) -> dict[str, float]:
    """A phrase in the capitals that it may be written with, and what share of its weight each has.

    Capitals that are given are meant: offered beside them, "quilter" would be lifted as far as
    "Quilter" in models without CTC. A phrase all in capitals may be a name that was typed so.
    """
    lower = phrase.lower()
    titled = " ".join(word[:1].upper() + word[1:] for word in lower.split())
    if phrase == lower:
        first = lower[:1].upper() + lower[1:]
        return dict.fromkeys((lower, first, titled, lower.upper()), 1.0)
    if phrase == phrase.upper():
        return {titled: OTHER_CAPITALS, phrase: 1.0}
    return {phrase: 1.0}


def check_hotwords(hotwords: Hotwords) -> None:
    """Refuses what no model could take; no model is needed.

    A pipe can be read only once, and is left to `phrase_tree`.

    Raises:
        ConfigError: as `phrase_tree`, except for what depends on the model.
    """
    if not _is_pipe(hotwords):
        _each(hotwords, lambda *_: None)


def plain_hotwords(hotwords: Any) -> PlainHotwords | None:
    """Hotwords as values that can be compared, pickled and written as JSON; files are not read.

    Raises:
        ConfigError: they are no text, or not well formed.
    """
    if hotwords is None:
        return None
    if isinstance(hotwords, os.PathLike):
        path = os.fspath(hotwords)
        # A separator marks a path: a string without one may be a phrase.
        return _text(path if _FILE.search(path) else os.path.join(os.curdir, path))
    plain: PlainHotwords
    if isinstance(hotwords, str):
        plain = hotwords
    elif isinstance(hotwords, Mapping):
        plain = {_text(phrase): weight for phrase, weight in hotwords.items()}
    elif isinstance(hotwords, Iterable) and not isinstance(hotwords, bytes):
        plain = tuple(_text(phrase) for phrase in hotwords)
    else:
        raise ConfigError(
            f"hotwords: {hotwords!r} are no phrases; give a file, a list of phrases, or phrases "
            "with weights"
        )
    if not isinstance(plain, str) or not _is_file(plain):
        _each(plain, lambda *_: None)
    if isinstance(plain, dict):
        return {phrase: float(weight) for phrase, weight in plain.items()}
    return plain


def _each(hotwords: Hotwords, take: Callable[[str, float], None]) -> None:
    """Gives each phrase and its weight to `take`; the first few mistakes are in one message."""
    problems, empty = [], True
    for where, entry, given in _entries(hotwords):
        empty = False
        try:
            phrase, factor = (entry, given) if given is not None else _weighted(entry)
            take(phrase, _checked(factor, phrase))
        except ConfigError as error:
            problems.append(f"{where}: {error}")
    if problems:
        more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise ConfigError("; ".join(problems[:_NAMED]) + more)
    if empty:
        raise ConfigError("hotwords: no phrase given; name one, or leave the option out")


def _entries(hotwords: Hotwords) -> Iterator[tuple[str, str, float | None]]:
    """Where an entry stands, the entry, and its weight where that is given apart."""
    if isinstance(hotwords, Mapping):
        yield from (("hotwords", _text(phrase), weight) for phrase, weight in hotwords.items())
    elif isinstance(hotwords, str) and not _is_file(hotwords):
        yield from _lines(hotwords.split(","), "hotwords")
    elif isinstance(hotwords, str | os.PathLike):
        yield from read_hotwords(Path(hotwords))
    else:
        yield from _lines(hotwords, "hotwords")


def read_hotwords(path: Path) -> Iterator[tuple[str, str, float | None]]:
    """The entries of a file: a phrase a line, as `Nottingham Castle` or `Quilter : 2`.

    Empty lines and those that begin with # are left out.

    Raises:
        ConfigError: the file cannot be read, or holds no phrase.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigError(
            f"{path}: hotwords cannot be read: {error.strerror or error}; name a text file, or "
            "phrases that do not look like one (no slash, no .txt)"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: hotwords must be text in UTF-8, a phrase a line") from None
    empty = True
    for number, line in enumerate(lines, 1):
        for _, entry, weight in _lines([line], ""):
            empty = False
            yield f"{path}, line {number}", entry, weight
    if empty:
        raise ConfigError(f"{path}: holds no hotwords; write a phrase a line")


def _lines(lines: Iterable[str], where: str) -> Iterator[tuple[str, str, float | None]]:
    for line in lines:
        entry = _text(line).strip()
        if entry and not entry.startswith("#"):
            yield where, entry, None


def _text(phrase: object) -> str:
    if not isinstance(phrase, str):
        raise ConfigError(f"hotwords: phrases must be text, got {phrase!r}")
    return phrase


def _is_file(text: str) -> bool:
    """Whether a string names a file rather than phrases."""
    if _FILE.search(text.strip().lower()):
        return True
    try:
        return Path(text).is_file()
    except OSError:  # a long list is longer than names of files may be
        return False


def _is_pipe(hotwords: Hotwords) -> bool:
    """Whether what is named is no file that stays: bash's `<(...)`, /dev/stdin."""
    if not isinstance(hotwords, str | os.PathLike):
        return False
    try:
        return Path(hotwords).is_fifo()
    except OSError:  # a long list
        return False


def _weighted(entry: str) -> tuple[str, float]:
    """The phrase and weight of `phrase : weight`; 1 where there is none."""
    parts = _WEIGHTED.fullmatch(entry) or _TIGHT.fullmatch(entry)
    if parts is None:
        unclear = _UNCLEAR.fullmatch(entry)
        if unclear and not _TIME.fullmatch(entry):
            phrase, number = unclear["phrase"], unclear["weight"]
            raise ConfigError(
                f"'{entry}': is {number} a weight? then write '{phrase} : {number}', with spaces; "
                f"else write it as it is said, '{phrase} {number}'"
            )
        return entry, 1.0
    try:
        return parts["phrase"], float(parts["weight"])
    except ValueError:
        raise ConfigError(
            f"'{entry}': '{parts['weight']}' is no weight; write 'phrase : number'"
        ) from None


def _checked(weight: float, phrase: str) -> float:
    value = math.nan
    if isinstance(weight, Real) and not isinstance(weight, bool):
        try:
            value = float(weight)
        except OverflowError:  # of a whole number
            value = math.inf
    if not 0 < value < math.inf:
        raise ConfigError(f"'{phrase}': its weight must be above 0 and finite, got {weight!r}")
    return value
