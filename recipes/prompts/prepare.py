"""Manifests in English and French, each utterance once for each style of writing.

    python recipes/prompts/prepare.py ../shared/corpora

The folder has `SET/manifest.jsonl` of the sets below, whose texts have case and punctuation. Each
utterance is written twice, with the fields `language` and `style`: `punctuated` is the text as it
is, `plain` has small letters and words only. Writes data/train-en.jsonl and data/train-fr.jsonl,
data/dev/en.jsonl and data/dev/fr.jsonl (punctuated) for `asr evaluate`, and data/dev.jsonl (a part
of these, in both styles) to watch training by.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from asr.text import NormalizerConfig, TextNormalizer

HERE = Path(__file__).parent
TRAIN = {
    "en": ("train/commonvoice-2023", "train/vctk-p239", "train/ljspeech-part"),
    "fr": ("french/train",),
}
DEV = {"en": ("dev/commonvoice-2023",), "fr": ("french/dev",)}
PLAIN, PUNCTUATED = "plain", "punctuated"
#: Every so many dev utterances are watched during training.
WATCHED = 4
Entry = dict[str, Any]


def main() -> None:
    """Reads the command line and writes the manifests."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="a local copy of the corpora")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "data")
    args = parser.parse_args()
    watched: list[Entry] = []
    for language, sets in TRAIN.items():
        entries = [entry for name in sets for entry in read(args.folder / name, language)]
        write(args.output / f"train-{language}.jsonl", in_both_styles(entries))
    for language, sets in DEV.items():
        entries = [entry for name in sets for entry in read(args.folder / name, language)]
        styled = in_both_styles(entries)
        written = [entry for entry in styled if entry["style"] == PUNCTUATED]
        write(args.output / "dev" / f"{language}.jsonl", written)
        watched += styled[::WATCHED]
    write(args.output / "dev.jsonl", watched)


def read(folder: Path, language: str) -> list[Entry]:
    """The entries of a set, with absolute paths; ends the program where there is no such set."""
    manifest = folder / "manifest.jsonl"
    if not manifest.exists():
        sys.exit(f"{manifest}: no such manifest")
    entries = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    for entry in entries:
        entry["audio_filepath"] = str((folder / entry["audio_filepath"]).resolve())
        entry["language"] = language
    return entries


def in_both_styles(entries: list[Entry]) -> list[Entry]:
    """All entries plain, then all punctuated; those whose plain text is empty are left out."""
    plain = {
        language: TextNormalizer(NormalizerConfig(language=language))
        for language in {entry["language"] for entry in entries}
    }
    styled = []
    for style in (PLAIN, PUNCTUATED):
        for entry in entries:
            words = plain[entry["language"]](entry["text"])
            text = words if style == PLAIN else entry["text"]
            if words:
                name = f"{entry['id']}-{style}"
                styled.append({**entry, "id": name, "text": text, "style": style})
    return styled


def write(path: Path, entries: list[Entry]) -> None:
    """Writes a manifest, with paths relative to it, and says how much is in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for entry in entries:
            audio = os.path.relpath(entry["audio_filepath"], path.parent.resolve())
            file.write(json.dumps({**entry, "audio_filepath": audio}, ensure_ascii=False) + "\n")
    hours = sum(entry["duration"] for entry in entries) / 3600
    print(f"{path}: {len(entries)} utterances, {hours:.2f} h")


if __name__ == "__main__":
    main()
