"""What the rules against invented text cost and gain for a model without CTC.

    python tools/measure_speech_rules.py -m MODEL MANIFEST[:N] ... [--beam 1] [--language CODE]

For N utterances of each manifest, evenly taken, or all: word errors without the rules and with
them, runaways (more than 1.5 times the words of the reference, and three), utterances without any
text, and the greatest probability of a label that the detector of speech gives a frame. See
docs/no-invented-text.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joining import load

from asr import Recognizer, Transcript, load_model
from asr.evaluate.corpus import ReferenceUtterance, read_utterances
from asr.evaluate.error_rate import count_words
from asr.evaluate.scoring import build_normalizer, scoring_for
from asr.folders import model_folder
from asr.model.folder import load_model_folder
from asr.transcribe.files.speech import SpeechDetector


def main() -> None:
    """Reads the command line, measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("manifests", nargs="+", metavar="MANIFEST[:N]")
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--beam", type=int, default=1)
    parser.add_argument("--language")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(args.model, "cpu")
    if model.model.ctc is not None:
        parser.error(f"{args.model} has CTC, and rules of its own")
    options = {"beam": args.beam, "language": args.language}
    print(
        "| set | utterances | WER off | on | runaways off | on | no text off | on | "
        "label: least, median, greatest |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---|")
    for place in args.manifests:
        path, _, count = place.partition(":")
        everything = list(read_utterances(Path(path)))
        number = int(count or len(everything))
        step = len(everything) / number
        chosen = [everything[int(place * step)] for place in range(number)]
        print(row(model, path, chosen, options), flush=True)


def row(
    model: Recognizer, path: str, utterances: list[ReferenceUtterance], options: dict[str, Any]
) -> str:
    """A line of the table."""
    sounds = [load(utterance, model.sample_rate) for utterance in utterances]
    cells = [results(model, rules, sounds, utterances, options) for rules in (False, True)]
    labels = sorted(float(frames.max(initial=0)) for frames in probabilities(model, sounds))
    figures = [f"{off} | {on}" for off, on in zip(*cells, strict=True)]
    spread = f"{labels[0]:.3f}, {np.median(labels):.3f}, {labels[-1]:.3f}"
    name = "/".join(Path(path).parts[-3:-1])
    return f"| {name} | {len(utterances)} | {' | '.join(figures)} | {spread} |"


def results(
    model: Recognizer,
    rules: bool,
    sounds: list[np.ndarray],
    utterances: list[ReferenceUtterance],
    options: dict[str, Any],
) -> tuple[str, str, str]:
    """Error rate, runaways and empty texts, with or without the rules."""
    model.search = model.search.model_copy(update={"heard_only": rules})
    write = build_normalizer(scoring_for(model.config.normalizer))
    errors = words = runaways = empty = 0
    found = model.transcribe_many(sounds, sample_rate=model.sample_rate, **options)
    for utterance, (_, result) in zip(utterances, found, strict=True):
        assert isinstance(result, Transcript)
        reference, text = write(utterance.text), write(result.text)
        errors += count_words(reference, text).errors
        words += len(reference.split())
        runaways += len(text.split()) > 1.5 * len(reference.split()) + 3
        empty += not text
    rate = f"{100 * errors / words:.2f}" if words else f"{errors} words"
    return rate, str(runaways), str(empty)


def probabilities(model: Recognizer, sounds: list[np.ndarray]) -> list[np.ndarray]:
    """Of a label in each frame (T,), by the detector of speech."""
    shipped = load_model_folder(model_folder(None))
    blank = shipped.tokenizer.labels.ctc_blank
    detector = SpeechDetector(shipped.model.eval(), blank, model.tokenizer)
    return [detector.label_probabilities([sound], model.sample_rate)[0] for sound in sounds]


if __name__ == "__main__":
    main()
