"""Trains and measures every step from the first sequence-to-sequence model to today's.

    python recipes/history/run.py                       # three seeds each
    python recipes/history/run.py --seeds 1 --only dot  # a part of it
    python recipes/history/run.py --tricks --only location --seeds 2

Needs the data of prepare.py. The last line trains a system with each of the tricks of tricks.yaml,
and without. Each run ends in exp/SYSTEM-SEED or exp/SYSTEM-TRICK-SEED with `result.json`; those
that are there are not made again, and a training that was interrupted goes on. Writes RESULTS.md
and by_length.png of what has been measured so far.

Ctrl-C, SIGINT or SIGTERM stop it, in the background too: exit status 130.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from asr.atomic import write_atomic
from asr.cli.console import DONE, INTERRUPTED
from asr.config import Config, parse, read_yaml
from asr.interrupts import ignore_interrupts, interruptible
from recipes.history.report import BEAM, SYSTEMS, Result, write_results

HERE = Path(__file__).parent


class Trick(Config):
    """Overrides of a system's recipe."""

    about: str
    set: tuple[str, ...]


class Tricks(Config):
    """What tricks.yaml says: the tricks by name."""

    tricks: dict[str, Trick]


def main() -> int:
    """Does what the command line asks for, or as much of it as there is time for; exit status."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as for what scripts leave behind
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with interruptible():
            run_missing()
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    return DONE


def run_missing() -> None:
    """Reads the command line, runs what is missing, and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--tricks", action="store_true", help="with each of tricks.yaml, too")
    args = parser.parse_args()
    known = HERE / "tricks.yaml"
    tricks = parse(Tricks, read_yaml(known), str(known)).tricks
    for trick in ["", *tricks] if args.tricks else [""]:
        for seed in range(1, args.seeds + 1):
            for system in args.only:
                name = "-".join(part for part in (system, trick, str(seed)) if part)
                folder = HERE / "exp" / name
                if not (folder / "result.json").exists():
                    overrides = tricks[trick].set if trick else ()
                    result = run(system, seed, folder, trick, overrides)
                    write_atomic(folder / "result.json", json.dumps(asdict(result)))
                    report(tricks)
    report(tricks)


def report(tricks: dict[str, Trick]) -> None:
    """RESULTS.md and the plot, of all runs that have ended."""
    found = sorted(HERE.glob("exp/*/result.json"))
    results = [Result(**json.loads(path.read_text())) for path in found]
    write_results(results, {name: one.about for name, one in tricks.items()}, HERE)


def run(
    system: str, seed: int, folder: Path, trick: str = "", overrides: tuple[str, ...] = ()
) -> Result:
    """Trains one system, or goes on with it, and measures it on the test strings."""
    # here, since loading torch takes seconds, in which the program is to be stopped in peace
    from asr.evaluate.corpus import read_utterances
    from asr.evaluate.evaluation import evaluate
    from asr.train.recipe import load_recipe
    from asr.train.run import train
    from asr.transcribe.recognizer import load_model

    trained = folder / "trained.json"
    spent = json.loads(trained.read_text()) if trained.exists() else {"seconds": 0.0, "done": False}
    if not spent["done"]:
        recipe = load_recipe(HERE / f"{system}.yaml", [f"training.seed={seed}", *overrides])
        began = time.process_time()
        try:
            spent["done"] = train(recipe, folder).ended != "interrupted"
        finally:
            spent["seconds"] += time.process_time() - began
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(trained, json.dumps(spent))
        if not spent["done"]:
            raise KeyboardInterrupt
    recognizer = load_model(folder / "model", "cpu")
    found = evaluate(recognizer, read_utterances(HERE / "data" / "test.jsonl"), beam=BEAM)
    return Result(
        system=system,
        seed=seed,
        parameters=sum(one.numel() for one in recognizer.model.parameters()),
        steps=int(recognizer.config.facts["steps"]),
        cpu_seconds=spent["seconds"],
        strings=[
            (str(one.speaker), int(one.id.split("_")[1]), one.words.errors, one.words.length)
            for one in found.scored
        ],
        trick=trick,
    )


if __name__ == "__main__":
    status = main()
    ignore_interrupts()
    sys.exit(status)
