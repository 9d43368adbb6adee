"""What the rules against invented text cost and gain for a model without CTC.

    python tools/measure_speech_rules.py -m MODEL MANIFEST[:N] ... [--beam 1] [--language CODE]
      [--join SECONDS]

For N utterances of each manifest, evenly taken, or all: word errors without the rules and with
them, runaways (more than 1.5 times the words of the reference, and three), texts that end early
(less than 0.7 times the words), utterances without any text, and the greatest probability of a
label that the detector of speech gives a frame. `--join` joins utterances, without the quiet around
them, to recordings of at most so many seconds, which are not cut. See docs/no-invented-text.md.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joining import load

from asr import Recognizer, Transcript, load_model
from asr.evaluate.corpus import read_utterances
from asr.evaluate.error_rate import count_words
from asr.evaluate.scoring import build_normalizer, scoring_for
from asr.folders import model_folder
from asr.model.folder import load_model_folder
from asr.transcribe.files.speech import SpeechDetector
from asr.transcribe.streams.endpoint import EndpointConfig

#: Samples at the model's rate, and what is said in them.
Recording = tuple[np.ndarray, str]
#: Recordings are one segment.
WHOLE = EndpointConfig(silence_seconds=10, noise_seconds=10, max_segment_seconds=29.9)
#: Sound is loud at this share of its peak.
EDGE = 0.05


def main() -> None:
    """Reads the command line, measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("manifests", nargs="+", metavar="MANIFEST[:N]")
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--beam", type=int, default=1)
    parser.add_argument("--language")
    parser.add_argument("--join", type=float, metavar="SECONDS", help="at most 29.9")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(args.model, "cpu")
    if model.model.ctc is not None:
        parser.error(f"{args.model} has CTC, and rules of its own")
    options = {"beam": args.beam, "language": args.language}
    if args.join:
        options["endpoint"] = WHOLE
    print(
        "| set | recordings | WER off | on | runaways off | on | end early off | on | "
        "no text off | on | label: least, median, greatest |"
    )
    print(f"|---|{'---:|' * 9}---|")
    for place in args.manifests:
        path, _, count = place.partition(":")
        everything = list(read_utterances(Path(path)))
        number = int(count or len(everything))
        step = len(everything) / number
        chosen = [everything[int(place * step)] for place in range(number)]
        recordings = [(load(each, model.sample_rate), each.text) for each in chosen]
        if args.join:
            recordings = joined(recordings, args.join, model.sample_rate)
        print(row(model, path, recordings, options), flush=True)


def joined(recordings: list[Recording], seconds: float, rate: int) -> list[Recording]:
    """Recordings in a random order, joined without the quiet around them, of at most `seconds`."""
    result: list[Recording] = []
    order = random.Random(0).sample(range(len(recordings)), len(recordings))  # speakers change
    for sound, text in (recordings[place] for place in order):
        spoken = without_quiet(sound, rate)
        if result and len(result[-1][0]) + len(spoken) <= seconds * rate:
            before, words = result[-1]
            result[-1] = np.concatenate([before, spoken]), f"{words} {text}"
        else:
            result.append((spoken, text))
    return result


def without_quiet(sound: np.ndarray, rate: int) -> np.ndarray:
    """`sound` (N,) from 0.1 s before it gets loud to 0.1 s behind."""
    loud = np.flatnonzero(np.abs(sound) > EDGE * np.abs(sound).max(initial=0.0))
    if not len(loud):
        return sound[:0]
    return sound[max(0, loud[0] - rate // 10) : loud[-1] + rate // 10]


def row(model: Recognizer, path: str, recordings: list[Recording], options: dict[str, Any]) -> str:
    """A line of the table."""
    sounds = [sound for sound, _ in recordings]
    cells = [results(model, rules, recordings, options) for rules in (False, True)]
    labels = sorted(float(frames.max(initial=0)) for frames in probabilities(model, sounds))
    figures = [f"{off} | {on}" for off, on in zip(*cells, strict=True)]
    spread = f"{labels[0]:.3f}, {np.median(labels):.3f}, {labels[-1]:.3f}"
    name = "/".join(Path(path).parts[-3:-1])
    return f"| {name} | {len(recordings)} | {' | '.join(figures)} | {spread} |"


def results(
    model: Recognizer, rules: bool, recordings: list[Recording], options: dict[str, Any]
) -> tuple[str, str, str, str]:
    """Error rate, runaways, texts that end early and empty ones, with or without the rules."""
    model.search = model.search.model_copy(update={"heard_only": rules})
    write = build_normalizer(scoring_for(model.config.normalizer))
    errors = words = runaways = early = empty = 0
    sounds = [sound for sound, _ in recordings]
    transcribed = model.transcribe_many(sounds, sample_rate=model.sample_rate, **options)
    for (_, spoken), (_, result) in zip(recordings, transcribed, strict=True):
        assert isinstance(result, Transcript)
        reference, text = write(spoken), write(result.text)
        errors += count_words(reference, text).errors
        words += len(reference.split())
        runaways += len(text.split()) > 1.5 * len(reference.split()) + 3
        early += len(text.split()) < 0.7 * len(reference.split())
        empty += not text
    rate = f"{100 * errors / words:.2f}" if words else f"{errors} words"
    return rate, str(runaways), str(early), str(empty)


def probabilities(model: Recognizer, sounds: list[np.ndarray]) -> list[np.ndarray]:
    """Of a label in each frame (T,), by the detector of speech."""
    shipped = load_model_folder(model_folder(None))
    blank = shipped.tokenizer.labels.ctc_blank
    detector = SpeechDetector(shipped.model.eval(), blank, model.tokenizer)
    return [detector.label_probabilities([sound], model.sample_rate)[0] for sound in sounds]


if __name__ == "__main__":
    main()
