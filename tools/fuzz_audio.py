"""Damages recordings of every format at random and decodes them: does anything get through?

    OMP_NUM_THREADS=1 python tools/fuzz_audio.py --files 100000 --jobs 2

A damaged file must end as samples or as an `AudioError` with one line that names it. What must not
happen: another exception, a process of ours that dies, a file that takes longer than the limit, or
memory that grows. Decoding processes may die (that is what they are for); their deaths are counted.

Files are made here, two seconds each, in all formats of the tests and some more. A damaged file is
determined by its kind and number: `--kinds mkv --first 1234 --files 1` makes one again, and
`--keep FOLDER` writes those that failed or that a decoding process died of. The exit status is 1 if
anything got through.
"""

from __future__ import annotations

import argparse
import io
import itertools
import multiprocessing
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from asr.audio import AudioLimits, child_decoder, load_audio
from asr.errors import AudioError

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.audio.made import KINDS, RATE, example, muxed, sound

#: name: (FFmpeg container, codec, sample rate), besides those of the tests.
MORE_KINDS = {
    "asf": ("asf", "libmp3lame", 16000),
    "flv": ("flv", "aac", 44100),
    "ac3": ("ac3", "ac3", 48000),
    "eac3-mkv": ("matroska", "eac3", 48000),
    "tta": ("tta", "tta", 16000),
    "wv": ("wv", "wavpack", 16000),
    "alac": ("ipod", "alac", 16000),
    "caf-alac": ("caf", "alac", 16000),
    "mp2-ts": ("mpegts", "mp2", 32000),
    "mpeg": ("mpeg", "mp2", 32000),
    "flac-mkv": ("matroska", "flac", 16000),
    "opus-mp4": ("mp4", "libopus", 48000),
    "nut": ("nut", "aac", 16000),
}
ALL_KINDS = (*KINDS, *MORE_KINDS)
#: Files that one process of ours decodes.
BATCH = 1000
#: Seconds for a step of a decoding process, and for a whole file.
STEP_SECONDS, FILE_SECONDS = 10.0, 30.0


@dataclass
class Result:
    """What became of some damaged files, by outcome; `faults` is what must not happen."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    died: list[str] = field(default_factory=list)
    slowest: float = 0.0
    megabytes: float = 0.0

    def add(self, other: Result) -> None:
        """Adds what became of others."""
        self.outcomes += other.outcomes
        self.faults += other.faults
        self.died += other.died
        self.slowest = max(self.slowest, other.slowest)
        self.megabytes = max(self.megabytes, other.megabytes)


@cache
def whole_file(kind: str) -> bytes:
    """An undamaged file."""
    if kind in KINDS:
        return example(kind, 2.0)
    container, codec, rate = MORE_KINDS[kind]
    return muxed([sound(2.0, rate)], rate, container, codec)


def damaged_file(kind: str, number: int) -> bytes:
    """The damaged file of that number."""
    random = np.random.default_rng([zlib.crc32(kind.encode()), number])
    data = bytearray(whole_file(kind))
    for _ in range(int(random.integers(1, 4))):
        size = len(data)
        # Half of the damage hits the header, which decides most.
        end = size if random.random() < 0.5 else min(size, 1024)
        place = int(random.integers(end))
        length = int(random.integers(1, 2 ** int(random.integers(1, 13))))
        match random.integers(6):
            case 0 | 1:
                for at in random.integers(0, end, int(random.integers(1, 40))):
                    data[at] = int(random.integers(256))
            case 2:
                data[place : place + length] = bytes(len(data[place : place + length]))
            case 3:
                del data[place : place + length]
            case 4:
                data[place:place] = random.bytes(length)
            case 5:
                other = int(random.integers(size))
                data[place:place] = data[other : other + length]
        if not data:
            return b"\0"
    return bytes(data)


def decode(kind: str, number: int, result: Result) -> None:
    """Decodes one damaged file and adds what became of it."""
    name = f"{kind} {number}"
    start = time.monotonic()
    try:
        audio = load_audio(
            io.BytesIO(damaged_file(kind, number)), RATE, AudioLimits(max_seconds=60)
        )
        text = " ".join(audio.notes)
        result.outcomes["decoded, with a note" if text else "decoded"] += 1
        if not np.isfinite(audio.samples).all():
            result.faults.append(f"{name}: samples that are no numbers")
    except AudioError as error:
        text = str(error)
        result.outcomes["refused"] += 1
        if "\n" in text or not text.startswith("audio stream: "):
            result.faults.append(f"{name}: {text!r}")
    except Exception as error:
        text = ""
        result.faults.append(f"{name}: {type(error).__name__}: {error}")
    if "its decoder" in text:
        result.died.append(f"{name}: {text}")
    seconds = time.monotonic() - start
    result.slowest = max(result.slowest, seconds)
    if seconds > FILE_SECONDS:
        result.faults.append(f"{name}: took {seconds:.0f} s")


def _decode_batch(files: list[tuple[str, int]], pipe: object) -> None:
    """In a process of its own: a crash ends only that."""
    child_decoder.STEP_SECONDS = STEP_SECONDS
    result = Result()
    for index, (kind, number) in enumerate(files):
        pipe.send(index)  # type: ignore[attr-defined]
        decode(kind, number, result)
    result.megabytes = _peak_megabytes()
    pipe.send(result)  # type: ignore[attr-defined]


def _peak_megabytes() -> float:
    if sys.platform == "win32":
        return 0.0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_batch(files: list[tuple[str, int]]) -> Result:
    """Decodes files in another process; its death is a fault, and the rest goes on."""
    total, spawn = Result(), multiprocessing.get_context("spawn")
    while files:
        here, there = spawn.Pipe(duplex=False)
        process = spawn.Process(target=_decode_batch, args=(files, there))
        process.start()
        there.close()
        index, result = 0, None
        try:
            while not isinstance(result, Result):
                result = here.recv()
                index = index if isinstance(result, Result) else result
        except EOFError:
            process.join()
            kind, number = files[index]
            total.faults.append(f"{kind} {number}: the process died ({process.exitcode})")
            files = files[index + 1 :]
            continue
        process.join()
        total.add(result)
        break
    return total


def batches(kinds: list[str], first: int, files: int) -> Iterator[list[tuple[str, int]]]:
    """Kinds and numbers of the files, all kinds in turn."""
    numbers = range(first, first + -(-files // len(kinds)))
    rest = ((kind, number) for number in numbers for kind in kinds)
    while batch := list(itertools.islice(rest, BATCH)):
        yield batch


def report(result: Result, keep: Path | None) -> None:
    """Prints the deaths and faults of some files, and writes the files to the folder `keep`."""
    for line in (*result.died, *(f"FAULT {fault}" for fault in result.faults)):
        print(line, flush=True)
        if keep is not None:
            kind, number = line.removeprefix("FAULT ").split(":")[0].split()
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{kind}-{number}").write_bytes(damaged_file(kind, int(number)))


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000, help="how many, of all kinds together")
    parser.add_argument("--first", type=int, default=0, help="the number to begin with")
    parser.add_argument("--kinds", nargs="+", choices=ALL_KINDS, default=list(ALL_KINDS))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for files that failed")
    arguments = parser.parse_args()
    total, start = Result(), time.monotonic()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for result in pool.map(
            run_batch, batches(arguments.kinds, arguments.first, arguments.files)
        ):
            total.add(result)
            report(result, arguments.keep)
            print(f"{sum(total.outcomes.values()):,} files", end="\r", file=sys.stderr)
    outcomes = ", ".join(f"{count:,} {what}" for what, count in total.outcomes.items())
    print(
        f"{len(arguments.kinds)} formats in {time.monotonic() - start:.0f} s: {outcomes}; decoding "
        f"processes that died: {len(total.died)}; slowest file {total.slowest:.1f} s; "
        f"{total.megabytes:.0f} MB at most; faults: {len(total.faults)}"
    )
    sys.exit(bool(total.faults))


if __name__ == "__main__":
    main()
