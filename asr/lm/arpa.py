"""N-gram models in the ARPA form that other tools write and read (SRILM, KenLM ...).

Words of the file are the tokenizer's pieces. Logarithms in files are to the base 10.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import torch

from asr.atomic import atomic_file
from asr.errors import ModelError
from asr.lm.ngram import NGram
from asr.text import Labels, Tokenizer

_OPENERS: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
#: What stands for log 0 in files (the probability of <s>, which is never foretold).
_NEVER = -99.0
#: Stands for <unk> in a file, where the tokenizer has no such label.
_NO_LABEL = -1

#: An n-gram's labels: its log probability and its backoff, natural logarithms.
Entries = dict[tuple[int, ...], tuple[float, float]]


def read_arpa(path: Path, tokenizer: Tokenizer) -> NGram:
    """Reads a model; the file may be packed (.gz, .xz, .bz2).

    Labels that it does not have are as probable as its <unk>, or else as its rarest label.

    Raises:
        ModelError: it cannot be read, is no ARPA file, or has words that are no pieces.
    """
    special = tokenizer.labels
    unknown = _NO_LABEL if special.unknown is None else special.unknown
    labels = {tokenizer.piece(label): label for label in range(tokenizer.size)}
    labels |= {"<s>": special.end, "</s>": special.end, "<unk>": unknown, "<UNK>": unknown}
    entries: Entries = {}
    try:
        with _OPENERS.get(path.suffix, open)(path, "rt", encoding="utf-8") as lines:
            for number, order, line in _sections(lines):
                try:
                    _enter(entries, line, order, labels, special.end)
                except (ValueError, KeyError) as error:
                    raise ModelError(
                        f"{path}, line {number}: {_reason(error)}; an ARPA file is needed, over "
                        "the pieces of the tokenizer"
                    ) from None
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{path}: cannot be read as an ARPA file: {reason}") from None
    if not entries:
        raise ModelError(f"{path}: no ARPA file: it has no n-grams")
    for gram in entries:
        if gram[:-1] and gram[:-1] not in entries:
            pieces = " ".join("<unk>" if n == _NO_LABEL else tokenizer.piece(n) for n in gram)
            raise ModelError(
                f"{path}: has the n-gram '{pieces}', but not its beginning without the last word; "
                "the file is damaged: write it again"
            )
    return _tree(entries, tokenizer.size, special)


def write_arpa(ngram: NGram, tokenizer: Tokenizer, path: Path) -> None:
    """Writes a model as other tools read it.

    Raises:
        OutputError: it cannot be written.
    """
    levels = ngram.levels()
    written = _Written(ngram, tokenizer)
    with atomic_file(path) as file:
        counts = [end - start for start, end in pairwise(levels[1:])]
        counts[0] += 1  # <s>
        head = "".join(f"ngram {n}={count}\n" for n, count in enumerate(counts, start=1))
        file.write(f"\\data\\\n{head}".encode())
        for n, (start, end) in enumerate(pairwise(levels[1:]), start=1):
            file.write(f"\n\\{n}-grams:\n".encode())
            if n == 1:
                file.write(f"{_NEVER}\t<s>\t{written.backoff(written.start)}\n".encode())
            for node in range(start, end):
                file.write(f"{written.line(node)}\n".encode())
        file.write(b"\n\\end\\\n")


class _Written:
    """N-grams as lines of a file."""

    def __init__(self, ngram: NGram, tokenizer: Tokenizer) -> None:
        self.parents, self.words = [0, *ngram.parents.tolist()], [0, *ngram.words.tolist()]
        self.log_probs = ngram.log_probs.tolist()
        self.backoffs = ngram.backoffs.tolist()
        self.pieces = [tokenizer.piece(label) for label in range(tokenizer.size)]
        self.end = tokenizer.labels.end
        self.start = self.words.index(self.end, 1)  # the node of <s>, which is that of </s>

    def line(self, node: int) -> str:
        """The n-gram of a node, with its logarithms to base 10."""
        last = "</s>" if self.words[node] == self.end else self.pieces[self.words[node]]
        before, words = self.parents[node], [last]
        while before:
            word = self.words[before]
            words.append("<s>" if word == self.end else self.pieces[word])
            before = self.parents[before]
        text = f"{self.log_probs[node] / math.log(10):.6f}\t{' '.join(reversed(words))}"
        end = last == "</s>" or not self.backoffs[node]
        return text if end else f"{text}\t{self.backoff(node)}"

    def backoff(self, node: int) -> str:
        return f"{self.backoffs[node] / math.log(10):.6f}"


def _sections(lines: IO[str]) -> Iterator[tuple[int, int, str]]:
    """The lines of n-grams, each with its number and order."""
    order = 0
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text.startswith("\\"):
            order = int(text[1 : text.index("-")]) if text.endswith("-grams:") else 0
        elif text and order:
            yield number, order, text


def _enter(entries: Entries, line: str, order: int, labels: Mapping[str, int], end: int) -> None:
    """Adds the n-gram of a line. <s> and </s> are one label: start first, end last."""
    fields = line.split()
    if len(fields) not in (order + 1, order + 2):
        raise ValueError(f"'{line}' is no n-gram of {order} words")
    log_prob = float(fields[0]) * math.log(10)
    backoff = float(fields[order + 1]) * math.log(10) if len(fields) == order + 2 else 0.0
    gram = tuple(labels[word] for word in fields[1 : order + 1])
    if order == 1 and gram == (end,) and gram in entries:
        probability, weight = entries[gram]
        kept = (log_prob, weight) if fields[1] == "</s>" else (probability, backoff)
        entries[gram] = kept
        return
    entries[gram] = (log_prob, backoff)


def _tree(entries: Entries, size: int, labels: Labels) -> NGram:
    """Nodes in order; labels that have no n-gram of their own get one."""
    singles = [p for gram, (p, _) in entries.items() if len(gram) == 1 and p > -200]
    unknown = _NO_LABEL if labels.unknown is None else labels.unknown
    rarest = entries.get((unknown,), (min(singles, default=-20.0), 0.0))[0]
    for label in range(size):
        entries.setdefault((label,), (rarest, 0.0))
    without = {_NO_LABEL, labels.blank}
    entries = {gram: value for gram, value in entries.items() if without.isdisjoint(gram)}
    grams = sorted(entries, key=lambda gram: (len(gram), gram))
    numbers = {gram: place for place, gram in enumerate(grams, start=1)}
    parents = torch.tensor([numbers.get(gram[:-1], 0) for gram in grams])
    words = torch.tensor([gram[-1] for gram in grams])
    values = torch.tensor([entries[gram] for gram in grams])
    return NGram(size, parents, words, values[:, 0], values[:, 1])


def _reason(error: Exception) -> str:
    return f"{error} is no piece" if isinstance(error, KeyError) else str(error)
