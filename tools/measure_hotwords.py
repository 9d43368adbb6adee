"""What hotwords gain on rare words, and what they harm where nobody says them.

    python tools/measure_hotwords.py DEV.jsonl --train TRAIN.jsonl \
      --weights 0,0.25,0.5,1 --distractors 0,100,500 [--limit N] [--no-lm]

Rare are words of at least four letters that the transcripts of --train have at most --seen times.
Those that the references of DEV say are the hotwords, and beside them are so many distractors: rare
words of --others that DEV does not say. With weight 0 there are no hotwords.

For each weight and number of distractors a row: the word error rate, the recall of rare words (how
many of those that were said are written where they belong), how often a hotword was written that
was not said there, the error rate of the other words, and processor seconds for the search. In rows
with "absent" the hotwords are distractors only: what they change is harm.
"""

from __future__ import annotations

import argparse
import itertools
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import torch
from torch.nn.utils.rnn import pad_sequence
from tune_search import Encoded, batches, encode

from asr import Recognizer, load_model
from asr.evaluate.corpus import read_utterances
from asr.evaluate.scoring import build_normalizer, scoring_for
from asr.search import all_scorers, search
from asr.transcribe.hotwords import phrase_tree

LETTERS = 4


@dataclass(frozen=True)
class Found:
    """What was written: counts of words."""

    words: int = 0
    errors: int = 0
    rare: int = 0
    """Rare words that were said ..."""
    right: int = 0
    """... and written."""
    false: int = 0
    """Hotwords that were written and not said."""
    other_errors: int = 0
    """Words that are not rare and are wrong, and words that were inserted and are no hotwords."""

    def __add__(self, other: Found) -> Found:
        mine, yours = vars(self), vars(other)
        return Found(**{name: mine[name] + yours[name] for name in mine})

    def row(self) -> str:
        """The columns of the table."""
        return (
            f"{100 * self.errors / self.words:.2f} % | {self.right} of {self.rare} "
            f"({100 * self.right / max(1, self.rare):.1f} %) | {self.false} | "
            f"{100 * self.other_errors / (self.words - self.rare):.2f} %"
        )


def compared(
    reference: str, hypothesis: str, rare: Collection[str], hotwords: Collection[str]
) -> Found:
    """Counts the words of one utterance."""
    said, heard = reference.split(), hypothesis.split()
    if not said:
        return Found(errors=len(heard), false=sum(word in hotwords for word in heard))
    [parts] = jiwer.process_words([reference], [hypothesis]).alignments
    found = Found(len(said), rare=sum(word in rare for word in said))
    for part in parts:
        words = said[part.ref_start_idx : part.ref_end_idx]
        written = heard[part.hyp_start_idx : part.hyp_end_idx]
        if part.type == "equal":
            found += Found(right=sum(word in rare for word in words))
            continue
        inserted = sum(word not in hotwords for word in written) if part.type == "insert" else 0
        found += Found(
            errors=max(len(words), len(written)),
            false=sum(word in hotwords for word in written),
            other_errors=sum(word not in rare for word in words) + inserted,
        )
    return found


def vocabulary(manifest: Path, normalize: Callable[[str], str]) -> Counter[str]:
    """How often each word is written in a manifest."""
    texts = (normalize(one.text) for one in read_utterances(manifest))
    return Counter(itertools.chain.from_iterable(text.split() for text in texts))


def rare_words(words: Iterable[str], seen: Counter[str], most: int) -> list[str]:
    """Those that are rare, in alphabetical order."""
    written = re.compile(f"[a-z]{{{LETTERS},}}")
    return sorted({one for one in words if seen[one] <= most and written.fullmatch(one)})


def measure(
    recognizer: Recognizer,
    encoded: Sequence[Encoded],
    rare: Collection[str],
    hotwords: Sequence[str],
    weight: float,
) -> tuple[Found, float]:
    """Searches with these hotwords; what was found, and processor seconds."""
    config = recognizer.search.model_copy(update={"hotword_weight": weight})
    tree = phrase_tree(hotwords, recognizer.loaded) if weight and hotwords else None
    lm = recognizer.lm.lm if recognizer.lm is not None else None
    labels = recognizer.tokenizer.labels
    normalize = build_normalizer(scoring_for(recognizer.config.normalizer))
    total, known, begin = Found(), set(hotwords), time.process_time()
    with torch.inference_mode():
        for batch in batches(encoded, 1500):
            memory = pad_sequence([one.memory for one in batch], batch_first=True)
            lengths = torch.tensor([len(one.memory) for one in batch], device=memory.device)
            scorers = all_scorers(recognizer.model, labels, config, lm, tree)
            for one, [best, *_] in zip(
                batch, search(scorers, memory, lengths, labels, config), strict=True
            ):
                text = normalize(recognizer.tokenizer.decode(best.tokens))
                total += compared(one.reference, text, rare, known)
    return total, time.process_time() - begin


def main() -> None:
    """Reads the command line and prints the table."""
    args = arguments()
    recognizer = load_model(args.model, lm=False if args.no_lm else None)
    recognizer.search = recognizer.search.model_copy(update={"pre_beam": args.pre_beam})
    normalize = build_normalizer(scoring_for(recognizer.config.normalizer))
    utterances = read_utterances(args.manifest)
    if args.limit:
        utterances = utterances[:: max(1, len(utterances) // args.limit)][: args.limit]
    encoded = list(encode(recognizer, utterances))
    seen = vocabulary(args.train, normalize)
    said = Counter(itertools.chain.from_iterable(one.reference.split() for one in encoded))
    rare = rare_words(said, seen, args.seen)
    others = itertools.chain.from_iterable(vocabulary(one, normalize) for one in args.others)
    absent = [word for word in rare_words(others, seen, args.seen) if word not in said]
    print(f"{len(encoded)} utterances, {len(rare)} rare words, {len(absent)} distractors to take")
    print("| hotwords | weight | WER | rare words right | false | WER of the others | seconds |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for distractors in args.distractors:
        wrong = absent[:: max(1, len(absent) // max(1, distractors))][:distractors]
        for weight in args.weights:
            if weight or not distractors:
                found, spent = measure(recognizer, encoded, rare, [*rare, *wrong], weight)
                name = f"{len(rare)} said, {len(wrong)} not" if weight else "none"
                print(f"| {name} | {weight:g} | {found.row()} | {spent:.0f} |", flush=True)
        for weight in args.weights if wrong else ():
            if weight:
                found, spent = measure(recognizer, encoded, rare, wrong, weight)
                name = f"absent: {len(wrong)}"
                print(f"| {name} | {weight:g} | {found.row()} | {spent:.0f} |", flush=True)


def arguments() -> argparse.Namespace:
    """What was asked for."""

    def numbers(kind: Callable[[str], float]) -> Callable[[str], list[float]]:
        return lambda text: [kind(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="manifests")
    parser.add_argument("-m", "--model", help="model folder (default: the one that ships)")
    parser.add_argument("--no-lm", action="store_true")
    parser.add_argument("--weights", type=numbers(float), default=[0, 0.25, 0.5, 1.0])
    parser.add_argument("--distractors", type=numbers(int), default=[0, 100, 500])
    parser.add_argument("--seen", type=int, default=2)
    parser.add_argument("--pre-beam", type=float, default=1.5)
    parser.add_argument("--limit", type=int, help="about so many utterances, evenly taken")
    return parser.parse_args()


if __name__ == "__main__":
    main()
