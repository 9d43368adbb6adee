"""RESULTS.md and by_length.png: what the runs of run.py came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from asr.evaluate.error_rate import Counts, total
from asr.evaluate.interval import Interval, difference_interval, rate_interval

SYSTEMS = {
    "fixed": "LSTM, fixed vector",
    "additive": "LSTM, additive attention",
    "location": "LSTM, location-aware attention",
    "dot": "GRU, dot attention",
    "las": "pyramidal BLSTM, location-aware attention, CTC",
    "transformer": "Transformer",
    "conformer": "Conformer, Transformer decoder, CTC",
}
#: The most digits of a string to train on, and of one to test on.
TRAINED, TESTED = 10, 20
LENGTHS = {
    f"1 to {TRAINED} digits": range(1, TRAINED + 1),
    f"{TRAINED + 1} to {TESTED} digits": range(TRAINED + 1, TESTED + 1),
}
BEAM = 4

ABOUT = f"""# From the first sequence-to-sequence model to today's: results

    python recipes/history/prepare.py ../shared/corpora/fsdd
    python recipes/history/run.py

Strings of digits joined from the Free Spoken Digit Dataset (Jackson et al., CC BY-SA 4.0). All
systems are trained on the same strings of 1 to {TRAINED} digits, with the same labels (a word is
one label) and as many passes over them, and tested on strings of 1 to {TESTED}, of recordings
that are in no training string (beam {BEAM}). All six speakers are in both parts: the figures say
nothing about other voices. 95 % intervals are bootstraps over speakers, of all seeds together;
behind them stands what each seed came to. Time is that of one CPU core, with preparing the data.
"""

ABOUT_TRICKS = """## What the tricks against exposure bias are worth

{commands}

Each changes one thing of the recipe of its system and is compared with the runs of the table above
that have the same seeds: the same strings, the same weights to begin with. Differences are in
points, with 95 % intervals; behind them stands the difference of each seed. Better (worse) is what
has its whole interval below (above) 0, and is so with every seed; all else is unclear.
"""


@dataclass(frozen=True)
class Result:
    """One run: of each test string who said it, its digits, and the errors and words counted.

    `trick` is the name of what it was trained with beside its system's recipe, if anything.
    """

    system: str
    seed: int
    parameters: int
    steps: int
    cpu_seconds: float
    strings: list[tuple[str, int, int, int]]
    trick: str = ""


@dataclass(frozen=True)
class Strings:
    """Test strings of some runs, in the order of the runs and of the manifest."""

    speakers: list[str]
    counts: list[Counts]

    @classmethod
    def of(cls, runs: Sequence[Result], lengths: range) -> Strings:
        """Those with so many digits."""
        found = [one for result in runs for one in result.strings if one[1] in lengths]
        # of which kind the errors are is not kept
        counts = [Counts(length=words, substitutions=errors) for *_, errors, words in found]
        return cls([speaker for speaker, *_ in found], counts)

    @property
    def percent(self) -> float:
        """The word error rate."""
        return 100 * (total(self.counts).rate or 0.0)


def write_results(results: Sequence[Result], tricks: Mapping[str, str], folder: Path) -> None:
    """RESULTS.md and the plot, of all runs that have ended. `tricks`: what each one is."""
    runs = {name: _of(results, name) for name in SYSTEMS}
    runs = {name: found for name, found in runs.items() if found}
    lines = [
        *ABOUT.splitlines(),
        "",
        f"| system | seeds | parameters | training | WER, {' | WER, '.join(LENGTHS)} |",
        f"|---|---:|---:|---:|{'---:|' * len(LENGTHS)}",
        *(_row(name, found) for name, found in runs.items()),
        "",
        "![word error rate by number of digits](by_length.png)",
        "",
    ]
    tables = {name: _tricks_table(name, results, tricks) for name in runs}
    tried = [name for name, table in tables.items() if table]
    if tried:
        about = ABOUT_TRICKS.format(commands=_commands(tried, results))
        lines += [*about.splitlines(), "", *(line for name in tried for line in tables[name])]
    (folder / "RESULTS.md").write_text("\n".join(lines), encoding="utf-8")
    draw(runs, folder / "by_length.png")


def _of(results: Sequence[Result], system: str, trick: str = "") -> list[Result]:
    found = [one for one in results if (one.system, one.trick) == (system, trick)]
    return sorted(found, key=lambda one: one.seed)


def _commands(systems: Sequence[str], results: Sequence[Result]) -> str:
    """What runs these systems with tricks, and as many seeds as they were run with."""
    seeds = {
        name: max(one.seed for one in results if one.system == name and one.trick)
        for name in systems
    }
    return "\n".join(
        f"    python recipes/history/run.py --tricks --only "
        f"{' '.join(name for name in systems if seeds[name] == count)} --seeds {count}"
        for count in sorted(set(seeds.values()))
    )


def _row(name: str, runs: Sequence[Result]) -> str:
    rates = []
    for lengths in LENGTHS.values():
        strings = Strings.of(runs, lengths)
        found = rate_interval(strings.counts, strings.speakers)
        each = ", ".join(f"{Strings.of([one], lengths).percent:.1f}" for one in runs)
        rates.append(f"{strings.percent:.1f} %{_between(found)}; {each}")
    return (
        f"| {SYSTEMS[name]} | {len(runs)} | {runs[0].parameters / 1e6:.2f} M | {_minutes(runs)} | "
        f"{' | '.join(rates)} |"
    )


def _tricks_table(system: str, results: Sequence[Result], tricks: Mapping[str, str]) -> list[str]:
    """The runs of a system with each trick beside those of the same seeds without one."""
    plain, rows = {one.seed: one for one in _of(results, system)}, []
    compared: dict[int, Result] = {}
    for trick, about in tricks.items():
        runs = _of(results, system, trick)
        pairs = [(one, plain[one.seed]) for one in runs if one.seed in plain]
        if pairs:
            cells = [_against(pairs, lengths) for lengths in LENGTHS.values()]
            rows.append(f"| {about} | {_minutes(runs)} | {' | '.join(cells)} |")
            compared |= {base.seed: base for _, base in pairs}
    if not rows:
        return []
    bases = list(compared.values())
    rates = [f"{Strings.of(bases, lengths).percent:.1f} % | " for lengths in LENGTHS.values()]
    return [
        f"| {SYSTEMS[system]} | training | "
        f"{' | '.join(f'WER, {name} | against none' for name in LENGTHS)} |",
        f"|---|---:|{'---:|---|' * len(LENGTHS)}",
        f"| none | {_minutes(bases)} | {'| '.join(rates)}|",
        *rows,
        "",
    ]


def _against(pairs: Sequence[tuple[Result, Result]], lengths: range) -> str:
    """The rate of runs and by how much it is above that of their bases."""
    ours = Strings.of([one for one, _ in pairs], lengths)
    base = Strings.of([other for _, other in pairs], lengths)
    found = difference_interval(ours.counts, base.counts, ours.speakers)
    each = [
        Strings.of([one], lengths).percent - Strings.of([other], lengths).percent
        for one, other in pairs
    ]
    assert found is not None
    verdict = "unclear"
    if found.high < 0 and max(each) < 0:
        verdict = "better"
    elif found.low > 0 and min(each) > 0:
        verdict = "worse"
    return (
        f"{ours.percent:.1f} % | {verdict}: {ours.percent - base.percent:+.1f}"
        f"{_between(found, '+')}; {', '.join(f'{one:+.1f}' for one in each)}"
    )


def _minutes(runs: Sequence[Result]) -> str:
    return f"{sum(one.cpu_seconds for one in runs) / len(runs) / 60:.1f} min"


def _between(found: Interval | None, sign: str = "") -> str:
    assert found is not None
    return f" ({100 * found.low:{sign}.1f} to {100 * found.high:{sign}.1f})"


def draw(runs: Mapping[str, Sequence[Result]], picture: Path) -> None:
    """Word error rate against the number of digits, a line for each system."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axis = figure.subplots()
    for (name, found), marker in zip(runs.items(), cycle("osD^vP*"), strict=False):
        lengths = sorted({digits for result in found for _, digits, *_ in result.strings})
        rates = [Strings.of(found, range(one, one + 1)).percent for one in lengths]
        axis.plot(lengths, rates, marker=marker, markersize=4, linewidth=1.2, label=SYSTEMS[name])
    axis.axvline(TRAINED + 0.5, color="grey", linestyle="--", linewidth=1)
    axis.text(TRAINED + 0.7, 96, "longer than in training", fontsize=9, color="grey", va="top")
    axis.set_xlabel("digits in the string")
    axis.set_ylabel("word error rate, %")
    axis.set_xticks(range(1, TESTED + 1))
    axis.set_ylim(0, 100)
    axis.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside lower center", ncols=2)
    FigureCanvasAgg(figure)
    figure.savefig(picture, dpi=110)
