"""Has a model transcribe what each synthetic voice said: garbled voices stand out.

    python tools/hear_voices.py recipes/english/data/synthetic.jsonl --each 20 -m MODEL

Prints the character error rate of each voice, worst first, as patterns that `tools/synthesise.py
--leave-out` takes; a voice of eSpeak counts for its accent and for its variant. Only differences
between voices say something: the model itself errs.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from asr.errors import AsrError
from asr.evaluate.corpus import ReferenceUtterance, read_utterances
from asr.evaluate.error_rate import Scored, total
from asr.evaluate.evaluation import evaluate
from asr.transcribe.recognizer import load_model


def main() -> int:
    """Reads the command line, transcribes, prints; 2 is a wrong call."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--each", type=int, default=20, help="utterances of a voice at least")
    parser.add_argument("-m", "--model", help="a model folder (default: the one that ships)")
    parser.add_argument("--beam", type=int, default=1)
    args = parser.parse_args()
    try:
        chosen = sample(read_utterances(args.manifest), args.each)
        found = evaluate(load_model(args.model, "cpu"), chosen, beam=args.beam)
    except AsrError as error:
        print(f"hear_voices: {error}", file=sys.stderr)
        return 2
    for name, error in found.failed.items():
        print(f"{name}: {error}", file=sys.stderr)
    print(table(found.scored), end="")
    return 1 if found.failed else 0


def voices_of(speaker: str) -> list[str]:
    """The voices that a speaker counts for: `a:b+c` for `a:b+*` and for `a:*+c`."""
    engine, _, voice = speaker.partition(":")
    accent, plus, variant = voice.partition("+")
    return [f"{engine}:{accent}+*", f"{engine}:*+{variant}"] if plus else [speaker]


def sample(utterances: Sequence[ReferenceUtterance], each: int) -> list[ReferenceUtterance]:
    """Random utterances, `each` of every voice where there are as many; always the same ones."""
    shuffled = sorted(utterances, key=lambda one: one.id)
    random.Random(0).shuffle(shuffled)
    taken: defaultdict[str, int] = defaultdict(int)
    chosen = []
    for one in shuffled:
        voices = voices_of(one.speaker or "")
        if any(taken[voice] < each for voice in voices):
            chosen.append(one)
            for voice in voices:
                taken[voice] += 1
    return chosen


def table(scored: Sequence[Scored]) -> str:
    """A line for each voice, the worst first, and one for all together."""
    of_voice: defaultdict[str, list[Scored]] = defaultdict(list)
    for one in scored:
        for voice in voices_of(one.speaker or ""):
            of_voice[voice].append(one)
    rows = [(total(one.characters for one in said), name, said) for name, said in of_voice.items()]
    rows.sort(key=lambda row: (-(row[0].rate or 0.0), row[1]))
    rows.append((total(one.characters for one in scored), "all", list(scored)))
    return "".join(
        f"{name:40s} {100 * (counts.rate or 0.0):6.1f} % CER  {len(said):5d} utterances\n"
        for counts, name, said in rows
    )


if __name__ == "__main__":
    sys.exit(main())
