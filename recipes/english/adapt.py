"""Measures what `asr finetune` does to a model: gains on new speech, losses on the old.

    python recipes/english/prepare.py ../shared/corpora
    python recipes/english/adapt.py ../shared/corpora            # the model that ships
    python recipes/english/adapt.py ../shared/corpora -m FOLDER --only digits

Two tasks, each without and with rehearsal of the old domain (`--keep`):

digits    one speaker of the Free Spoken Digit Dataset at 8 kHz: recordings 5 to 49 of each digit
          are adapted to, 0 to 4 are measured on. The shipped model has heard nothing of it.
readers   Mandarin speakers who read English, speechocean762: its training part is adapted to, and
          speakers that are not in it are measured on. The shipped model has been trained on that
          part already, among others.

Prints a table with the word error rate of the model before and after, on the new speech and on
dev/librispeech. Every figure is that of `asr evaluate` on the folders in recipes/english/exp/adapt.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asr.evaluate.corpus import read_utterances
from asr.evaluate.evaluation import evaluate
from asr.folders import model_folder
from asr.train.adapt.finetune import finetune
from asr.train.adapt.request import Request
from asr.transcribe.recognizer import load_model

HERE = Path(__file__).parent
HEADER = (
    "| adapted to | rehearsal | minutes | WER there before | after | old domain before | after |\n"
    "|---|---|---:|---:|---:|---:|---:|"
)


@dataclass(frozen=True)
class Task:
    """What is adapted to, and what is measured on."""

    name: str
    data: Path
    dev: Path


def main() -> None:
    """Reads the command line, adapts, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("corpora", type=Path, help="with fsdd/, train/SET/ and dev/SET/")
    parser.add_argument("-m", "--model", help="model folder (default: the one that ships)")
    parser.add_argument("--only", choices=["digits", "readers"], help="one of the tasks")
    parser.add_argument("--speaker", default="george", help="of the digits")
    parser.add_argument("--old", type=Path, help="the old domain (default: dev/librispeech)")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "exp" / "adapt")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="keys of the recipes")
    args = parser.parse_intermixed_args()
    keep = HERE / "data" / "train.jsonl"
    if not keep.exists():
        sys.exit(f"{keep}: not there; run recipes/english/prepare.py first")
    model = model_folder(args.model).absolute()
    old = args.old or args.corpora / "dev" / "librispeech"
    before = word_error_rate(model, old)
    rows = []
    for task in tasks(args.corpora, args.speaker, args.output):
        if args.only not in (None, task.name):
            continue
        for rehearsed in (None, keep):
            folder = args.output / f"{task.name}{'-keep' if rehearsed else ''}"
            request = Request(
                model, task.data, folder, dev=task.dev, keep=rehearsed, overrides=args.overrides
            )
            rows.append(row(task, request, old, before))
            print("\n".join([HEADER, *rows]), flush=True)


def row(task: Task, request: Request, old: Path, before: float) -> str:
    """Adapts, measures, and writes a line of the table."""
    began = time.monotonic()
    trained: list[float] = []

    def say(line: str) -> None:
        if line.startswith("measuring"):
            trained.append(time.monotonic() - began)
        print(line, file=sys.stderr, flush=True)

    adapted = finetune(request, say)
    if adapted.model is None or not adapted.comparisons:
        sys.exit("interrupted; the same command goes on from here")
    [found] = adapted.comparisons
    rates = [found.before.words.rate or 0.0, found.after.words.rate or 0.0]
    rates += [before, word_error_rate(adapted.model, old)]
    written = " | ".join(f"{100 * rate:.1f} %" for rate in rates)
    share = "yes" if request.keep else "no"
    return f"| {task.name} | {share} | {trained[0] / 60:.1f} | {written} |"


def word_error_rate(model: Path, corpus: Path) -> float:
    """Of a model folder on a corpus."""
    return evaluate(load_model(model), read_utterances(corpus)).words.rate or 0.0


def tasks(corpora: Path, speaker: str, output: Path) -> Iterator[Task]:
    """The tasks, with the manifests of one speaker's digits in `output`."""
    entries = read(corpora / "fsdd" / "manifest.jsonl")
    of_speaker = [one for one in entries if one["speaker"] == speaker]
    if not of_speaker:
        sys.exit(f"{corpora / 'fsdd'}: nobody is called {speaker}")
    parts: dict[str, list[dict[str, str]]] = {"train": [], "test": []}
    for one in of_speaker:
        number = int(Path(one["audio_filepath"]).stem.split("_")[2])
        parts["test" if number < 5 else "train"].append(one)
    output.mkdir(parents=True, exist_ok=True)
    for part, found in parts.items():
        lines = "".join(json.dumps(one) + "\n" for one in found)
        (output / f"{speaker}-{part}.jsonl").write_text(lines, encoding="utf-8")
    yield Task("digits", output / f"{speaker}-train.jsonl", output / f"{speaker}-test.jsonl")
    readers = "speechocean762"
    yield Task("readers", corpora / "train" / readers, corpora / "dev" / readers)


def read(manifest: Path) -> list[dict[str, str]]:
    """The entries of a manifest, with absolute paths."""
    entries = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    for entry in entries:
        entry["audio_filepath"] = str((manifest.parent / entry["audio_filepath"]).resolve())
    return entries


if __name__ == "__main__":
    main()
