"""Times many live streams at once, batched by `asr.feed_many`.

    python tools/benchmark_streams.py MANIFEST -m MODEL

1, 4 and 16 streams, each with its own recordings of the manifest joined with short pauses, are fed
blocks of 320 ms side by side, in 1 and in 2 threads. "wall" is the real time, "processor" the
processor time of a run, both divided by the seconds of sound of all streams together: 0.1 means
that ten seconds of sound take one second. "streams in real time" is how many one could serve
at that cost. Each figure is the best of the runs.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from joining import load, room_tone

from asr import AsrError, Recognizer, StreamUpdate, feed_many, flush_many, load_model
from asr.evaluate.corpus import ReferenceUtterance, read_utterances

BLOCK_SECONDS = 0.32


def talk(
    utterances: Sequence[ReferenceUtterance], rate: int, seconds: float, seed: int
) -> np.ndarray:
    """So much speech (N,), with pauses of up to a second."""
    draw, noise = random.Random(seed), np.random.default_rng(seed)
    parts, count = list[np.ndarray](), 0
    while count < seconds * rate:
        sound = load(draw.choice(utterances), rate)
        parts += [sound, room_tone(sound, draw.uniform(0.2, 1.0), rate, noise)]
        count += len(parts[-1]) + len(parts[-2])
    return np.concatenate(parts)[: round(seconds * rate)]


def run(model: Recognizer, sounds: Sequence[np.ndarray], chunk_ms: float) -> tuple[float, float]:
    """Wall and processor seconds to hear some sounds (N,) of one length, side by side."""
    streams = [model.stream(model.sample_rate, chunk_ms=chunk_ms) for _ in sounds]
    block = round(BLOCK_SECONDS * model.sample_rate)
    wall, processor = time.perf_counter(), time.process_time()
    for start in range(0, len(sounds[0]), block):
        blocks = [sound[start : start + block] for sound in sounds]
        check(feed_many(zip(streams, blocks, strict=True)))
    check(flush_many(streams))
    return time.perf_counter() - wall, time.process_time() - processor


def check(results: Sequence[StreamUpdate | AsrError]) -> None:
    """Raises the error of a stream: its time would be too short."""
    for result in results:
        if isinstance(result, AsrError):
            raise result


def main() -> None:
    """Parses the options and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("-m", "--model", type=Path, default=None)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=30.0, help="of each stream")
    parser.add_argument("--chunk-ms", type=float, default=640.0)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--json", type=Path, default=None, help="write the figures there")
    args = parser.parse_args()
    model = load_model(args.model, "cpu")
    utterances = read_utterances(args.manifest)
    sounds = [
        talk(utterances, model.sample_rate, args.seconds, seed) for seed in range(max(args.streams))
    ]
    rows = []
    print("| threads | streams | wall s/s | processor s/s | streams in real time |")
    print("|---:|---:|---:|---:|---:|")
    for threads in args.threads:
        torch.set_num_threads(threads)
        run(model, [sound[: model.sample_rate * 3] for sound in sounds[:1]], args.chunk_ms)
        for count in args.streams:
            times = [run(model, sounds[:count], args.chunk_ms) for _ in range(args.runs)]
            heard = count * args.seconds
            wall, processor = (min(one) / heard for one in zip(*times, strict=True))
            rows.append(
                {"threads": threads, "streams": count, "wall": wall, "processor": processor}
            )
            print(
                f"| {threads} | {count} | {wall:.3f} | {processor:.3f} | {1 / wall:.0f} |",
                flush=True,
            )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
