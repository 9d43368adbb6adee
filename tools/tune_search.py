"""Finds the weights of the search that make the fewest word errors. For dev sets only.

    python tools/tune_search.py data/dev/librispeech.jsonl -m MODEL --lm LM_FOLDER \
      --lm-weight 0,0.2,0.4 --ilm-weight 0,0.1 --length-reward 0,0.5 [--limit 200] [--write]

Every combination of the values is searched; the encoder runs once for each utterance, which is
taken as one stretch. Prints a line of each combination as it is measured, and all of them, best
first, at the end. What is not named keeps the value that is saved with the model. --write saves
the best weights with the language model, where `asr transcribe` takes them from.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asr.audio import load_audio
from asr.errors import AudioError
from asr.evaluate.corpus import ReferenceUtterance, each_sound, read_utterances
from asr.evaluate.error_rate import Counts, score, total
from asr.evaluate.scoring import build_normalizer, scoring_for
from asr.lm.folder import set_search
from asr.search import SearchConfig, all_scorers, search
from asr.transcribe.files.segment_decoder import padded
from asr.transcribe.options import TranscribeOptions
from asr.transcribe.recognizer import Recognizer, load_model
from asr.transcribe.settings import search_config

#: What the grid is made of, and how values are read.
OPTIONS = {
    "ctc_weight": float,
    "lm_weight": float,
    "ilm_weight": float,
    "length_reward": float,
    "beam": int,
}


@dataclass(frozen=True)
class Encoded:
    """An utterance: its id, reference, and memory (M, D)."""

    id: str
    reference: str
    memory: Tensor


def main() -> None:
    """Reads the command line and prints the table."""
    args = arguments()
    recognizer = load_model(args.model, args.device, lm=False if args.no_lm else args.lm)
    if args.write and recognizer.lm is None:
        sys.exit("tune_search: --write saves with a language model; name one with --lm")
    utterances = [one for path in args.manifests for one in read_utterances(path)]
    if args.limit:
        utterances = utterances[:: -(-len(utterances) // args.limit)]
    began = time.perf_counter()
    encoded = list(encode(recognizer, utterances))
    words = sum(one.reference.count(" ") + 1 for one in encoded if one.reference)
    print(
        f"{len(encoded)} utterances, {words} words, encoded in {time.perf_counter() - began:.0f} s"
    )
    grid = {name: getattr(args, name) for name in OPTIONS if getattr(args, name)}
    print(header(grid))
    lines = []
    for values in itertools.product(*grid.values()):
        options = TranscribeOptions.of(**dict(zip(grid, values, strict=True)))
        config = search_config(recognizer.search, recognizer.loaded, recognizer.lm, options)
        began = time.perf_counter()
        counts = measure(recognizer, encoded, config, args.batch_frames)
        lines.append((counts, config, time.perf_counter() - began))
        print(line(grid, *lines[-1]), flush=True)
    lines.sort(key=lambda one: one[0].errors)
    print("\n" + "\n".join([header(grid), *(line(grid, *one) for one in lines)]))
    if args.write and recognizer.lm is not None:
        best = recognizer.lm.config.search | lines[0][1].model_dump(include=set(grid))
        set_search(recognizer.lm.folder, best)
        print(f"{recognizer.lm.folder}: {best}")


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("-m", "--model", help="model folder (default: the one that ships)")
    parser.add_argument("--lm", help="language model folder (default: the model's own, if any)")
    parser.add_argument("--no-lm", action="store_true")
    parser.add_argument("--device", default="auto")
    for name, kind in OPTIONS.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=lambda text, kind=kind: [kind(part) for part in text.split(",")],  # type: ignore[misc]
            metavar="A,B,...",
        )
    parser.add_argument("--limit", type=int, help="about so many utterances, evenly taken")
    parser.add_argument(
        "--batch-frames", type=int, default=1500, help="memory frames searched together"
    )
    parser.add_argument("--write", action="store_true", help="save the best with the LM")
    return parser.parse_args()


@torch.inference_mode()
def encode(recognizer: Recognizer, utterances: Sequence[ReferenceUtterance]) -> Iterator[Encoded]:
    """The memory of each utterance whose audio can be used; others are told."""
    normalize = build_normalizer(scoring_for(recognizer.config.normalizer))
    for utterance, sound in each_sound(list(utterances), recognizer.sample_rate):
        if isinstance(sound, AudioError):
            print(f"{utterance.id}: not counted: {sound}")
            continue
        audio = load_audio(sound, recognizer.sample_rate) if isinstance(sound, Path) else sound
        samples, lengths = padded([audio.samples])
        model = recognizer.model
        features, frames = model.features(
            samples.to(recognizer.device), lengths.to(recognizer.device)
        )
        if features.size(1):
            memory, _ = model.encode(features, frames)
            yield Encoded(utterance.id, normalize(utterance.text), memory[0])


def measure(
    recognizer: Recognizer, encoded: Sequence[Encoded], config: SearchConfig, frames: int
) -> Counts:
    """Searches all utterances and counts word errors."""
    normalize = build_normalizer(scoring_for(recognizer.config.normalizer))
    lm = recognizer.lm.lm if recognizer.lm is not None else None
    labels = recognizer.tokenizer.labels
    scored = []
    for batch in batches(encoded, frames):
        memory = pad_sequence([one.memory for one in batch], batch_first=True)
        lengths = torch.tensor([len(one.memory) for one in batch], device=memory.device)
        scorers = all_scorers(recognizer.model, labels, config, lm)
        for one, [best] in zip(
            batch, search(scorers, memory, lengths, labels, config), strict=True
        ):
            text = normalize(recognizer.tokenizer.decode(best.tokens))
            scored.append(score(one.id, one.reference, text))
    return total(one.words for one in scored)


def batches(encoded: Sequence[Encoded], frames: int) -> Iterator[list[Encoded]]:
    """All utterances, longest first, with at most `frames` frames in a batch, padding counted."""
    batch: list[Encoded] = []
    for one in sorted(encoded, key=lambda one: len(one.memory), reverse=True):
        if batch and (len(batch) + 1) * len(batch[0].memory) > frames:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def header(grid: dict[str, list[float]]) -> str:
    """The names of the columns."""
    return " ".join(f"{name:>13}" for name in [*grid, "WER", "sub", "del", "ins", "seconds"])


def line(grid: dict[str, list[float]], counts: Counts, config: SearchConfig, spent: float) -> str:
    """One combination, and what it led to."""
    values = [f"{getattr(config, name):g}" for name in grid]
    values += [f"{100 * counts.errors / max(counts.length, 1):.2f} %"]
    values += [str(counts.substitutions), str(counts.deletions), str(counts.insertions)]
    return " ".join(f"{value:>13}" for value in [*values, f"{spent:.0f}"])


if __name__ == "__main__":
    main()
