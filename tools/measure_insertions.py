"""How many words a model writes that nobody said, and whether it loops.

    python tools/measure_insertions.py --speech recipes/english/data/dev/librispeech.jsonl \
      --noise recipes/english/data/noise-dev.jsonl [--chunk-ms 640] [--no-lm] [--ctc-weight W]

Sound without speech is made from a seed (`unspoken.py`) or read from the manifest of noises; every
word written for it is invented. In long pauses (30 s of silence or noise between two utterances)
every word is invented whose time lies there, or, of models without word times, every insertion.
Of truncated speech (cut at a random place, so mostly within a word) and of fragments (0.1 to 0.4 s
of it) insertions against the whole text are counted; recognising badly makes some of those too.

A loop is the same one to six words three times in a row, where the text has it less often.
Prints a table: minutes of sound, invented words, those for each hour, loops.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joining import levelled, load, room_tone
from unspoken import KINDS

from asr import AsrError, Recognizer, Transcript, load_model
from asr.evaluate.corpus import ReferenceUtterance, read_utterances
from asr.evaluate.error_rate import count_words
from asr.text import TextNormalizer

#: Words that are repeated as one, at most.
LONGEST_LOOP = 6
#: So often in a row is a loop.
TIMES = 3
#: A word is in a pause if it is this far from its edges, in seconds.
MARGIN = 0.5


@dataclass(frozen=True)
class Case:
    """One recording: its kind, samples (N,), what is said, and the pause in it, if any."""

    kind: str
    samples: np.ndarray
    text: str = ""
    pause: tuple[float, float] | None = None


def loops(text: str) -> int:
    """How many times words come round too often: see the top."""
    words, found, place = text.split(), 0, 0
    while place < len(words):
        sizes = range(1, LONGEST_LOOP + 1)
        size = next((n for n in sizes if _rounds(words, place, n) >= TIMES), None)
        found += size is not None
        place += size * _rounds(words, place, size) if size else 1
    return found


def _rounds(words: Sequence[str], place: int, size: int) -> int:
    """How many times the `size` words at `place` stand there in a row."""
    first, count = words[place : place + size], 1
    while len(first) == size and words[place + count * size :][:size] == first:
        count += 1
    return count


def invented(case: Case, result: Transcript, text: str) -> int:
    """Words of `text`, the normalised result, that nobody said."""
    if not case.text:
        return len(text.split())
    words = [word for segment in result.segments for word in segment.words]
    if case.pause and (words or not text):
        begin, end = case.pause
        middles = [(word.start + word.end) / 2 for word in words]
        return sum(begin + MARGIN < middle < end - MARGIN for middle in middles)
    return count_words(case.text, text).insertions


def silent_cases(rate: int, seconds: float, count: int, seed: int) -> Iterator[Case]:
    """Sound that is made: `count` recordings of each kind, of 1/8, 1/4 ... of `seconds`."""
    for kind, make in KINDS.items():
        draw = np.random.default_rng(seed)
        for number in range(count):
            yield Case(kind, make(seconds / 2 ** (number % 4), rate, draw))


def noise_cases(noises: Sequence[ReferenceUtterance], rate: int) -> Iterator[Case]:
    """The clips of a manifest of noises."""
    for one in noises:
        yield Case("noise clips", load(one, rate))


def speech_cases(
    utterances: Sequence[ReferenceUtterance], rate: int, seed: int, normalize: Callable[[str], str]
) -> Iterator[Case]:
    """Truncated speech, fragments of it, and speech with pauses of 30 s."""
    draw = np.random.default_rng(seed)
    fillers = [*("digital zero", "room silence", "pink noise", "breathing", "music"), "room tone"]
    for number, (one, other) in enumerate(itertools.pairwise(utterances)):
        sound, text = levelled(load(one, rate)), normalize(one.text)
        yield Case("truncated", sound[: round(draw.uniform(0.2, 0.9) * len(sound))], text)
        size = round(draw.uniform(0.1, 0.4) * rate)
        start = int(draw.integers(max(1, len(sound) - size)))
        yield Case("fragments", sound[start : start + size], text)
        filler = fillers[number % len(fillers)]
        if filler == "room tone":
            pause = room_tone(sound, 30.0, rate, draw)
        else:
            pause = KINDS[filler](30.0, rate, draw)
        begin = len(sound) / rate
        both = np.concatenate([sound, pause, levelled(load(other, rate))])
        said = f"{text} {normalize(other.text)}"
        yield Case(f"pause: {filler}", both, said, (begin, begin + 30.0))


def measure(
    recognizer: Recognizer, cases: Sequence[Case], show: bool, **search: Any
) -> dict[str, tuple[float, int, int]]:
    """Of each kind: seconds, invented words, loops."""
    normalize = TextNormalizer(recognizer.config.normalizer)
    table: dict[str, tuple[float, int, int]] = {}
    results = recognizer.transcribe_many(
        (one.samples for one in cases), sample_rate=recognizer.sample_rate, **search
    )
    for case, (_, result) in zip(cases, results, strict=True):
        if isinstance(result, AsrError):
            raise result
        text = normalize(result.text)
        words = invented(case, result, text)
        rounds = max(0, loops(text) - loops(case.text))
        if show and ((words and not case.text) or rounds):
            print(f"{case.kind}: {text}", flush=True)
        seconds, before, looped = table.get(case.kind, (0.0, 0, 0))
        table[case.kind] = (seconds + result.duration, before + words, looped + rounds)
    return table


def main() -> None:
    """Reads the command line and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("-m", "--model", help="model folder (default: the one that ships)")
    parser.add_argument("--no-lm", action="store_true", help="without its language model")
    parser.add_argument("--speech", type=Path, help="manifest of speech")
    parser.add_argument("--noise", type=Path, help="manifest of noises")
    parser.add_argument("--limit", type=int, default=24, help="utterances of speech")
    parser.add_argument("--count", type=int, default=16, help="recordings of each made kind")
    parser.add_argument("--seconds", type=float, default=40.0, help="the longest of them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chunk-ms", type=float, help="as streams hear")
    parser.add_argument("--beam", type=int)
    parser.add_argument("--ctc-weight", type=float)
    parser.add_argument("--free", action="store_true", help="deny nothing (heard_only=False)")
    parser.add_argument("--show", action="store_true", help="print what was invented")
    args = parser.parse_args()
    recognizer = load_model(args.model, lm=False if args.no_lm else None)
    if args.free:
        recognizer.search = recognizer.search.model_copy(update={"heard_only": False})
    rate, normalize = recognizer.sample_rate, TextNormalizer(recognizer.config.normalizer)
    cases = list(silent_cases(rate, args.seconds, args.count, args.seed))
    if args.noise:
        cases += noise_cases(read_utterances(args.noise), rate)
    if args.speech:
        spoken = read_utterances(args.speech)
        spoken = spoken[:: max(1, len(spoken) // (args.limit + 1))][: args.limit + 1]
        cases += speech_cases(spoken, rate, args.seed, normalize)
    search = {"chunk_ms": args.chunk_ms, "beam": args.beam, "ctc_weight": args.ctc_weight}
    table = measure(recognizer, cases, args.show, **search)
    print("| sound | minutes | invented words | an hour | loops |\n|---|---:|---:|---:|---:|")
    silent = {kind: row for kind, row in table.items() if kind not in ("truncated", "fragments")}
    total = tuple(sum(column) for column in zip(*silent.values(), strict=True))
    for kind, (seconds, words, rounds) in [*table.items(), ("all but cut speech", total)]:
        hour = words * 3600 / seconds
        print(f"| {kind} | {seconds / 60:.1f} | {words:.0f} | {hour:.1f} | {rounds:.0f} |")


if __name__ == "__main__":
    main()
