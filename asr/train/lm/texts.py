"""Texts as labels: read, normalised, kept apart from what will be measured on, cut, encoded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.errors import ManifestError
from asr.text import Labels, TextNormalizer, Tokenizer
from asr.text.reading import read_texts
from asr.train.lm.recipe import TextConfig

#: Texts that share so many words in a row with a transcript are one with it.
SHARED_WORDS = 7


@dataclass(frozen=True)
class TextCorpus:
    """Texts in their order, as one row of labels. Between two stands `gap` (a space, or nothing).

    `labels` has the gap behind every text as well; text n begins at `starts[n]`, and `starts` has
    the end of the last one too. `words` (n,) counts words.
    """

    labels: np.ndarray
    starts: np.ndarray
    words: np.ndarray
    gap: int

    def __len__(self) -> int:
        return len(self.words)

    def span(self, first: int, last: int) -> np.ndarray:
        """The labels of the texts `first` to `last` - 1, joined."""
        return self.labels[self.starts[first] : self.starts[last] - self.gap]

    def texts(self) -> list[np.ndarray]:
        """The labels of each text."""
        return [self.span(place, place + 1) for place in range(len(self))]

    def digest(self) -> str:
        """What tells this corpus from others."""
        found = hashlib.blake2b(self.labels.tobytes(), digest_size=16)
        found.update(self.starts.tobytes())
        return found.hexdigest()


@dataclass(frozen=True)
class PreparedTexts:
    """What a run trains on and what it measures, and sentences about them for people.

    `pieces` are the labels as the tokenizer spells them, `labels` its special ones.
    """

    train: TextCorpus
    dev: TextCorpus
    pieces: tuple[str, ...]
    labels: Labels
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Sources:
    """Files of texts. A file that is named twice counts twice; `without` are manifests (or texts)
    of what will be measured: sentences that share seven words in a row with them are left out.
    """

    train: Sequence[Path]
    dev: Sequence[Path] = ()
    without: Sequence[Path] = ()


def prepare(
    sources: Sources, normalize: TextNormalizer, tokenizer: Tokenizer, config: TextConfig
) -> PreparedTexts:
    """Reads all texts.

    Raises:
        ManifestError: a file cannot be read, or nothing is left to train on.
    """
    cut = TextCutter(normalize, config.words)
    protected = _runs(cut.texts([*sources.without, *sources.dev]))
    found = list(cut.texts(sources.train))
    kept = [text for text in found if not _shares(text, protected)]
    notes = [f"{len(found)} texts, {sum(map(_words, found))} words"]
    if sources.without or sources.dev:
        notes.append(
            f"{len(found) - len(kept)} texts left out: they share {SHARED_WORDS} words in a row "
            f"with {', '.join(path.name for path in (*sources.without, *sources.dev))}"
        )
    if sources.dev:
        dev = list(cut.texts(sources.dev))
    else:
        dev = list(dict.fromkeys(text for text in kept if _is_held_out(text, config.held_out)))
        kept = [text for text in kept if not _is_held_out(text, config.held_out)]
        notes.append(
            f"{len(dev)} texts held out to measure on"
            if dev
            else "too few texts to hold some out to measure on; name others with --dev"
        )
    if not kept:
        raise ManifestError(
            f"{', '.join(map(str, sources.train))}: no text is left to train on; give more text"
        )
    pieces = tuple(map(tokenizer.piece, range(tokenizer.size)))
    train, held_out = _encoded(kept, tokenizer), _encoded(dev, tokenizer)
    return PreparedTexts(train, held_out, pieces, tokenizer.labels, tuple(notes))


@dataclass(frozen=True)
class TextCutter:
    """Normalises texts and cuts them into parts of at most `words` words."""

    normalize: TextNormalizer
    words: int

    def texts(self, paths: Iterable[Path]) -> Iterator[str]:
        """The texts of all files, those that say nothing left out."""
        for path in paths:
            for text in read_texts(path):
                yield from self._cut(self.normalize(text))

    def _cut(self, text: str) -> Iterator[str]:
        words = text.split()
        parts = -(-len(words) // self.words)
        for part in range(parts):  # of about the same length
            yield " ".join(words[len(words) * part // parts : len(words) * (part + 1) // parts])


def encoded_files(
    paths: Sequence[Path], normalize: TextNormalizer, tokenizer: Tokenizer
) -> TextCorpus:
    """The texts of files as they are, to measure on.

    Raises:
        ManifestError: a file cannot be read, or there is no text.
    """
    texts = [text for path in paths for text in map(normalize, read_texts(path)) if text]
    if not texts:
        raise ManifestError(f"{', '.join(map(str, paths))}: there is no text")
    return _encoded(texts, tokenizer)


def _encoded(texts: Sequence[str], tokenizer: Tokenizer) -> TextCorpus:
    gap = _gap(texts, tokenizer)
    kind = np.uint16 if tokenizer.size <= 1 << 16 else np.int32
    labels = [np.array([*tokenizer.encode(text), *gap], dtype=kind) for text in texts]
    starts = np.cumsum([0, *map(len, labels)])
    return TextCorpus(
        np.concatenate(labels) if labels else np.zeros(0, dtype=kind),
        starts,
        np.array([_words(text) for text in texts], dtype=np.int32),
        len(gap),
    )


def _gap(texts: Sequence[str], tokenizer: Tokenizer) -> list[int]:
    """What a tokenizer writes between two texts that become one: characters have a space."""
    if len(texts) < 2:
        return []
    first, second = tokenizer.encode(texts[0]), tokenizer.encode(texts[1])
    both = tokenizer.encode(f"{texts[0]} {texts[1]}")
    return both[len(first) : len(both) - len(second)]


def _runs(texts: Iterable[str]) -> set[str]:
    """All runs of SHARED_WORDS words."""
    return {run for text in texts for run in _runs_of(text)}


def _runs_of(text: str) -> Iterator[str]:
    words = text.split()
    for place in range(len(words) - SHARED_WORDS + 1):
        yield " ".join(words[place : place + SHARED_WORDS])


def _shares(text: str, protected: set[str]) -> bool:
    return bool(protected) and any(run in protected for run in _runs_of(text))


def _is_held_out(text: str, share: float) -> bool:
    """Decided by the text alone, so that no copy of it is trained on."""
    drawn = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") < share * 2**64


def _words(text: str) -> int:
    return text.count(" ") + 1
