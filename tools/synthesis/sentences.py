"""Which sentences are spoken: plain ones, none of the dev sets, of a broad vocabulary."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asr.text import NormalizerConfig, TextNormalizer

_PLAIN = re.compile(r"[a-z]+(?:'[a-z]+)*(?: [a-z]+(?:'[a-z]+)*)*")
_WORD = re.compile("[a-z]+(?:['’][a-z]+)*")
#: Numerals of two letters and more: engines read them as numbers or spell them.
_ROMAN = re.compile(r"m{0,3}(?:cm|cd|d?c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})")
_SINGLE = ("a", "i", "o")
#: So many words in a row make two sentences the same.
_RUN = 7


@dataclass(frozen=True)
class Sentence:
    """`spoken` has the punctuation that makes pauses; `text` is what a model shall write."""

    spoken: str
    text: str


class Held:
    """Sentences that must not be spoken: those of dev and test sets."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Texts as the manifests give them."""
        normalize = TextNormalizer()
        self.whole: set[str] = set()
        self.runs: set[tuple[str, ...]] = set()
        for text in map(normalize, texts):
            words = text.split()
            self.whole.add(text)
            if len(words) >= 4:
                self.runs.update(_runs(words, min(_RUN, len(words))))
        self._lengths = sorted({len(run) for run in self.runs})

    def holds(self, text: str) -> bool:
        """Whether a normalised text is one of them, or has a run of words of one.

        The run is of seven words, or all words of a sentence that has four to six.
        """
        words = text.split()
        return text in self.whole or any(
            run in self.runs for length in self._lengths for run in _runs(words, length)
        )


def _runs(words: Sequence[str], length: int) -> Iterable[tuple[str, ...]]:
    return (tuple(words[at : at + length]) for at in range(len(words) - length + 1))


@dataclass(frozen=True)
class Choice:
    """Which sentences are taken.

    Attributes:
        least, most: words of a sentence.
        seen: a word that the whole text has fewer times is taken for a misprint or foreign.
        rarity: sentences are drawn with a weight, the power `rarity` of the mean information of
            their five rarest words: 0 takes all alike, higher values prefer rare words.
        seed: of the order in which they are drawn.
    """

    least: int = 4
    most: int = 30
    seen: int = 5
    rarity: float = 6.0
    seed: int = 0


def choose(lines: Iterable[str], held: Held, choice: Choice) -> Iterator[Sentence]:
    """The sentences that may be spoken, in the order in which they shall be.

    Weighted sampling without replacement (Efraimidis and Spirakis 2006): the first N are a sample
    for every N, so a longer run speaks what a shorter one spoke, and more. Lines are normalised
    when their turn comes.
    """
    kept, words = [], []
    counts: Counter[str] = Counter()
    for line in lines:
        rough = _WORD.findall(line.lower())
        counts.update(rough)
        if choice.least <= len(rough) <= choice.most:
            kept.append(line)
            words.append(rough)
    total = max(1, counts.total())
    weight = {word: float(np.log(total / count)) for word, count in counts.items()}
    rare = np.array([_mean_of_largest([weight[word] for word in rough]) for rough in words])
    drawn = np.array([_uniform(f"{choice.seed} {line}") for line in kept])
    order = np.argsort(np.log(drawn) / np.maximum(rare, 1e-9) ** choice.rarity, kind="stable")
    read = _Reader()
    said = set()
    for at in order[::-1]:
        if min(counts[word] for word in words[at]) < choice.seen:
            continue
        sentence = read(kept[at])
        if sentence is not None and sentence.text not in said and not held.holds(sentence.text):
            said.add(sentence.text)
            yield sentence


def _mean_of_largest(values: list[float]) -> float:
    largest = sorted(values)[-5:]
    return sum(largest) / len(largest)


def _uniform(name: str) -> float:
    """A draw above 0 and below 1 that is a function of `name`."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return (int.from_bytes(digest, "little") + 0.5) / 2**64


class _Reader:
    """Writes a line as it is spoken, and knows the lines that engines read in their own ways."""

    def __init__(self) -> None:
        self.normalize = TextNormalizer()
        self._aloud = TextNormalizer(NormalizerConfig(punctuation=False, diacritics="fold"))

    def __call__(self, line: str) -> Sentence | None:
        """The sentence of a line; None where an engine may say something else than its text."""
        text = self.normalize(line)
        if not _PLAIN.fullmatch(text) or any(map(_odd, text.split())):
            return None
        spoken = re.sub(r"\s-+\s|--+", ", ", self._aloud(line))
        spoken = re.sub(r"[^a-z',.?!;: ]", " ", spoken)
        spoken = re.sub(r"(?<![a-z])'|'(?![a-z])", " ", spoken)
        spoken = re.sub(r"\s*([,.?!;:])[\s,.?!;:]*", r"\1 ", spoken)  # one sign, after its word
        spoken = re.sub(r"\s+", " ", spoken).strip(" ,;:")
        if spoken[-1:].isalpha():
            spoken += "."
        return Sentence(spoken, text) if self.normalize(spoken) == text else None


def _odd(word: str) -> bool:
    if len(word) == 1:
        return word not in _SINGLE
    return (_ROMAN.fullmatch(word) is not None and word != "mix") or not re.search("[aeiouy]", word)
