"""Joins recordings of the Free Spoken Digit Dataset to strings of 1 to 20 digits.

    python recipes/history/prepare.py ../shared/corpora/fsdd   # a local copy
    python recipes/history/prepare.py --download               # the public one, about 10 MB

The dataset's own split: recordings numbered 0 to 4 of each speaker and digit make the test
strings, 5 to 7 the dev strings, the others those for training. All digits of a string are said by
one speaker, with pauses of 50 to 300 ms between them. Strings to train on have 1 to 10 digits;
test strings 1 to 20, each length equally often. Everything is drawn from one seed. Writes sound
and train.jsonl, dev.jsonl and test.jsonl to recipes/history/data.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[2]))

from recipes.digits.prepare import DIGITS, arguments, recordings, write

HERE = Path(__file__).parent
RATE = 8000
#: Of each part: which recordings, and how many strings of each length.
PARTS: dict[str, tuple[range, dict[int, int]]] = {
    # many short ones: attention forms on them
    "train": (
        range(8, 50),
        {1: 600, 2: 600, 3: 402, 4: 300, 5: 198} | dict.fromkeys(range(6, 11), 102),
    ),
    "dev": (range(5, 8), dict.fromkeys(range(1, 11), 6)),
    "test": (range(5), dict.fromkeys(range(1, 21), 12)),
}
#: Pauses between digits, in seconds, and the level of the noise in them.
PAUSE = (0.05, 0.3)
NOISE = 1e-3

#: A recording: its digit and its samples.
Said = tuple[int, np.ndarray]


def main() -> None:
    """Reads the command line and writes sound and manifests."""
    folder, output = arguments(__doc__, HERE / "data")
    said = read(folder)
    for place, (part, (numbers, counts)) in enumerate(PARTS.items()):
        random = np.random.default_rng([2014, place])
        entries = make(output / part, said, numbers, counts, random)
        write(output / f"{part}.jsonl", entries)


def read(folder: Path) -> dict[str, dict[int, list[Said]]]:
    """The recordings of each speaker by their number."""
    found: dict[str, dict[int, list[Said]]] = {}
    for path in recordings(folder):
        digit, speaker, number = path.stem.split("_")
        samples, rate = soundfile.read(path, dtype="float32")
        if rate != RATE:
            sys.exit(f"{path}: {rate} Hz, but the dataset has {RATE} Hz")
        found.setdefault(speaker, {}).setdefault(int(number), []).append((int(digit), samples))
    return found


def make(
    folder: Path,
    said: dict[str, dict[int, list[Said]]],
    numbers: Sequence[int],
    counts: dict[int, int],
    random: np.random.Generator,
) -> list[dict[str, object]]:
    """Writes so many strings of each length, the speakers in turn; returns their manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    speakers = sorted(said)
    entries: list[dict[str, object]] = []
    for length, each in counts.items():
        for count in range(each):
            speaker = speakers[count % len(speakers)]
            known = [one for number in numbers for one in said[speaker].get(number, [])]
            drawn = [known[place] for place in random.integers(len(known), size=length)]
            samples = joined([samples for _, samples in drawn], random)
            name = f"{length:02d}_{count:03d}_{speaker}"
            path = folder / f"{name}.wav"
            soundfile.write(path, samples, RATE)
            entries.append(
                {
                    "id": f"{folder.name}_{name}",
                    "audio_filepath": f"{folder.name}/{path.name}",
                    "duration": len(samples) / RATE,
                    "text": " ".join(DIGITS[digit] for digit, _ in drawn),
                    "speaker": speaker,
                    "digits": length,
                }
            )
    return entries


def joined(parts: Sequence[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """Recordings with pauses around and between them."""
    sizes = (random.uniform(*PAUSE, size=len(parts) + 1) * RATE).astype(int)
    pauses = [random.normal(0, NOISE, size).astype(np.float32) for size in sizes]
    pieces = [pauses[0]]
    for part, pause in zip(parts, pauses[1:], strict=True):
        pieces += [part, pause]
    return np.concatenate(pieces)


if __name__ == "__main__":
    main()
