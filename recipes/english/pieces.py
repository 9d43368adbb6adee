"""The labels of the second English model: those of Whisper's that English text needs.

    python recipes/english/pieces.py MODEL ../shared/corpora/text/novels.txt.xz -o FOLDER

MODEL is a model folder of Whisper (`asr import`). Pieces are counted in a text with case and
punctuation and in the training manifests that have them, which count more: novels are old. The most
frequent are kept.
"""

from __future__ import annotations

import argparse
import json
import lzma
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from asr.text import load_tokenizer
from asr.text.reduced import reduced
from asr.text.whisper import WhisperTokenizer

HERE = Path(__file__).parent
#: Lines of the text that are counted: more change little.
LINES = 200_000


def main() -> None:
    """Reads the command line, counts and writes the tokenizer."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path, help="one sentence a line, .xz or plain")
    parser.add_argument(
        "--manifests", type=Path, nargs="*", default=[HERE / "data" / "cased.jsonl"]
    )
    parser.add_argument(
        "--size", type=int, default=8_000, help="pieces that are kept for their count"
    )
    parser.add_argument("--manifest-weight", type=int, default=20)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "data" / "pieces")
    args = parser.parse_args()
    tokenizer = load_tokenizer(args.model)
    if not isinstance(tokenizer, WhisperTokenizer):
        parser.error(f"{args.model} is no Whisper model")
    counts = Counter[int]()
    for line in lines_of(args.text):
        counts.update(tokenizer.encode(line))
    for manifest in args.manifests:
        for line in manifest.read_text(encoding="utf-8").splitlines():
            for label in tokenizer.encode(json.loads(line)["text"]):
                counts[label] += args.manifest_weight
    kept = [label for label, _ in counts.most_common(args.size)]
    small = reduced(tokenizer, kept)
    args.output.mkdir(parents=True, exist_ok=True)
    small.save(args.output)
    covered = sum(counts[label] for label in kept) / counts.total()
    print(
        f"{small.size} labels of {tokenizer.size}; pieces kept are {covered:.1%} of those counted"
    )


def lines_of(path: Path) -> Iterator[str]:
    """A random part of the lines of a text."""
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open() as file:
        lines = [line.strip() for line in file]
    random.Random(0).shuffle(lines)
    yield from lines[:LINES]


if __name__ == "__main__":
    main()
