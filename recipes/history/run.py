"""Trains and measures every step from the first sequence-to-sequence model to today's.

    python recipes/history/run.py                       # three seeds each
    python recipes/history/run.py --seeds 1 --only dot  # a part of it

Needs the data of prepare.py. Each run ends in exp/SYSTEM-SEED with `result.json`; those that are
there are not made again, and a training that was interrupted goes on. Writes RESULTS.md and
by_length.png of what has been measured so far.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from asr.evaluate.corpus import read_utterances
from asr.evaluate.error_rate import Counts
from asr.evaluate.evaluation import evaluate
from asr.evaluate.interval import rate_interval
from asr.train.recipe import load_recipe
from asr.train.run import train
from asr.transcribe.recognizer import load_model

HERE = Path(__file__).parent
SYSTEMS = {
    "fixed": "LSTM, fixed vector",
    "additive": "LSTM, additive attention",
    "location": "LSTM, location-aware attention",
    "dot": "GRU, dot attention",
    "las": "pyramidal BLSTM, location-aware attention, CTC",
    "transformer": "Transformer",
    "conformer": "Conformer, Transformer decoder, CTC",
}
TRAINED = 10
BEAM = 4

ABOUT = f"""# From the first sequence-to-sequence model to today's: results

    python recipes/history/prepare.py ../shared/corpora/fsdd
    python recipes/history/run.py

Strings of digits joined from the Free Spoken Digit Dataset (Jackson et al., CC BY-SA 4.0). All
systems are trained on the same strings of 1 to {TRAINED} digits, with the same labels (a word is
one label) and as many passes over them, and tested on strings of 1 to 20 digits, of recordings
that are in no training string (beam {BEAM}). All six speakers are in both parts: the figures say
nothing about other voices. 95 % intervals are bootstraps over speakers, of all seeds together;
time is that of one CPU core, with preparing the data.
"""


@dataclass(frozen=True)
class Result:
    """One run: of each test string who said it, its digits, and the errors and words counted."""

    system: str
    seed: int
    parameters: int
    steps: int
    cpu_seconds: float
    strings: list[tuple[str, int, int, int]]


def main() -> None:
    """Reads the command line, runs what is missing, and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    args = parser.parse_args()
    for seed in range(1, args.seeds + 1):
        for system in args.only:
            folder = HERE / "exp" / f"{system}-{seed}"
            if not (folder / "result.json").exists():
                result = run(system, seed, folder)
                (folder / "result.json").write_text(json.dumps(asdict(result)))
            write_results()


def run(system: str, seed: int, folder: Path) -> Result:
    """Trains one system, or goes on with it, and measures it on the test strings."""
    trained = folder / "trained.json"
    spent = json.loads(trained.read_text()) if trained.exists() else {"seconds": 0.0, "done": False}
    if not spent["done"]:
        recipe = load_recipe(HERE / f"{system}.yaml", [f"training.seed={seed}"])
        began = time.process_time()
        try:
            spent["done"] = train(recipe, folder).ended != "interrupted"
        finally:
            spent["seconds"] += time.process_time() - began
            folder.mkdir(parents=True, exist_ok=True)
            trained.write_text(json.dumps(spent))
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
    )


def write_results() -> None:
    """RESULTS.md and the plot, of all runs that have ended."""
    results = [
        Result(**json.loads(path.read_text())) for path in sorted(HERE.glob("exp/*/result.json"))
    ]
    by_system = {name: [one for one in results if one.system == name] for name in SYSTEMS}
    runs = {name: found for name, found in by_system.items() if found}
    lines = [
        *ABOUT.splitlines(),
        "",
        f"| system | seeds | parameters | training | WER, 1 to {TRAINED} digits | "
        f"WER, {TRAINED + 1} to 20 digits |",
        "|---|---:|---:|---:|---:|---:|",
        *(_row(name, found) for name, found in runs.items()),
        "",
        "![word error rate by number of digits](by_length.png)",
        "",
    ]
    (HERE / "RESULTS.md").write_text("\n".join(lines), encoding="utf-8")
    draw(runs, HERE / "by_length.png")


def _row(name: str, runs: Sequence[Result]) -> str:
    minutes = sum(one.cpu_seconds for one in runs) / len(runs) / 60
    rates = [_rate(runs, lengths) for lengths in (range(1, TRAINED + 1), range(TRAINED + 1, 21))]
    return (
        f"| {SYSTEMS[name]} | {len(runs)} | {runs[0].parameters / 1e6:.2f} M | {minutes:.1f} min | "
        f"{rates[0]} | {rates[1]} |"
    )


def _rate(runs: Sequence[Result], lengths: range) -> str:
    strings = [one for result in runs for one in result.strings if one[1] in lengths]
    counts = [_counts(errors, words) for _, _, errors, words in strings]
    interval = rate_interval(counts, [speaker for speaker, *_ in strings])
    assert interval is not None
    rate = sum(one.errors for one in counts) / sum(one.length for one in counts)
    return f"{100 * rate:.1f} % ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _counts(errors: int, words: int) -> Counts:
    """As many errors in as many words; of which kind they are is not kept."""
    return Counts(length=words, substitutions=errors, deletions=0, insertions=0)


def draw(runs: dict[str, list[Result]], picture: Path) -> None:
    """Word error rate against the number of digits, a line for each system."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axis = figure.subplots()
    for (name, found), marker in zip(runs.items(), "osD^vP*", strict=False):
        strings = [one for result in found for one in result.strings]
        lengths = sorted({digits for _, digits, _, _ in strings})
        rates = []
        for length in lengths:
            here = [(errors, words) for _, digits, errors, words in strings if digits == length]
            rates.append(100 * sum(e for e, _ in here) / sum(w for _, w in here))
        axis.plot(lengths, rates, marker=marker, markersize=4, linewidth=1.2, label=SYSTEMS[name])
    axis.axvline(TRAINED + 0.5, color="grey", linestyle="--", linewidth=1)
    axis.text(TRAINED + 0.7, 96, "longer than in training", fontsize=9, color="grey", va="top")
    axis.set_xlabel("digits in the string")
    axis.set_ylabel("word error rate, %")
    axis.set_xticks(range(1, 21))
    axis.set_ylim(0, 100)
    axis.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside lower center", ncols=2)
    FigureCanvasAgg(figure)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
