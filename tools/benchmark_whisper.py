"""Whisper models here, in faster-whisper and in transformers, on the same recordings.

    python tools/benchmark_whisper.py RESULTS -m MODEL... --corpora FOLDER \
      [--faster-whisper PYTHON] [--transformers PYTHON] [--lm LM_FOLDER --lm-weight W]

Transcribes `--count` utterances of each set, drawn with a seed (0: all), and `--noise` clips of
noise, with every system, model and beam: this toolkit, and the others where the interpreter that
has them is named. Each system runs in a process of its own, one recording at a time, on one thread.
RESULTS is a folder with a file of JSON lines a system; what is there already is not done again, so
a run can be stopped and go on. Use a new folder after a change of code. `--only TEXT` runs the
systems whose names hold one of these texts; `--table` runs nothing.

Prints the word error rate on each set, of all sets together with its 95 % interval, invented words
an hour in recordings where nothing is said, processor seconds for each second of sound (the sets of
speech), processor seconds from the start of the process to the first text, and peak memory. One
normaliser writes the texts of all systems and the references. CTranslate2 folders are converted for
transformers.

French: `--sets french/dev --language fr`, or `--language auto`: then the share of utterances is
printed whose language was detected as the manifest has it.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from whisper_to_hugging_face import write_hugging_face

from asr.evaluate.corpus import ReferenceUtterance, read_utterances
from asr.evaluate.error_rate import Counts, count_words, total
from asr.evaluate.interval import rate_interval
from asr.evaluate.scoring import build_normalizer, scoring_for
from asr.text import NormalizerConfig

WORKER = Path(__file__).with_name("whisper_worker.py")
SETS = (
    *("dev/librispeech", "dev/librispeech-other", "dev/commonvoice-v1", "dev/commonvoice-2023"),
    *("dev/speechocean762", "dev/an4"),
)
NOISE = "noise"


@dataclass(frozen=True)
class System:
    """What transcribes, as one process does it.

    Attributes:
        name: of its file of results.
        toolkit: as `whisper_worker.py` names it.
        silent: whether it also transcribes the recordings without speech.
    """

    name: str
    toolkit: str
    python: str
    model: Path
    options: tuple[str, ...]
    silent: bool = True


@dataclass(frozen=True)
class Recording:
    """An utterance of a set."""

    set: str
    utterance: ReferenceUtterance
    language: str

    @property
    def key(self) -> str:
        """Names it in the results."""
        return f"{self.set}/{self.utterance.id}"


def systems(args: argparse.Namespace) -> Iterator[System]:
    """What is asked for; what is most needed comes first."""
    language = ("--language", args.language)
    suffix = "" if args.language == "en" else f"-{args.language}"
    for model in args.models:
        for beam in args.beams:
            common = ("--beam", str(beam), *language)
            name = f"{model.name}-beam{beam}{suffix}"
            yield System(f"asr-{name}", "asr", sys.executable, model, common)
            if args.lm:
                weight = ("--lm-weight", str(args.lm_weight)) if args.lm_weight else ()
                lm = ("--lm", str(args.lm), *weight)
                yield System(f"asr-lm-{name}", "asr", sys.executable, model, (*common, *lm))
            if args.faster_whisper:
                for compute in args.compute:
                    yield System(
                        f"faster-whisper-{compute}-{name}",
                        "faster-whisper",
                        args.faster_whisper,
                        model,
                        (*common, "--compute", compute),
                        silent=compute == "int8",
                    )
            if args.transformers:
                # beams of 5 take minutes for a clip of noise there
                yield System(
                    f"transformers-{name}",
                    "transformers",
                    args.transformers,
                    args.results / "hugging-face" / model.name,
                    common,
                    silent=beam == 1,
                )


def recordings(args: argparse.Namespace) -> list[Recording]:
    """The utterances that are drawn, in turns of one a set."""
    chosen = []
    for name, count in [*((name, args.count) for name in args.sets), (NOISE, args.noise)]:
        if name == NOISE and not count:
            continue
        manifest = args.corpora / name / "manifest.jsonl"
        with manifest.open(encoding="utf-8") as file:
            language = json.loads(next(file)).get("language", "en")
        utterances = read_utterances(manifest)
        random.Random(f"{args.seed} {name}").shuffle(utterances)  # fewer are a part of more
        drawn = utterances[: count or len(utterances)]
        chosen.append([Recording(name, one, language) for one in drawn])
    turns = itertools.zip_longest(*chosen)  # a run that is stopped has some of each set
    return [one for turn in turns for one in turn if one is not None]


def results_of(args: argparse.Namespace, system: System) -> dict[str, dict[str, Any]]:
    """The results of a system so far, by the key of the recording."""
    path = args.results / f"{system.name}.jsonl"
    if not path.exists():
        return {}
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {row["key"]: row for row in rows}


def run(args: argparse.Namespace, system: System, chosen: Sequence[Recording]) -> None:
    """Transcribes what has no result yet."""
    done = results_of(args, system)
    todo = [one for one in chosen if one.key not in done and (system.silent or one.utterance.text)]
    if not todo:
        return
    if system.toolkit == "transformers" and not system.model.exists():
        source = next(model for model in args.models if model.name == system.model.name)
        write_hugging_face(source, system.model)
    command = [system.python, str(WORKER), system.toolkit, str(system.model), *system.options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with (
        (args.results / f"{system.name}.jsonl").open("a", encoding="utf-8") as file,
        subprocess.Popen(  # unbuffered: what a worker that has ended did not read is nowhere
            command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        for number, one in enumerate(todo, 1):
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(f"{one.utterance.audio}\n".encode())
            line = process.stdout.readline()
            if not line:
                sys.exit(f"benchmark_whisper: {system.name} ended at {one.utterance.audio}")
            values = json.loads(line) | {"key": one.key, "first": number == 1}
            file.write(json.dumps(values, ensure_ascii=False) + "\n")
            file.flush()
            print(f"\r{system.name}: {number} of {len(todo)}", end="", file=sys.stderr)
        process.stdin.close()
    print(file=sys.stderr)


@cache
def normalizer(language: str, name: Any) -> Any:
    """The function that writes texts of a language for scoring."""
    return build_normalizer(scoring_for(NormalizerConfig(language=language), name))


@dataclass(frozen=True)
class Row:
    """What a system did with the recordings that it has results for."""

    system: System
    counts: dict[str, list[Counts]]
    speakers: list[str | None]
    results: list[tuple[Recording, dict[str, Any]]]

    def text(self, sets: Sequence[str]) -> str:
        """A line of the table."""
        spoken = [counts for name, counts in self.counts.items() if name != NOISE]
        words = [one for counts in spoken for one in counts]
        cells = [self.system.name, str(len(words))]
        for name in sets:
            cells.append(percent(total(self.counts.get(name, []))))
        interval = rate_interval(words, self.speakers)
        between = f" [{100 * interval.low:.1f}, {100 * interval.high:.1f}]" if interval else ""
        cells.append(percent(total(words)) + between)
        cells.append(self.invented())
        speech = [pair for pair in self.results if pair[0].set != NOISE]
        seconds = sum(one.utterance.length or 0.0 for one, _ in speech)
        cpu = sum(result["cpu"] for _, result in speech)
        cells.append(f"{cpu / seconds:.3f}" if seconds else "")
        starts = [result["started_cpu"] for _, result in self.results if result["first"]]
        cells.append(f"{statistics.median(starts):.1f}" if starts else "")
        cells.append(f"{max(result['peak_mib'] for _, result in speech)}" if speech else "")
        detected = [
            result["language"] == one.language for one, result in speech if result["language"]
        ]
        cells.append(f"{sum(detected)} of {len(detected)}" if detected else "")
        return f"| {' | '.join(cells)} |"

    def invented(self) -> str:
        """Words an hour in recordings where nothing is said, and the number of recordings."""
        silent = [one for one, _ in self.results if one.set == NOISE]
        hours = sum(one.utterance.length or 0.0 for one in silent) / 3600
        if not hours:
            return ""
        words = total(self.counts[NOISE]).insertions
        return f"{words / hours:.0f} ({words} words, {len(silent)} clips)"


def percent(counts: Counts) -> str:
    """An error rate, or nothing where there were no words."""
    return f"{100 * (counts.rate or 0.0):.1f}" if counts.length else ""


def scored(args: argparse.Namespace, system: System, chosen: Sequence[Recording]) -> Row | None:
    """The row of a system, or None if it has no results."""
    results = results_of(args, system)
    row = Row(system, {}, [], [])
    for one in chosen:
        if one.key in results:
            write = normalizer(one.language, args.normalizer)
            counts = count_words(write(one.utterance.text), write(results[one.key]["hypothesis"]))
            row.counts.setdefault(one.set, []).append(counts)
            row.results.append((one, results[one.key]))
            if one.set != NOISE:
                row.speakers.append(one.utterance.speaker or one.utterance.id)
    return row if row.results else None


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="folder of the results")
    parser.add_argument("-m", "--models", type=Path, nargs="+", required=True)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=SETS, help="folders in the corpora")
    parser.add_argument("--count", type=int, default=60, help="utterances a set; 0 is all")
    parser.add_argument("--noise", type=int, default=0, help="clips of noise")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--beams", type=int, nargs="+", default=[5, 1, 10])
    parser.add_argument("--language", default="en", help="code, or auto")
    parser.add_argument("--lm", type=Path, help="language model folder")
    parser.add_argument("--lm-weight", type=float)
    parser.add_argument("--faster-whisper", metavar="PYTHON", help="interpreter that has it")
    parser.add_argument("--compute", nargs="+", default=["int8"], help="types of faster-whisper")
    parser.add_argument("--transformers", metavar="PYTHON", help="interpreter that has it")
    parser.add_argument("--normalizer", choices=("asr", "whisper"), default="asr")
    parser.add_argument("--only", nargs="+", default=[""], help="systems with this in their name")
    parser.add_argument("--table", action="store_true", help="run nothing")
    return parser.parse_args()


def main() -> None:
    """Runs what is missing, and prints the table."""
    args = arguments()
    args.results.mkdir(parents=True, exist_ok=True)
    chosen = recordings(args)
    wanted = [one for one in systems(args) if any(part in one.name for part in args.only)]
    if not args.table:
        for system in wanted:
            run(args, system, chosen)
    names = [Path(name).name for name in args.sets]
    head = ["system", "utterances", *names, "all sets [95 %]", "invented words an hour"]
    head += ["CPU s/s", "first text, CPU s", "peak MiB", "language right"]
    print(f"| {' | '.join(head)} |\n|---|{'---:|' * (len(head) - 1)}")
    for system in wanted:
        row = scored(args, system, chosen)
        if row is not None:
            print(row.text(args.sets))


if __name__ == "__main__":
    main()
