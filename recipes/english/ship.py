"""Makes the shipped model of a trained one: 16-bit weights, measured on every dev set, with a card.

    python recipes/english/ship.py recipes/english/exp/cpu/model

The figures in the card are those of the written folder, not of the one it was made from. Needs
what prepare.py wrote to recipes/english/data.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from asr import load_model
from asr.evaluate.corpus import read_utterances
from asr.evaluate.evaluation import evaluate
from asr.model.folder import load_model_folder, save_model_folder
from asr.transcribe.recognizer import SHIPPED

HERE = Path(__file__).parent
#: corpus and licence of each set, by the beginning of its name
SOURCES = {
    "librispeech": ("LibriSpeech (Panayotov et al. 2015)", "CC BY 4.0"),
    "commonvoice": ("Common Voice (Ardila et al. 2020)", "CC0"),
    "speechocean762": ("speechocean762 (Zhang et al. 2021)", "free, commercial use included"),
    "an4": ("CMU AN4", "free (CMU AN4 licence)"),
    "ljspeech": ("LJ Speech (Ito and Johnson 2017)", "public domain"),
    "vctk": ("VCTK (Yamagishi et al. 2019)", "CC BY 4.0"),
}
PICTURES = ("curves.png", "attention.png")


@dataclass(frozen=True)
class Measured:
    """Figures of one dev set; rates are fractions."""

    name: str
    utterances: int
    hours: float
    wer: float
    cer: float
    rtf: float


def main() -> None:
    """Reads the command line, writes the folder, measures it, writes it again with its card."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, help="the model folder that training made")
    parser.add_argument("-o", "--output", type=Path, default=SHIPPED)
    parser.add_argument("--data", type=Path, default=HERE / "data", help="of prepare.py")
    parser.add_argument("--beam", type=int, default=None, help="saved as the search's default")
    parser.add_argument("--ctc-weight", type=float, default=None, help="saved likewise")
    parser.add_argument("--jobs", type=int, default=2, help="sets measured at the same time")
    args = parser.parse_args()
    search = {"beam": args.beam, "ctc_weight": args.ctc_weight}
    search = {name: value for name, value in search.items() if value is not None}
    write(args.model, args.output, search, "", {})
    manifests = sorted((args.data / "dev").glob("*.jsonl"))
    noise = args.data / "noise.jsonl"
    with ProcessPoolExecutor(args.jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        quiet = pool.submit(silence, args.output, noise) if noise.exists() else None
        sets = list(pool.map(measure, [args.output] * len(manifests), manifests))
        silent = quiet.result() if quiet else None
    facts = {"dev_wer": {one.name: round(one.wer, 4) for one in sets}}
    write(args.model, args.output, search, card(args, sets, silent), facts)
    print((args.output / "README.md").read_text(encoding="utf-8"))


def write(
    source: Path, target: Path, search: dict[str, Any], text: str, facts: dict[str, Any]
) -> None:
    """Writes `target` from the trained folder `source`."""
    loaded = load_model_folder(source)
    with tempfile.TemporaryDirectory() as scratch:
        for name in PICTURES:
            if (source / "training" / name).exists():
                shutil.copy(source / "training" / name, scratch)
        recipe = (source / "training" / "recipe.yaml").read_text(encoding="utf-8")
        # where this checkout lies helps nobody else
        recipe = recipe.replace(f"{HERE.parents[1].resolve()}/", "")
        (Path(scratch) / "recipe.yaml").write_text(recipe, encoding="utf-8")
        save_model_folder(
            target,
            loaded.model,
            loaded.tokenizer,
            name="english",
            normalizer=loaded.config.normalizer,
            card=text,
            search={**loaded.config.search, **search},
            facts={**loaded.config.facts, **facts},
            training=Path(scratch),
            dtype="float16",
        )


def measure(model: Path, manifest: Path) -> Measured:
    """Word and character error rates on one dev set, with the model's own search settings."""
    found = evaluate(load_model(model), read_utterances(manifest))
    if found.failed:
        raise SystemExit(f"{manifest}: audio that cannot be used: {found.failed}")
    hours = found.audio_seconds / 3600
    rates = (found.words.rate, found.characters.rate, found.rtf)
    print(f"{manifest.stem}: WER {found.words.rate:.1%}", flush=True)
    return Measured(manifest.stem, len(found.scored), hours, *(float(rate or 0) for rate in rates))


def silence(model: Path, manifest: Path) -> tuple[int, int]:
    """How many clips without speech there are, and how many of them give no text."""
    recognizer = load_model(model)
    clips = [line.audio for line in read_utterances(manifest)]
    texts = [result.text for _, result in recognizer.transcribe_many(clips)]  # type: ignore[union-attr]
    return len(texts), sum(not text for text in texts)


def card(args: argparse.Namespace, sets: list[Measured], silent: tuple[int, int] | None) -> str:
    """The card as Markdown."""
    config = load_model_folder(args.output).config
    facts = config.facts
    lines = [
        "# english",
        "",
        f"English speech to text: a Conformer encoder and a Transformer decoder with CTC, "
        f"{facts['parameters'] / 1e6:.1f} million parameters in 16 bits, "
        f"{config.vocabulary} labels, 16 kHz. "
        "It writes lower case without punctuation, numbers in words.",
        "",
        "## What it can do, and what not",
        "",
        "It was trained on 25 hours of read speech on a CPU, and that shows: see the figures. It "
        "spells many words by ear, and writes words where there is only noise (the last figure). "
        "It has heard no conversation and no telephone; it knows no language but English. Do not "
        "rely on it where errors do harm. To do better, train on more speech or on speech like "
        "your own (docs/training.md).",
        "",
        "## Figures",
        "",
        "Dev sets that nothing was trained on; no speaker who is known by name is in both. "
        "Measured on this folder by `python recipes/english/ship.py`; `asr evaluate` gives the "
        "same:",
        "",
        "| set | utterances | hours | word error rate | character error rate |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {one.name} | {one.utterances} | {one.hours:.2f} | {one.wer:.1%} | {one.cer:.1%} |"
            for one in sets
        ),
        "",
        f"Search: {settings(load_model(args.output).search.model_dump())}.",
    ]
    if silent:
        lines += [
            "",
            f"Of {silent[0]} clips of noise without speech, {silent[1]} give no text.",
        ]
    return "\n".join([*lines, "", *training(args.data, facts)])


def settings(search: dict[str, Any]) -> str:
    """Search settings in words."""
    told = {name: value for name, value in search.items() if value is not None}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in told.items())


def training(data: Path, facts: dict[str, Any]) -> list[str]:
    """The part of the card about the data and the run."""
    hours: dict[str, float] = {}
    for line in (data / "train.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        hours[entry["set"]] = hours.get(entry["set"], 0.0) + entry["duration"] / 3600
    rows = [f"| {name} | {hours[name]:.2f} | {' | '.join(source(name))} |" for name in hours]
    return [
        "## Training",
        "",
        "The commands are in recipes/english/RESULTS.md; the resolved recipe of the "
        "last run is in training/recipe.yaml.",
        "",
        f"{facts['steps']} steps in the last run; the weights are the {facts['weights']}. "
        "Utterances that say a dev sentence were left out. The weights are under the licence of "
        "this package; the recordings are not part of it.",
        "",
        "| set | hours | corpus | licence |",
        "|---|---:|---|---|",
        *rows,
        "",
    ]


def source(name: str) -> tuple[str, str]:
    """Corpus and licence of a set."""
    return next(value for prefix, value in SOURCES.items() if name.startswith(prefix))


if __name__ == "__main__":
    main()
