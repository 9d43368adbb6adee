"""Hours of speech through one stream: do memory and cost stay flat?

    OMP_NUM_THREADS=1 python tools/soak_stream.py MANIFEST... --hours 1 -o docs/soak

The utterances of the manifests, shuffled, again and again where they do not last, are joined with
pauses of room tone of 0.1 to 3 s, and fed in blocks of 100 ms as fast as the stream takes them.
Every minute of sound is noted: resident memory of the process, and processor seconds for each
second of sound. A line is fitted to each, without the first quarter (caches fill, kernels are
made): memory is flat where the line rises by less than 1 MiB an hour or is within twice its
standard error, cost where it rises by less than 5 % of its mean over the run or within twice its
standard error. What memory grew by from the first note to the last is told beside it. The exit
status is 1 where one is not flat.

With -o it writes FILE.json (the figures) and FILE.png (the picture).
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from joining import load, room_tone

from asr import Recognizer, load_model
from asr.evaluate.corpus import ReferenceUtterance, read_utterances

BLOCK_SECONDS = 0.1
#: Sound between two notes.
EVERY_SECONDS = 60.0
#: The share of the notes that no line is fitted to.
WARM_UP = 0.25
FLAT_MIB_AN_HOUR = 1.0
FLAT_SHARE = 0.05


@dataclass(frozen=True)
class Note:
    """After `seconds` of sound: MiB of memory, processor seconds a second of the last minute."""

    seconds: float
    mib: float
    rtf: float


@dataclass(frozen=True)
class Line:
    """A fitted line: its mean, what it rises an hour, and the standard error of that."""

    mean: float
    an_hour: float
    error: float


def resident_mib() -> float:
    """Memory of this process that is in use."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def speech(utterances: Sequence[ReferenceUtterance], rate: int, seed: int) -> Iterator[np.ndarray]:
    """Endless speech, an utterance and its pause at a time."""
    draw, noise = random.Random(seed), np.random.default_rng(seed)
    while True:
        for utterance in draw.sample(utterances, len(utterances)):
            sound = load(utterance, rate)
            yield sound
            yield room_tone(sound, draw.uniform(0.1, 3.0), rate, noise)


def soak(
    model: Recognizer, sounds: Iterator[np.ndarray], seconds: float, chunk_ms: float
) -> tuple[list[Note], int]:
    """Feeds so much sound; returns the notes and how many words were final."""
    stream = model.stream(model.sample_rate, chunk_ms=chunk_ms)
    block = round(BLOCK_SECONDS * model.sample_rate)
    notes, words, work, noted = list[Note](), 0, 0.0, 0.0
    for sound in sounds:
        for start in range(0, len(sound), block):
            began = time.process_time()
            update = stream.feed(sound[start : start + block])
            work += time.process_time() - began
            words += sum(len(segment.text.split()) for segment in update.final)
        if stream.seconds - noted >= EVERY_SECONDS or stream.seconds >= seconds:
            gc.collect()
            notes.append(Note(stream.seconds, resident_mib(), work / (stream.seconds - noted)))
            work, noted = 0.0, stream.seconds
        if stream.seconds >= seconds:
            return notes, words + sum(len(one.text.split()) for one in stream.flush().final)
    raise AssertionError("speech is endless")


def fit(seconds: Sequence[float], values: Sequence[float]) -> Line:
    """The line of least squares through some values."""
    hours, heights = np.array(seconds) / 3600, np.array(values)
    spread = hours - hours.mean()
    slope = float(spread @ heights / (spread @ spread))
    rest = heights - heights.mean() - slope * spread
    error = float(np.sqrt(rest @ rest / max(1, len(rest) - 2) / (spread @ spread)))
    return Line(float(heights.mean()), slope, error)


def draw(notes: Sequence[Note], picture: Path) -> None:
    """Memory and cost over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    minutes = [note.seconds / 60 for note in notes]
    above.plot(minutes, [note.mib for note in notes], marker=".")
    above.set_ylabel("memory, MiB")
    below.plot(minutes, [note.rtf for note in notes], marker=".")
    below.set_ylabel("processor s per s of sound")
    below.set_xlabel("minutes of sound")
    for axis in (above, below):
        axis.set_ylim(0, 1.15 * axis.get_ylim()[1])
        axis.grid(alpha=0.3)
    figure.savefig(picture, dpi=110)


def main() -> None:
    """Parses the options, runs, prints and judges."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("-m", "--model", type=Path, default=None)
    parser.add_argument("-o", "--output", type=Path, default=None, help="without an ending")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--chunk-ms", type=float, default=640.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(args.model, "cpu")
    utterances = [one for path in args.manifests for one in read_utterances(path)]
    sounds = speech(utterances, model.sample_rate, seed=1)
    notes, words = soak(model, sounds, 3600 * args.hours, args.chunk_ms)
    kept = notes[round(WARM_UP * len(notes)) :]
    if len(kept) < 3:
        sys.exit("soak_stream: too short to fit a line; --hours must be more than 0.05")
    times = [note.seconds for note in kept]
    memory = fit(times, [note.mib for note in kept])
    cost = fit(times, [note.rtf for note in kept])
    hours = notes[-1].seconds / 3600
    flat = {
        "memory": memory.an_hour <= max(FLAT_MIB_AN_HOUR, 2 * memory.error),
        "cost": cost.an_hour <= max(FLAT_SHARE * cost.mean / hours, 2 * cost.error),
    }
    grown = notes[-1].mib - notes[0].mib
    print(f"{hours:.2f} h of sound, {words} words; memory grew by {grown:+.1f} MiB in all")
    for name, line, unit in (("memory", memory, "MiB"), ("cost", cost, "processor s/s")):
        said = "flat" if flat[name] else "NOT FLAT"
        print(
            f"{name}: {said}, mean {line.mean:.4g} {unit}, "
            f"rises {line.an_hour:+.3g} +- {line.error:.2g} an hour"
        )
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        figures = {
            "hours": hours,
            "words": words,
            "grown_mib": grown,
            "memory_mib": asdict(memory),
            "rtf": asdict(cost),
            "flat": flat,
            "notes": [asdict(note) for note in notes],
        }
        args.output.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
        draw(notes, args.output.with_suffix(".png"))
    sys.exit(0 if all(flat.values()) else 1)


if __name__ == "__main__":
    main()
