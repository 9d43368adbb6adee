"""Counts recordings whose streamed finals differ from `transcribe(..., chunk_ms=...)`.

    OMP_NUM_THREADS=1 python tools/check_stream_equals_batch.py MANIFEST... -m MODEL

Each recording is cut at random places, from single samples to seconds, fed to a stream, and
compared with `transcribe` of all its samples with the same chunks: texts and labels must be equal,
times and scores to 1e-4, those of words too. It prints the recordings that differ, and a count
for each length of chunk; the exit status is 1 if there are any.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from joining import load

from asr import Recognizer, Segment, load_model
from asr.evaluate.corpus import read_utterances

TOLERANCE = 1e-4
#: Parts of a second between two cuts, about as often each.
PARTS = (1e-4, 0.003, 0.02, 0.1, 0.64, 3.0)


def pieces(sound: np.ndarray, rate: int, draw: random.Random) -> list[np.ndarray]:
    """`sound` (N,), cut at random places."""
    places = [0]
    while places[-1] < len(sound):
        places.append(places[-1] + max(1, round(draw.choice(PARTS) * draw.random() * 2 * rate)))
    return [sound[start:end] for start, end in itertools.pairwise(places)]


def streamed(model: Recognizer, blocks: Sequence[np.ndarray], chunk_ms: float) -> list[Segment]:
    """The finals of a stream that is fed some blocks."""
    stream = model.stream(model.sample_rate, chunk_ms=chunk_ms)
    updates = [*(stream.feed(block) for block in blocks), stream.flush()]
    return [segment for update in updates for segment in update.final]


def difference(one: Sequence[Segment], other: Sequence[Segment]) -> str | None:
    """What differs, None where nothing does."""
    if [segment.text for segment in one] != [segment.text for segment in other]:
        return "texts"
    for left, right in zip(one, other, strict=True):
        if left.tokens != right.tokens:
            return "labels"
        if [word.text for word in left.words] != [word.text for word in right.words]:
            return "words"
        if np.abs(np.subtract(numbers(left), numbers(right))).max() > TOLERANCE:
            return "times or scores"
    return None


def numbers(segment: Segment) -> list[float]:
    """All times and scores of a segment."""
    times = [time for word in segment.words for time in (word.start, word.end)]
    return [segment.start, segment.end, segment.score, *segment.scores.values(), *times]


def main() -> None:
    """Parses the options, compares, prints and judges."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("-m", "--model", type=Path, default=None)
    parser.add_argument("--chunks", type=float, nargs="+", default=[320.0, 640.0])
    parser.add_argument("--limit", type=int, default=0, help="recordings; 0 takes all")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(args.model, "cpu")
    utterances = [one for path in args.manifests for one in read_utterances(path)]
    step = max(1, len(utterances) // args.limit) if args.limit else 1
    utterances = utterances[::step][: args.limit or None]
    draw, wrong, seconds = random.Random(1), 0, 0.0
    for chunk in args.chunks:
        differing = 0
        for utterance in utterances:
            sound = load(utterance, model.sample_rate)
            seconds += len(sound) / model.sample_rate
            whole = model.transcribe(sound, model.sample_rate, chunk_ms=chunk).segments
            finals = streamed(model, pieces(sound, model.sample_rate, draw), chunk)
            if what := difference(finals, whole):
                differing += 1
                print(f"{utterance.id}, {chunk:g} ms: {what} differ", flush=True)
        print(f"{chunk:g} ms: {differing} of {len(utterances)} recordings differ", flush=True)
        wrong += differing
    print(f"{seconds / 3600:.2f} h of sound compared")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
