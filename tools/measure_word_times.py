"""How far the times of words are from where recordings of single words were joined.

    python tools/measure_word_times.py --corpora ../shared/corpora -m MODEL

Single words (spoken digits of FSDD; answers of one word of AN4's dev set) without the quiet around
them (30 dB below their loudest 10 ms) are joined, six in a row, with pauses of 0 to 1 s of digital
silence, and again with a floor of noise: so it is known when each begins and ends. Words that the
model gets right are compared, with full context and in chunks: all of them ("recognised"), and
those whose neighbours are right too ("in_context": beside a word that was misheard or added, the
border is one of the recognition, not of the clock). So are all words, if the model is "told" what
was said.

Texts are compared as the scoring normaliser writes them, so that a model may write "4," for "four".
Models without CTC are aligned by attention; those that cannot work on chunks are measured with full
context only.

It prints a table: signed medians, and medians and 95th percentiles of absolute errors, in ms.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joining import levelled, load, matches, posteriors, trimmed

from asr import AsrError, Hypothesis, Recognizer, Word, load_model
from asr.evaluate.corpus import ReferenceUtterance, read_utterances
from asr.evaluate.scoring import build_normalizer, scoring_for
from asr.model import StreamingEncoder
from asr.transcribe.words.align import align
from asr.transcribe.words.attention import aligned_by_attention
from asr.transcribe.words.timing import WordTimer

PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
ROW = 6


@dataclass(frozen=True)
class Joined:
    """Words in a row: sound (N,), and (text, begin, end) of each."""

    sound: np.ndarray
    words: list[tuple[str, float, float]]


def words_in(corpora: Path, set_name: str) -> list[ReferenceUtterance]:
    """Recordings of one word."""
    if set_name == "fsdd":  # timing.py was fitted on those below 5
        rows = read_utterances(corpora / "fsdd" / "manifest.jsonl")
        return [one for one in rows if 5 <= int(one.id.split("_")[2]) < 10]
    rows = read_utterances(corpora / "dev" / "an4" / "manifest.jsonl")
    return [one for one in rows if len(one.text.split()) == 1 and len(one.text) > 1]


def join(
    row: Sequence[ReferenceUtterance], rate: int, noise_db: float | None, draw: random.Random
) -> Joined:
    """Words one behind the other, the noise so far below them."""
    parts = [np.zeros(rate // 2, np.float32)]
    words, place = [], len(parts[0])
    for one in row:
        sound = trimmed(levelled(load(one, rate)), rate)
        pause = np.zeros(round(draw.choice(PAUSES) * rate), np.float32)
        words.append((one.text.lower(), place / rate, (place + len(sound)) / rate))
        parts += [sound, pause]
        place += len(sound) + len(pause)
    sound = np.concatenate([*parts, np.zeros(rate // 2, np.float32)])
    if noise_db is not None:
        noise = np.random.default_rng(draw.randrange(1 << 30)).normal(0, 1, len(sound))
        sound = (sound + 0.1 * 10 ** (-noise_db / 20) * noise).astype(np.float32)
    return Joined(sound, words)


def recognised(
    model: Recognizer, joined: Sequence[Joined], chunk: float | None
) -> Iterator[Sequence[Word]]:
    """What the model makes of each row."""
    sources = [one.sound for one in joined]
    normalize = build_normalizer(scoring_for(model.config.normalizer))
    for _, found in model.transcribe_many(sources, sample_rate=model.sample_rate, chunk_ms=chunk):
        if isinstance(found, AsrError):
            raise found
        yield [
            replace(word, text=normalize(word.text))
            for segment in found.segments
            for word in segment.words
        ]


def told(
    model: Recognizer, joined: Sequence[Joined], chunk: float | None
) -> Iterator[Sequence[Word]]:
    """The words of each row, as if the model had recognised them all."""
    clock = WordTimer.of(model.model, model.tokenizer.decode)
    for one in joined:
        levels = clock.levels(one.sound)
        if model.model.ctc is None:
            best = attended(model, clock, one, levels)
        else:
            labels = tuple(model.tokenizer.encode(" ".join(text for text, _, _ in one.words)))
            blank = model.tokenizer.labels.ctc_blank
            spans = align(posteriors(model, one.sound, chunk), labels, blank)
            best = Hypothesis(labels, 0.0, {}, tuple(spans))
        words = clock.words(best, levels, 0.0, (0.0, len(one.sound) / clock.rate))
        yield [
            replace(word, text=text) for word, (text, _, _) in zip(words, one.words, strict=True)
        ]


@torch.inference_mode()
def attended(model: Recognizer, clock: WordTimer, joined: Joined, levels: np.ndarray) -> Hypothesis:
    """The words of a row as the model writes texts, aligned by attention."""
    text = " ".join(word for word, _, _ in joined.words)
    if not model.config.normalizer.punctuation:  # it writes sentences
        text = ", ".join(word for word, _, _ in joined.words).capitalize() + "."
    features, sizes = model.model.features(
        torch.from_numpy(joined.sound)[None], torch.tensor([len(joined.sound)])
    )
    memory, lengths = model.model.encode(features, sizes)
    best = Hypothesis(tuple(model.tokenizer.encode(text)), 0.0)
    labels = model.tokenizer.labels
    return aligned_by_attention(model.model, clock, labels, [best], memory, lengths, [levels])[0]


def in_context(
    joined: Sequence[Joined], found: Iterable[Sequence[Word]]
) -> Iterator[Sequence[Word]]:
    """Of what is recognised, the words whose neighbours are right; the others have no text."""
    for one, words in zip(joined, found, strict=True):
        right = matches([text for text, _, _ in one.words], [word.text for word in words])
        ends = {(-1, -1), (len(one.words), len(words))}
        beside = ends.union(right)
        kept = {b for a, b in right if {(a - 1, b - 1), (a + 1, b + 1)} <= beside}
        yield [word if b in kept else replace(word, text="") for b, word in enumerate(words)]


def errors(joined: Sequence[Joined], found: Iterable[Sequence[Word]]) -> np.ndarray:
    """Errors (words, 2) of begins and ends in ms, of the words that were found."""
    pairs: list[tuple[float, float]] = []
    for one, words in zip(joined, found, strict=True):
        for a, b in matches([text for text, _, _ in one.words], [word.text for word in words]):
            _, begin, end = one.words[a]
            pairs.append((words[b].start - begin, words[b].end - end))
    return 1000 * np.array(pairs).reshape(-1, 2)


def figures(off: np.ndarray) -> dict[str, float]:
    """What is told of errors (n,)."""
    if not len(off):
        return {"middle": float("nan"), "median": float("nan"), "p95": float("nan")}
    size = np.abs(off)
    values = {
        "middle": np.median(off),
        "median": np.median(size),
        "p95": np.percentile(size, 95),
    }
    return {name: round(float(value), 1) for name, value in values.items()}


def main() -> None:
    """Parses the options and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("-m", "--model", type=Path, default=None)
    parser.add_argument("--chunk-ms", type=float, default=640.0)
    parser.add_argument("--noise-db", type=float, default=25.0, help="how far below the words")
    parser.add_argument("--rows", type=int, default=50, help="rows of six words in each condition")
    parser.add_argument("--json", type=Path, default=None, help="write the figures there")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(args.model, "cpu")
    table = []
    streams = isinstance(model.model.encoder, StreamingEncoder)
    contexts = (None, args.chunk_ms) if streams else (None,)
    print("| words | pauses | context | which | words | begin: middle, median, 95 % | end |")
    print("|---|---|---|---|---:|---:|---:|")
    for name, noise in itertools.product(("fsdd", "an4"), (None, args.noise_db)):
        draw = random.Random(1)
        known = words_in(args.corpora, name)
        rows = [draw.sample(known, ROW) for _ in range(args.rows)]
        joined = [join(row, model.sample_rate, noise, draw) for row in rows]
        pauses = "silence" if noise is None else f"noise, -{noise:g} dB"
        for chunk in contexts:
            transcribed = list(recognised(model, joined, chunk))
            found = {
                "recognised": transcribed,
                "in_context": in_context(joined, transcribed),
                "told": told(model, joined, chunk),
            }
            for which, words in found.items():
                off = errors(joined, words)
                row = {"words": name, "pauses": pauses, "chunk_ms": chunk, "which": which}
                row |= {"count": len(off), "begin": figures(off[:, 0]), "end": figures(off[:, 1])}
                table.append(row)
                print(table_line(row), flush=True)
    if args.json:
        args.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def table_line(row: dict[str, Any]) -> str:
    """A row of the table that is printed."""
    context = "full" if row["chunk_ms"] is None else f"{row['chunk_ms']:g} ms"
    cells = [", ".join(f"{v:.0f}" for v in row[key].values()) for key in ("begin", "end")]
    which, count = row["which"], row["count"]
    first = f"| {row['words']} | {row['pauses']} | {context} | {which} | {count} |"
    return f"{first} {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
