"""Splits the Free Spoken Digit Dataset (Jackson et al., CC BY-SA 4.0) into manifests.

    python recipes/digits/prepare.py ../shared/corpora/fsdd   # a local copy
    python recipes/digits/prepare.py --download               # the public one, about 10 MB

The dataset's own split: recordings numbered 0 to 4 of each speaker and digit are the test set, 5
to 49 may be trained on; of these 5 to 7 are held out here as the dev set. A local copy is a folder
with `audio/` or `recordings/` that holds files named DIGIT_SPEAKER_NUMBER. Writes train.jsonl,
dev.jsonl and test.jsonl to recipes/digits/data.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Sequence
from pathlib import Path

import soundfile

HERE = Path(__file__).parent
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SOURCE = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip"


def main() -> None:
    """Reads the command line and writes the three manifests."""
    folder, output = arguments(__doc__, HERE / "data")
    splits: dict[str, list[dict[str, object]]] = {"train": [], "dev": [], "test": []}
    for path in recordings(folder):
        digit, speaker, number = path.stem.split("_")
        part = "test" if int(number) < 5 else "dev" if int(number) < 8 else "train"
        splits[part].append(
            {
                "id": path.stem,
                "audio_filepath": os.path.relpath(path, output),
                "duration": round(soundfile.info(path).duration, 4),
                "text": DIGITS[int(digit)],
                "speaker": speaker,
            }
        )
    for part, entries in splits.items():
        write(output / f"{part}.jsonl", entries)


def arguments(about: str, output: Path) -> tuple[Path, Path]:
    """Reads the command line: the folder of the dataset, fetched if asked for, and of the output.

    Args:
        about: what the program does. output: where to write unless the call says otherwise.
    """
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="a local copy of the dataset")
    parser.add_argument("--download", action="store_true", help="fetch the public one")
    parser.add_argument("-o", "--output", type=Path, default=output)
    args = parser.parse_args()
    if bool(args.folder) == args.download:
        parser.error("name a local copy of the dataset, or give --download")
    return args.folder or download(args.output / "download"), args.output


def write(manifest: Path, entries: Sequence[dict[str, object]]) -> None:
    """Writes a manifest and tells how much is in it."""
    manifest.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(entry) + "\n" for entry in entries)
    manifest.write_text(lines, encoding="utf-8")
    minutes = sum(float(str(entry["duration"])) for entry in entries) / 60
    print(f"{manifest.stem}: {len(entries)} utterances, {minutes:.1f} minutes")


def recordings(folder: Path) -> list[Path]:
    """The recordings below `folder`, by name; ends the program where there are none."""
    found = sorted(
        path
        for inner in ("audio", "recordings")
        for path in (folder / inner).glob("[0-9]_*_*.*")
        if path.suffix in (".wav", ".opus", ".flac")
    )
    if not found:
        sys.exit(f"{folder}: no recordings named DIGIT_SPEAKER_NUMBER in audio/ or recordings/")
    return found


def download(target: Path) -> Path:
    """Fetches and unpacks the public dataset; returns its folder."""
    try:
        with urllib.request.urlopen(SOURCE) as answer:
            packed = answer.read()
    except urllib.error.URLError as error:
        sys.exit(f"{SOURCE}: cannot be fetched ({error.reason}); give a local copy")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(target)
    return next(target.glob("free-spoken-digit-dataset-*"))


if __name__ == "__main__":
    main()
