"""What each ingredient of a recipe is worth: variations are trained, measured, and put in a table.

    python tools/ablate.py recipes/english/ablation.yaml --init MODEL --steps 2000 -o FOLDER \\
        [--only speed,noise] [--utterances 200] [KEY.SUB=VALUE ...]

Every variation is a list of overrides. All start from the same weights (--init; without it, from
the same seed) and take as many steps of as many seconds of audio, one after the other. What is
finished is not done again: a call that was stopped, by whatever, goes on when it is given again.
FOLDER/table.md is written after each one. The first variation is what the others are compared
with, utterance by utterance (95 % intervals by bootstrap over speakers).
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ablation_table import Run, table
from pydantic import Field

from asr import load_model
from asr.atomic import write_atomic
from asr.config import Config, parse, read_yaml
from asr.errors import AsrError, ConfigError, TrainingError
from asr.evaluate.corpus import ReferenceUtterance, read_utterances
from asr.evaluate.evaluation import evaluate
from asr.interrupts import interruptible
from asr.train.checkpoint import LAST, load_checkpoint
from asr.train.recipe import load_recipe

RESULT = "result.json"


class Variation(Config):
    """Overrides of the recipe; left out where the path `needs` is missing."""

    about: str
    set: tuple[str, ...] = ()
    needs: str | None = None


class Ablation(Config):
    """A recipe, what is measured, what all runs have in common, and the variations by name."""

    recipe: str
    dev: tuple[str, ...] = Field(min_length=1)
    silence: str | None = None
    common: tuple[str, ...] = ()
    variations: dict[str, Variation] = Field(min_length=1)


@dataclass(frozen=True)
class Bench:
    """Where everything is, and what all runs get."""

    ablation: Ablation
    folder: Path
    here: Path
    init: Path | None
    overrides: tuple[str, ...]
    chunk_ms: float | None
    utterances: int | None

    @property
    def recipe(self) -> Path:
        """What the variations are of."""
        return self.here / self.ablation.recipe

    def settings(self, name: str) -> list[str]:
        """All overrides of the recipe for a variation; of two for one key the last one counts."""
        variation = self.ablation.variations[name]
        return [*self.ablation.common, *self.overrides, *variation.set]

    def call(self, name: str) -> list[str]:
        """The arguments of `asr train` for a variation."""
        init = ["--init", str(self.init)] if self.init else []
        output = ["-o", str(self.folder / name)]
        return [str(self.recipe), *self.settings(name), *init, *output]


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the command line and runs what is not done yet.

    Returns:
        0 all is done, 1 some runs failed, 2 the call is wrong, 130 stopped.
    """
    args = parser().parse_intermixed_args(arguments)
    try:
        with interruptible():
            bench = prepared(args)
            names = chosen(bench, args.only.split(",") if args.only else None)
            failed = [name for name in names if not done(bench, name, names)]
            if len(failed) == len(names):
                raise TrainingError("no run is finished; what each of them says is above")
    except AsrError as error:
        print(f"ablate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same call goes on", file=sys.stderr)
        return 130
    print((bench.folder / "table.md").read_text(encoding="utf-8"))
    return 1 if failed else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    found.add_argument("ablation", type=Path, help="recipe, dev sets and variations (YAML)")
    found.add_argument("overrides", nargs="*", metavar="KEY.SUB=VALUE", help="of all runs")
    found.add_argument("-o", "--output", type=Path, required=True, help="folder of runs and table")
    found.add_argument("--init", type=Path, metavar="MODEL", help="what all runs start from")
    found.add_argument("--steps", type=int, required=True, help="optimizer steps of each run")
    found.add_argument("--only", metavar="NAMES", help="these, and the first (comma-separated)")
    found.add_argument("--utterances", type=int, help="at most so many of each dev set")
    found.add_argument("--chunk-ms", type=float, help="measure in chunks, as a stream, as well")
    found.add_argument("--corpora", type=Path, help="what $CORPORA stands for")
    return found


def prepared(args: argparse.Namespace) -> Bench:
    """Reads the ablation and replaces what stands for folders.

    Raises:
        ConfigError, ModelError: something is wrong with it, or with the recipe of a variation.
    """
    torch.set_num_threads(1)
    text = read_yaml(args.ablation)
    folders = {"$CORPORA": args.corpora, "$INIT": args.init}
    for name, path in folders.items():
        text = _replaced(text, name, str(path.resolve() if path else name))
    ablation = parse(Ablation, text, str(args.ablation))
    steps = [f"training.max_steps={args.steps}", f"validation.steps={max(1, args.steps // 5)}"]
    tokenizer = [f"tokenizer={args.init.resolve()}"] if args.init else []
    bench = Bench(
        ablation,
        args.output.resolve(),
        args.ablation.resolve().parent,
        args.init.resolve() if args.init else None,
        (*tokenizer, *steps, *args.overrides),
        args.chunk_ms,
        args.utterances,
    )
    bench.folder.mkdir(parents=True, exist_ok=True)
    return bench


def _replaced(value: Any, name: str, path: str) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(one, name, path) for key, one in value.items()}
    if isinstance(value, list):
        return [_replaced(one, name, path) for one in value]
    return value.replace(name, path) if isinstance(value, str) else value


def chosen(bench: Bench, only: Sequence[str] | None) -> list[str]:
    """The names of the variations to run, the first of all in front.

    Raises:
        ConfigError: a name is not known, or the recipe of a variation is wrong.
    """
    variations = bench.ablation.variations
    base = next(iter(variations))
    if unknown := set(only or ()) - set(variations):
        raise ConfigError(
            f"--only {', '.join(sorted(unknown))}: no such variation; known: "
            f"{', '.join(variations)}"
        )
    names = [name for name in variations if only is None or name in only or name == base]
    kept, recipes = [], {}
    for name in names:
        needs = variations[name].needs
        if needs is not None and not (bench.here / needs).exists():
            if name == base:
                raise ConfigError(
                    f"{name}: needs {needs}, which is not there, and the others are compared "
                    "with it; make it, or put another variation first"
                )
            print(f"{name}: left out, {needs} is not there")
            continue
        recipes[name] = load_recipe(bench.recipe, bench.settings(name), bench.init)
        if name != base and recipes[name] == recipes[base]:
            print(f"{name}: left out, it is what {base} is")
            continue
        kept.append(name)
    return kept


def done(bench: Bench, name: str, names: Sequence[str]) -> bool:
    """Trains and measures one variation unless it is finished; writes the table of `names`.

    Raises:
        ConfigError: it is finished, but was run with other settings.
    """
    result = bench.folder / name / RESULT
    asked = {
        "settings": bench.settings(name),
        "init": str(bench.init),
        "utterances": bench.utterances,
        "chunk_ms": bench.chunk_ms,
    }
    if result.exists():
        if json.loads(result.read_text(encoding="utf-8"))["asked"] != asked:
            raise ConfigError(
                f"{result}: was made with other settings; name another folder with -o, or remove it"
            )
    else:
        print(f"{name}: {bench.ablation.variations[name].about}", flush=True)
        if status := trained(bench.call(name)):
            print(f"{name}: training failed, with status {status}", file=sys.stderr)
            return False
        write_atomic(result, json.dumps({"asked": asked, **measured(bench, name)}))
        shutil.rmtree(bench.folder / name / "checkpoints")
    write_atomic(bench.folder / "table.md", report(bench, names))
    return True


def trained(call: list[str]) -> int:
    """Runs `asr train`, in a session of its own: it is told to stop once, by this program.

    Raises:
        KeyboardInterrupt: it was stopped; its model and checkpoint are written.
    """
    program = [sys.executable, "-c", "from asr.cli.main import main; main()", "train"]
    with subprocess.Popen([*program, *call], start_new_session=True) as process:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
    if status == 130:
        raise KeyboardInterrupt
    return status


def measured(bench: Bench, name: str) -> dict[str, Any]:
    """What a finished run came to, as plain values.

    Raises:
        TrainingError: audio of a dev set cannot be used.
    """
    folder, began = bench.folder / name, time.monotonic()
    position = load_checkpoint(folder / "checkpoints" / LAST)["run"]
    recognizer = load_model(folder / "model")
    sets: dict[str, list[dict[str, Any]]] = {}
    ways = [("", {})] + ([(" in chunks", {"chunk_ms": bench.chunk_ms})] if bench.chunk_ms else [])
    for path in bench.ablation.dev:
        utterances = some(read_utterances(bench.here / path), bench.utterances)
        for suffix, options in ways:
            found = evaluate(recognizer, utterances, **options)
            if found.failed:
                raise TrainingError(f"{path}: audio that cannot be used: {found.failed}")
            sets[Path(path).stem + suffix] = [
                {
                    "id": one.id,
                    "speaker": one.speaker,
                    "errors": one.words.errors,
                    "words": one.words.length,
                }
                for one in found.scored
            ]
    silent = None
    if bench.ablation.silence and (bench.here / bench.ablation.silence).exists():
        clips = some(read_utterances(bench.here / bench.ablation.silence), bench.utterances)
        texts = [one.hypothesis for one in evaluate(recognizer, clips).scored]
        silent = [sum(not text for text in texts), len(texts)]
    print(f"{name}: measured in {time.monotonic() - began:.0f} s", flush=True)
    return {
        "steps": position["step"],
        "audio_hours": position["audio_seconds"] / 3600,
        "hours": position["clock"] / 3600,
        "sets": sets,
        "silent": silent,
    }


def some(utterances: list[ReferenceUtterance], most: int | None) -> list[ReferenceUtterance]:
    """At most so many of them, always the same."""
    if most is None or most >= len(utterances):
        return utterances
    places = sorted(random.Random(0).sample(range(len(utterances)), most))
    return [utterances[place] for place in places]


def report(bench: Bench, names: Sequence[str]) -> str:
    """The table of the variations that are finished."""
    runs = []
    for name in names:
        path = bench.folder / name / RESULT
        if path.exists():
            about = bench.ablation.variations[name].about
            runs.append(Run.of(name, about, json.loads(path.read_text(encoding="utf-8"))))
    return table(runs)


if __name__ == "__main__":
    sys.exit(main())
