"""Whether the confidence of words is what it says where a search is not the one it was fitted with.

    OMP_NUM_THREADS=1 python tools/measure_confidence.py DEV.jsonl ... --others TEXT \
      beam=10 beam=1 hotwords lm_weight=0.1 lm=false,beam=1 chunk_ms=640

Each setting is what `Recognizer.transcribe` is asked for, with commas between several; `lm=false`
takes no language model. With `hotwords` 60 words that the references say once and 140 of --others
that they do not say are given, all of six letters or more.

For each setting a row: the word error rate, how many words are right, what their confidence is on
average, its expected calibration error (15 bins), and how often a right word is surer than a wrong
one (AUC). On speech that the maps were fitted on the error flatters; rows compare.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import yaml

from asr.evaluate.corpus import ReferenceUtterance, read_utterances
from asr.evaluate.error_rate import percent
from asr.evaluate.evaluation import Evaluation, evaluate
from asr.evaluate.reliability import reliability_of
from asr.text import TextNormalizer
from asr.text.reading import read_texts
from asr.transcribe.recognizer import load_model

LETTERS = 6
SAID, NOT_SAID = 60, 140
LINES = 50_000


def sample(manifests: Sequence[Path], count: int) -> list[ReferenceUtterance]:
    """`count` utterances of each manifest, drawn from all of it."""
    found: list[ReferenceUtterance] = []
    for path in manifests:
        utterances = read_utterances(path)
        random.Random(5).shuffle(utterances)
        found += utterances[:count]
    return found


def phrases(utterances: Sequence[ReferenceUtterance], others: Path) -> list[str]:
    """Words that are said once, and words of a text that are not said."""
    normalize, draw = TextNormalizer(), random.Random(1)
    said = Counter(word for one in utterances for word in normalize(one.text).split())
    once = sorted(word for word, count in said.items() if count == 1 and len(word) >= LETTERS)
    lines = islice(read_texts(others), LINES)
    known = {word for line in lines for word in normalize(line).split() if len(word) >= LETTERS}
    never = sorted(known - set(said))
    return draw.sample(once, min(SAID, len(once))) + draw.sample(never, min(NOT_SAID, len(never)))


def settings(text: str, hotwords: Sequence[str]) -> dict[str, Any]:
    """What a setting of the command line asks for."""
    pairs = (part.partition("=") for part in text.split(","))
    return {
        key: list(hotwords) if key == "hotwords" else yaml.safe_load(value)
        for key, _, value in pairs
    }


def row(name: str, found: Evaluation) -> str:
    """A line of the table."""
    known = reliability_of(found.scored)
    if known is None or known.auc is None:
        return f"{name:24} no confidence"
    mean = sum(one.words * one.confidence for one in known.bins) / known.words
    return (
        f"{name:24} {percent(found.words.rate, 1):>8} {known.words:>6} {known.right:>7.3f} "
        f"{mean:>7.3f} {known.ece:>6.3f} {known.auc:>6.3f}"
    )


def rows(args: argparse.Namespace) -> Iterator[str]:
    """The table."""
    utterances = sample(args.manifests, args.utterances)
    hotwords = phrases(utterances, args.others) if args.others else []
    yield f"{'search':24} {'WER':>8} {'words':>6} {'right':>7} {'said':>7} {'ECE':>6} {'AUC':>6}"
    for name in args.settings:
        asked = settings(name, hotwords)
        recognizer = load_model(args.model, "cpu", lm=asked.pop("lm", None))
        yield row(name, evaluate(recognizer, utterances, **asked))


def main() -> None:
    """Parses the options and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("given", nargs="+", metavar="MANIFEST|SETTING")
    parser.add_argument("-m", "--model", type=Path, default=None)
    parser.add_argument("--others", type=Path, help="a text with words that are not said")
    parser.add_argument("--utterances", type=int, default=40, help="of each manifest")
    args = parser.parse_intermixed_args()
    args.manifests = [Path(one) for one in args.given if one.endswith(".jsonl")]
    args.settings = [one for one in args.given if not one.endswith(".jsonl")]
    if args.others is None and any("hotwords" in one.split(",") for one in args.settings):
        parser.error("hotwords need --others")
    if not args.manifests or not args.settings:
        parser.error("name manifests (.jsonl) and settings (key=value)")
    torch.set_num_threads(1)
    for line in rows(args):
        print(line, flush=True)


if __name__ == "__main__":
    main()
