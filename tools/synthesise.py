"""Makes synthetic speech to train on: sentences of a text, said by many voices.

    python tools/synthesise.py ../shared/corpora/text/novels.txt.xz \\
        --without ../shared/corpora/dev/*/manifest.jsonl \\
        -o recipes/english/data/synthetic.jsonl --hours 20 --jobs 2

Writes 16 kHz Ogg Opus below a folder with the manifest's name, and the manifest. A call that was
stopped, by whatever, goes on when it is given again, and more hours go on behind fewer. No
sentence of the manifests named by --without is said, nor one that shares seven words in a row
with them. docs/synthetic-speech.md says which packages the engines are in.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from synthesis.engines import ENGINES
from synthesis.make import Made, Manners, deliveries, make
from synthesis.sentences import Choice, Held, choose

from asr.errors import AsrError, ConfigError
from asr.text.reading import read_texts

#: How often each engine speaks: the more natural ones more often.
SHARES = {"flite": 5.0, "rhvoice": 5.0, "pico": 4.0, "festival": 1.5, "espeak": 1.0}


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the command line and makes the speech; 2 is a wrong call or a missing program."""
    args = parser().parse_args(arguments)
    try:
        shares = shares_of(args.share)
        voices = {engine: voices_of(engine, args.leave_out) for engine in shares}
        held = Held(text for manifest in args.without for text in read_texts(manifest))
        choice = Choice(*args.words, seen=args.seen, rarity=args.rarity, seed=args.seed)
        sentences = choose(read_texts(args.text), held, choice)
        count = sum(map(len, voices.values()))
        say(f"{count} voices of {len(voices)} engines: {', '.join(voices)}")
        plan = deliveries(sentences, voices, shares, Manners(), args.seed)
        made = make(plan, ENGINES, args.output, args.hours, args.jobs, Progress())
    except AsrError as error:
        say(f"synthesise: {error}")
        return 2
    except KeyboardInterrupt:
        say("stopped; the same call goes on")
        return 130
    return report(made, args.hours)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    found.add_argument("text", type=Path, help="one sentence a line (.xz, .gz, .bz2), or .jsonl")
    found.add_argument("-o", "--output", type=Path, required=True, help="the manifest to write")
    found.add_argument(
        "--without", type=Path, nargs="+", default=[], metavar="MANIFEST",
        help="say nothing that these sets say: name all dev and test sets",
    )  # fmt: skip
    found.add_argument("--hours", type=float, required=True)
    found.add_argument("--jobs", type=int, default=1, help="programs that run at a time")
    found.add_argument("--seed", type=int, default=0)
    found.add_argument(
        "--words", type=int, nargs=2, default=(4, 30), metavar=("LEAST", "MOST"),
        help="words of a sentence (default: 4 30)",
    )  # fmt: skip
    found.add_argument(
        "--seen", type=int, default=5, help="leave out words that the text has fewer times"
    )
    found.add_argument(
        "--rarity", type=float, default=6.0, help="0: all sentences alike; more: rare words first"
    )
    found.add_argument(
        "--share", nargs="+", default=[], metavar="ENGINE=WEIGHT",
        help=f"engines and how often they speak (default: {usual()})",
    )  # fmt: skip
    found.add_argument(
        "--leave-out", nargs="+", default=[], metavar="ENGINE:VOICE",
        help="voices that shall not speak; * stands for anything",
    )  # fmt: skip
    return found


def usual() -> str:
    """The default of --share."""
    return " ".join(f"{engine}={weight:g}" for engine, weight in SHARES.items())


def shares_of(given: Sequence[str]) -> dict[str, float]:
    """Engines with their weights. Raises ConfigError."""
    shares = {}
    for one in given:
        engine, _, weight = one.partition("=")
        if engine not in ENGINES:
            raise ConfigError(f"--share: no engine '{engine}'; known: {', '.join(ENGINES)}")
        try:
            shares[engine] = float(weight or 1)
        except ValueError:
            raise ConfigError(f"--share {one}: the weight is no number; write flite=2") from None
        if not 0 < shares[engine] < float("inf"):
            raise ConfigError(f"--share {one}: the weight must be above 0; leave the engine out")
    return shares or SHARES


def voices_of(engine: str, leave_out: Sequence[str]) -> list[str]:
    """The voices of an engine that may speak. Raises ConfigError, DependencyError."""
    voices = [
        voice
        for voice in ENGINES[engine].voices()
        if not any(fnmatch(f"{engine}:{voice}", pattern) for pattern in leave_out)
    ]
    if not voices:
        raise ConfigError(
            f"{engine} has no English voice left; install one (docs/synthetic-speech.md), "
            "or leave the engine out with --share"
        )
    return voices


class Progress:
    """A line every minute."""

    def __init__(self) -> None:
        self.started = self.said = time.monotonic()

    def __call__(self, made: Made) -> None:
        """Called after each chunk."""
        now = time.monotonic()
        if now - self.said > 60:
            self.said = now
            speed = made.seconds / (now - self.started)
            say(f"{made.seconds / 3600:.2f} h, {speed:.0f} times real time")


def report(made: Made, hours: float) -> int:
    """Says what there is; 1 where the text did not suffice."""
    say(f"{len(made.lines)} utterances, {made.seconds / 3600:.2f} h")
    for (engine, reason), count in sorted(made.rejected.items()):
        say(f"rejected: {count} of {engine}: {reason}")
    if made.seconds < hours * 3600:
        say(f"all sentences are said, and they are less than {hours:g} h; name more text")
        return 1
    return 0


def say(line: str) -> None:
    """To the terminal, not to the result."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
