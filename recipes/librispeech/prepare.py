"""Makes manifests of LibriSpeech (Panayotov et al. 2015, CC BY 4.0, openslr.org/12) with Lhotse.

    python recipes/librispeech/prepare.py /corpora/LibriSpeech --hours 100   # a local copy
    python recipes/librispeech/prepare.py /corpora/LibriSpeech --hours 960
    python recipes/librispeech/prepare.py --download /corpora --hours 100    # 8 GB; 61 for 960

A local copy is the folder LibriSpeech as it comes out of the archives, with train-clean-100,
dev-clean and so on in it. Writes to recipes/librispeech/data: train-100.jsonl.gz or
train-960.jsonl.gz, and dev-clean, dev-other, test-clean, test-other, each a Lhotse cut set.
Nothing may be missing: a line of a transcript without its recording ends the program.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lhotse import CutSet

HERE = Path(__file__).parent
TRAIN = {
    "100": ["train-clean-100"],
    "960": ["train-clean-100", "train-clean-360", "train-other-500"],
}
MEASURED = ["dev-clean", "dev-other", "test-clean", "test-other"]


def main() -> None:
    """Reads the command line and writes the manifests."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="a local copy, named LibriSpeech")
    parser.add_argument("--download", type=Path, metavar="FOLDER", help="fetch what is missing")
    parser.add_argument("--hours", choices=sorted(TRAIN), default="100", help="of training")
    parser.add_argument("--jobs", type=int, default=8, help="recordings looked at at a time")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "data")
    args = parser.parse_args()
    if (args.folder is None) == (args.download is None):
        parser.error("name a local copy of LibriSpeech, or give --download FOLDER")
    logging.getLogger().setLevel(logging.ERROR)
    parts = [*TRAIN[args.hours], *MEASURED]
    folder = args.folder or download(args.download, parts)
    check_folder(folder, parts)
    found = {part: cuts_of(folder, part, args.jobs) for part in parts}
    args.output.mkdir(parents=True, exist_ok=True)
    write(args.output / f"train-{args.hours}.jsonl.gz", [found[p] for p in TRAIN[args.hours]])
    for part in MEASURED:
        write(args.output / f"{part}.jsonl.gz", [found[part]])


def download(target: Path, parts: Sequence[str]) -> Path:
    """Fetches and unpacks what is not there yet; returns the folder LibriSpeech."""
    from lhotse.recipes.librispeech import download_librispeech

    target.mkdir(parents=True, exist_ok=True)
    return Path(download_librispeech(target, dataset_parts=tuple(parts)))


def check_folder(folder: Path, parts: Sequence[str]) -> None:
    """Ends the program where a part is not there."""
    missing = [part for part in parts if not (folder / part).is_dir()]
    if missing:
        sys.exit(
            f"{folder}: no {', '.join(missing)}; name the folder LibriSpeech that the archives "
            "unpack to, or fetch them with --download"
        )


def cuts_of(folder: Path, part: str, jobs: int) -> CutSet:
    """The utterances of one part, by name; ends the program where a recording is missing."""
    from lhotse import CutSet
    from lhotse.recipes.librispeech import prepare_librispeech

    check_whole(folder / part)
    manifests = prepare_librispeech(folder.resolve(), dataset_parts=part, num_jobs=jobs)[part]
    cuts = CutSet.from_manifests(**manifests).sort_by_recording_id()
    hours = sum(cut.duration for cut in cuts) / 3600
    print(f"{part}: {len(cuts)} utterances, {hours:.1f} hours")
    return cuts


def check_whole(part: Path) -> None:
    """Ends the program where a recording is missing, which Lhotse would leave out."""
    said = [
        listing.parent / f"{line.split()[0]}.flac"
        for listing in part.rglob("*.trans.txt")
        for line in listing.read_text(encoding="utf-8").splitlines()
    ]
    missing = [path for path in said if not path.is_file()]
    if missing or not said:
        first = f", the first {missing[0]}" if missing else ""
        sys.exit(
            f"{part}: {len(missing)} of {len(said)} recordings of its transcripts are missing"
            f"{first}; the copy is not whole: unpack the archive again"
        )


def write(path: Path, parts: Sequence[CutSet]) -> None:
    """Writes parts as one cut set, each cut named as its utterance."""
    from lhotse import CutSet

    cuts = [cut.with_id(cut.recording_id) for part in parts for cut in part]
    CutSet.from_cuts(cuts).to_file(path)


if __name__ == "__main__":
    main()
