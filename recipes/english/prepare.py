"""Gathers English speech for the shipped model: manifests of what is trained on and measured.

    python recipes/english/prepare.py ../shared/corpora        # a local copy
    python recipes/english/prepare.py --download               # Mini LibriSpeech alone, 460 MB
    python recipes/english/prepare.py ../shared/corpora --simulate-rooms 200 \\
        --synthetic recipes/english/data/synthetic.jsonl        # docs/synthetic-speech.md

A local copy is a folder with `train/SET/manifest.jsonl`, `dev/SET/manifest.jsonl`,
`noise/manifest.jsonl` and measured room responses in `rir/`. The public download is the part of
the corpora that can be fetched without an account; a model trained on it alone is much worse.

Nothing of the dev sets may be trained on, neither sound nor sentences: training utterances whose
text is a dev text of four words or more are left out and counted, and a speaker who is in both is
an error. Writes data/train.jsonl, data/dev.jsonl (a random tenth of the dev sets, to watch
training by) and data/dev/SET.jsonl (each whole, for `asr evaluate`). Of the noise, four parts in
five are for training (data/noise.jsonl) and the fifth (data/noise-dev.jsonl) is never heard there.

Synthetic speech stays apart, in data/train-synthetic.jsonl, so that a recipe can weigh it
(`data.train: [data/train.jsonl, {manifest: data/train-synthetic.jsonl, repeat: 0.5}]`). Room
responses, measured and simulated, are for `data.augment.room: {folder: data/rooms}`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from asr.text import NormalizerConfig, TextNormalizer

HERE = Path(__file__).parent
Entry = dict[str, Any]


def main() -> None:
    """Reads the command line and writes the manifests."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="a local copy of the corpora")
    parser.add_argument("--download", action="store_true", help="fetch Mini LibriSpeech")
    parser.add_argument("--synthetic", type=Path, help="a manifest of tools/synthesise.py")
    parser.add_argument("--simulate-rooms", type=int, default=0, metavar="N")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "data")
    args = parser.parse_args()
    if bool(args.folder) == args.download:
        parser.error("name a local copy of the corpora, or give --download")
    folder = args.folder or download(args.output / "download")
    train = {path.parent.name: read(path) for path in manifests(folder, "train")}
    dev = {path.parent.name: read(path) for path in manifests(folder, "dev")}
    synthetic = {"synthetic": read(args.synthetic, "synthetic")} if args.synthetic else {}
    check_speakers({**train, **synthetic}, dev)
    train = without_dev_sentences(train, dev)
    synthetic = without_dev_sentences(synthetic, dev)
    report("train", {**train, **synthetic})
    report("dev", dev)
    write(args.output / "train.jsonl", [entry for entries in train.values() for entry in entries])
    if args.synthetic:
        write(args.output / "train-synthetic.jsonl", synthetic["synthetic"])
    for name, entries in dev.items():
        write(args.output / "dev" / f"{name}.jsonl", entries)
    watched = [entry for entries in dev.values() for entry in entries]
    random.Random(0).shuffle(watched)
    write(args.output / "dev.jsonl", watched[: max(1, len(watched) // 10)])
    noise = folder / "noise" / "manifest.jsonl"
    if noise.exists():
        heard, unheard = split_noise(read(noise))
        write(args.output / "noise.jsonl", heard)
        write(args.output / "noise-dev.jsonl", unheard)
    gather_rooms(folder / "rir", args.output / "rooms", args.simulate_rooms)


def manifests(folder: Path, part: str) -> list[Path]:
    """The manifests of one part, by name; ends the program where there are none."""
    found = sorted((folder / part).glob("*/manifest.jsonl"))
    if not found:
        sys.exit(f"{folder}: no {part}/SET/manifest.jsonl")
    return found


def read(manifest: Path, name: str = "") -> list[Entry]:
    """The entries of a manifest, with absolute paths; `name` is that of the set, or its folder's.

    Ends the program where there is no such file.
    """
    if not manifest.exists():
        sys.exit(f"{manifest}: no such manifest")
    entries = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    for entry in entries:
        entry["audio_filepath"] = str((manifest.parent / entry["audio_filepath"]).resolve())
        entry["set"] = name or manifest.parent.name
    return entries


def check_speakers(train: dict[str, list[Entry]], dev: dict[str, list[Entry]]) -> None:
    """Ends the program where a speaker is in both."""
    both = speakers(train) & speakers(dev)
    if both:
        sys.exit(f"speakers in train and dev: {', '.join(sorted(both))}")


def speakers(sets: dict[str, list[Entry]]) -> set[str]:
    """The speakers that are known by name."""
    return {e["speaker"] for entries in sets.values() for e in entries if e.get("speaker")}


def without_dev_sentences(
    train: dict[str, list[Entry]], dev: dict[str, list[Entry]]
) -> dict[str, list[Entry]]:
    """`train` less the utterances that say a dev sentence of four words or more, word for word.

    Shorter ones ("yes", "three five") say nothing of the dev sets.
    """
    normalize = TextNormalizer(NormalizerConfig())
    said = {normalize(entry["text"]) for entries in dev.values() for entry in entries}
    said = {text for text in said if len(text.split()) >= 4}
    kept = {
        name: [entry for entry in entries if normalize(entry["text"]) not in said]
        for name, entries in train.items()
    }
    for name, entries in train.items():
        if len(entries) > len(kept[name]):
            print(f"{name}: {len(entries) - len(kept[name])} left out, they say a dev sentence")
    return kept


def split_noise(entries: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Noise to train with, and noise to measure on: ESC's fifth fold and two long backgrounds.

    ESC's folds keep clips that were cut from one recording together.
    """
    unheard = ("esc10-5-", "bg-exercise_bike", "bg-running_tap")
    held = [entry for entry in entries if entry["id"].startswith(unheard)]
    return [entry for entry in entries if entry not in held], held


def gather_rooms(measured: Path, target: Path, simulate: int) -> None:
    """Copies the measured room responses to `target` and simulates more beside them."""
    for file in sorted(measured.glob("*.flac")):
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target / f"measured-{file.name}")
    if simulate:
        tool = HERE.parents[1] / "tools" / "simulate_rooms.py"
        command = [sys.executable, str(tool), "-o", str(target), "--count", str(simulate)]
        if status := subprocess.run(command).returncode:
            sys.exit(status)


def report(part: str, sets: dict[str, list[Entry]]) -> None:
    """Prints what there is."""
    for name, entries in sets.items():
        hours = sum(entry["duration"] for entry in entries) / 3600
        print(f"{part}/{name}: {len(entries)} utterances, {hours:.2f} h")


def write(path: Path, entries: list[Entry]) -> None:
    """Writes a manifest, with paths relative to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for entry in entries:
            audio = os.path.relpath(entry["audio_filepath"], path.parent.resolve())
            file.write(json.dumps({**entry, "audio_filepath": audio}, ensure_ascii=False) + "\n")


def download(target: Path) -> Path:
    """Fetches Mini LibriSpeech (CC BY 4.0, openslr 31) with Lhotse; returns a corpora folder."""
    from lhotse.recipes.librispeech import download_librispeech

    corpus = download_librispeech(target, dataset_parts="mini_librispeech")
    for part, name in (("train", "train-clean-5"), ("dev", "dev-clean-2")):
        entries = []
        for listing in sorted((Path(corpus) / name).rglob("*.trans.txt")):
            for line in listing.read_text(encoding="utf-8").splitlines():
                key, text = line.split(" ", 1)
                entries.append(spoken(listing.parent / f"{key}.flac", key, text))
        write(target / part / "librispeech" / "manifest.jsonl", entries)
    return target


def spoken(path: Path, key: str, text: str) -> Entry:
    """One LibriSpeech utterance; its speaker is the first number of its name."""
    import soundfile

    duration = soundfile.info(path).duration
    speaker = f"libri-{key.split('-')[0]}"
    return {
        "id": key,
        "audio_filepath": str(path.resolve()),
        "duration": duration,
        "text": text,
        "speaker": speaker,
    }


if __name__ == "__main__":
    main()
