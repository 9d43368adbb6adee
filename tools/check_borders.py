"""Are words lost or doubled where utterances meet? Joined recordings against their parts.

    OMP_NUM_THREADS=1 python tools/check_borders.py MANIFEST... -m MODEL

Utterances are joined, six in a row, with pauses of room tone of many lengths, and heard as one
stream; then each is heard alone. A word of the row belongs to the utterance in whose time its
middle lies. What was said alone is laid against what was said in the row: words that only one of
them has are lost or doubled ones. A model that hears something else to the left of an utterance
also writes other words inside of it, so the rate at the borders (the first two and the last two
words of an utterance) is held against the rate inside: borders do harm where theirs is higher.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
import torch
from joining import load, room_tone

from asr import Recognizer, Word, load_model
from asr.evaluate.corpus import ReferenceUtterance, read_utterances
from asr.evaluate.error_rate import Counts, count_words, total
from asr.evaluate.scoring import build_normalizer, scoring_for

PAUSES = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
ROW = 6
#: Words at each end of an utterance that count as its border.
BORDER_WORDS = 2
#: Borders may have this much more lost and doubled words than what is inside.
TOLERANCE = 0.02


@dataclass(frozen=True)
class Row:
    """Utterances joined: sound (N,), and (begin, end, pause behind) of each in seconds."""

    sound: np.ndarray
    parts: list[tuple[float, float, float]]


def joined(sounds: Sequence[np.ndarray], rate: int, draw: random.Random) -> Row:
    """Sounds with pauses between them, of each length about as often."""
    noise = np.random.default_rng(draw.randrange(1 << 30))
    pieces, parts, place = list[np.ndarray](), list[tuple[float, float, float]](), 0
    for sound in sounds:
        pause = draw.choice(PAUSES)
        pieces += [sound, room_tone(sound, pause, rate, noise)]
        parts.append((place / rate, (place + len(sound)) / rate, pause))
        place += len(sound) + len(pieces[-1])
    return Row(np.concatenate(pieces), parts)


def of_parts(row: Row, words: Sequence[Word]) -> list[list[str]]:
    """The words of each utterance of a row: those whose middle is nearest to it."""
    edges = [end + pause / 2 for _, end, pause in row.parts[:-1]]
    said: list[list[str]] = [[] for _ in row.parts]
    for word in words:
        said[int(np.searchsorted(edges, (word.start + word.end) / 2))].append(word.text)
    return said


def differences(alone: Sequence[str], row: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Each word that is lost or doubled in a row, and whether it is at a border."""
    if not alone:
        yield from (("doubled", True) for _ in row)
        return
    found = jiwer.process_words(" ".join(alone), " ".join(row))
    last = len(alone) - BORDER_WORDS
    for chunk in found.alignments[0]:
        if chunk.type == "delete":
            for place in range(chunk.ref_start_idx, chunk.ref_end_idx):
                yield "lost", place < BORDER_WORDS or place >= last
        elif chunk.type == "insert":
            place = chunk.ref_start_idx
            for _ in range(chunk.hyp_start_idx, chunk.hyp_end_idx):
                yield "doubled", place < BORDER_WORDS or place > last


def words_of(model: Recognizer, sound: np.ndarray, chunk: float) -> list[Word]:
    """What a stream says."""
    found = model.transcribe(sound, model.sample_rate, chunk_ms=chunk)
    return [word for segment in found.segments for word in segment.words]


def main() -> None:
    """Parses the options, compares, prints and judges."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("-m", "--model", type=Path, default=None)
    parser.add_argument("--chunk-ms", type=float, default=640.0)
    parser.add_argument("--rows", type=int, default=20, help="rows of six utterances")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(args.model, "cpu")
    normalize = build_normalizer(scoring_for(model.config.normalizer))
    utterances: list[ReferenceUtterance] = [
        one for path in args.manifests for one in read_utterances(path)
    ]
    draw, counted = random.Random(1), Counter[tuple[str, bool]]()
    border = inside = 0
    apart, together = list[Counts](), list[Counts]()
    for _ in range(args.rows):
        chosen = draw.sample(utterances, ROW)
        sounds = [load(one, model.sample_rate) for one in chosen]
        row = joined(sounds, model.sample_rate, draw)
        in_row = of_parts(row, words_of(model, row.sound, args.chunk_ms))
        for one, sound, said in zip(chosen, sounds, in_row, strict=True):
            alone = [word.text for word in words_of(model, sound, args.chunk_ms)]
            counted.update(differences(alone, said))
            at_border = min(len(alone), 2 * BORDER_WORDS)
            border, inside = border + at_border, inside + len(alone) - at_border
            reference = normalize(one.text)
            apart.append(count_words(reference, normalize(" ".join(alone))))
            together.append(count_words(reference, normalize(" ".join(said))))
    print(f"WER alone {100 * (total(apart).rate or 0):.1f} %", end=", ")
    print(f"in a row {100 * (total(together).rate or 0):.1f} %")
    rates = {}
    for where, words in ((True, border), (False, inside)):
        lost, doubled = counted["lost", where], counted["doubled", where]
        rates[where] = (lost + doubled) / max(1, words)
        name = "at borders" if where else "inside"
        print(
            f"{name}: {lost} lost, {doubled} doubled of {words} words, {100 * rates[where]:.1f} %"
        )
    sys.exit(1 if rates[True] > rates[False] + TOLERANCE else 0)


if __name__ == "__main__":
    main()
