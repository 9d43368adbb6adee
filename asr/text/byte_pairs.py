"""Encodes text with byte-level BPE (Sennrich et al. 2016; Radford et al. 2019) by its merges."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby, pairwise
from typing import Any

#: Words whose labels are kept.
_KEPT_WORDS = 100_000


class BytePairs:
    """Cuts text into words as GPT-2 does, and the bytes of each word into labels, by merges.

    Args:
        values: a `tokenizer.json` of Hugging Face, with a model BPE behind a `ByteLevel`
            pre-tokenizer.
        byte_characters: how it writes bytes.

    Raises:
        ValueError: it has settings that change how text is cut, or lacks a byte or what a merge
            gives.
    """

    def __init__(self, values: Mapping[str, Any], byte_characters: Mapping[str, int]) -> None:
        model, before = values["model"], values["pre_tokenizer"]
        plain = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
        settings = {name: (before or {}).get(name, True) for name in plain}
        if settings != plain or values.get("normalizer") is not None:
            raise ValueError("it does not cut text as Whisper's tokenizers do")
        if any(model.get(name) for name in ("continuing_subword_prefix", "end_of_word_suffix")):
            raise ValueError("its pieces have a prefix or a suffix")
        self._labels: Mapping[str, int] = model["vocab"]
        pairs = [tuple(p.split(" ") if isinstance(p, str) else p) for p in model["merges"]]
        self._ranks: dict[tuple[str, ...], int] = {pair: rank for rank, pair in enumerate(pairs)}
        if missing := [p for p in map("".join, pairs) if p not in self._labels]:
            raise ValueError(f"merges give pieces that it does not have: {missing[:3]}")
        self._characters = {byte: character for character, byte in byte_characters.items()}
        if any(character not in self._labels for character in byte_characters):
            raise ValueError("it does not have all bytes")
        self._words: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """The labels of a text; what UTF-8 cannot write (lone surrogates) becomes "?"."""
        return [label for word in _words().findall(text) for label in self._encoded(word)]

    def _encoded(self, word: str) -> list[int]:
        if word not in self._words:
            if len(self._words) >= _KEPT_WORDS:
                self._words = {}
            self._words[word] = [self._labels[part] for part in self._merged(word)]
        return self._words[word]

    def _merged(self, word: str) -> Sequence[str]:
        """The pieces of a word: the pair whose merge is the first in the list is joined, again and
        again.
        """
        parts = [self._characters[byte] for byte in word.encode("utf-8", "replace")]
        while len(parts) > 1:
            pairs = list(pairwise(parts))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, sys.maxsize))
            if best not in self._ranks:
                break
            place, joined = 0, []
            while place < len(parts):
                together = place + 1 < len(parts) and pairs[place] == best
                joined.append("".join(best) if together else parts[place])
                place += 2 if together else 1
            parts = joined
        return parts


@cache
def _words() -> re.Pattern[str]:
    """Cuts text before spaces, and where letters, numbers and other characters meet."""
    letters, numbers = _classes("LN")
    return re.compile(
        rf"'(?:[stmd]|re|ve|ll)| ?[{letters}]+| ?[{numbers}]+| ?[^\s{letters}{numbers}]+"
        r"|\s+(?!\S)|\s+"
    )


def _classes(categories: str) -> list[str]:
    """The characters of each Unicode category, as ranges for a regular expression."""
    ranges: dict[str, list[str]] = {category: [] for category in categories}
    characters = map(chr, range(sys.maxunicode + 1))
    for category, group in groupby(characters, lambda each: unicodedata.category(each)[0]):
        if category in ranges:
            run = list(group)
            ranges[category].append(f"{run[0]}-{run[-1]}")
    return ["".join(ranges[category]) for category in categories]
