"""Is greedy search here label for label what transformers writes, with the weights of a checkpoint?

    PYTHON tools/compare_whisper.py MODEL MANIFEST... [--count 50] [-o DIFFERENCES.jsonl]

PYTHON is an interpreter that has this package and transformers; MODEL a Whisper checkpoint in any
format. Each utterance is padded with silence to the window of 30 s, as the original does; longer
ones are left out. Both sides are run from the samples on, in float32: features, encoder, search
with a beam of 1, without any guard, and `generate`. Prints how many utterances differ, each of
them with both texts and where they part: the log probabilities that transformers gives there to its
own label and to ours, as equal ones are a matter of rounding. Prints the word error rate of both.
Exits with 1 if labels differ where these are further apart than `--margin`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from whisper_to_hugging_face import write_hugging_face

from asr.audio import load_audio
from asr.evaluate.corpus import ReferenceUtterance, read_utterances
from asr.evaluate.error_rate import count_words, percent, total
from asr.evaluate.scoring import build_normalizer, scoring_for
from asr.frontend.whisper import WhisperConfig, WhisperLogMel
from asr.model.folder import LoadedModel, load_model_folder
from asr.search import SearchConfig, all_scorers, search

RATE, WINDOW_SECONDS = 16000, 30.0
GREEDY = SearchConfig(beam=1, ctc_weight=0.0, lm_weight=0.0)


@dataclass(frozen=True)
class Pair:
    """What both write for an utterance: labels without start and end.

    `margin` is by how much transformers prefers its own label where they part, in log probability;
    0 where they do not.
    """

    utterance: ReferenceUtterance
    ours: tuple[int, ...]
    theirs: tuple[int, ...]
    margin: float


class Transformers:
    """`generate` of transformers."""

    def __init__(self, folder: Path) -> None:
        from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

        read = WhisperForConditionalGeneration.from_pretrained
        self.model = read(folder, dtype=torch.float32).eval()
        self.extract = WhisperFeatureExtractor(feature_size=self.model.config.num_mel_bins)
        self.end = self.model.config.eos_token_id

    def __call__(self, samples: Any, language: str) -> tuple[tuple[int, ...], Tensor]:
        """The labels of text of some samples (N,), and the features (1, F, T)."""
        features = self.extract(samples, sampling_rate=RATE, return_tensors="pt").input_features
        known = self.model.generation_config.is_multilingual
        options = {"language": language, "task": "transcribe"} if known else {}
        written = self.model.generate(features, do_sample=False, num_beams=1, **options)[0]
        return tuple(label for label in written.tolist() if label < self.end), features

    def margin(self, features: Tensor, prefix: Sequence[int], own: int, other: int) -> float:
        """How much likelier `own` is than `other` behind a prefix with its start."""
        labels = torch.tensor([prefix])
        logits = self.model(input_features=features, decoder_input_ids=labels).logits[0, -1]
        return float(logits[own] - logits[other])


def greedy(loaded: LoadedModel[Any], samples: Any) -> tuple[int, ...]:
    """The labels that the search here writes with a beam of 1, for some samples (N,)."""
    model, labels = loaded.model, loaded.tokenizer.labels
    features, frames = model.features(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    memory, lengths = model.encode(features, frames)
    [[best]] = search(all_scorers(model, labels, GREEDY), memory, lengths, labels, GREEDY)
    return tuple(best.tokens)


@torch.inference_mode()
def pairs(
    loaded: LoadedModel[Any], theirs: Transformers, chosen: Sequence[ReferenceUtterance]
) -> Iterator[Pair]:
    """What both write, utterance by utterance."""
    labels = loaded.tokenizer.labels
    for utterance in chosen:
        samples = load_audio(str(utterance.audio), RATE).samples
        own, (other, features) = greedy(loaded, samples), theirs(samples, "en")
        margin = 0.0
        if own != other:
            ended = [(*text, labels.end) for text in (own, other)]
            place = next(n for n, (a, b) in enumerate(zip(*ended, strict=False)) if a != b)
            prefix = [*labels.start, *other[:place]]
            margin = theirs.margin(features, prefix, ended[1][place], ended[0][place])
        yield Pair(utterance, own, other, margin)


def drawn(manifests: Sequence[Path], count: int) -> list[ReferenceUtterance]:
    """`count` utterances of each manifest that fit the window."""
    chosen = []
    for path in manifests:
        fitting = [one for one in read_utterances(path) if (one.length or 0) <= WINDOW_SECONDS]
        random.Random(1).shuffle(fitting)
        chosen += fitting[:count]
    return chosen


def main() -> None:
    """Compares, prints, and judges."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=50, help="utterances of each manifest")
    parser.add_argument("--margin", type=float, default=1e-3, help="of log probability")
    parser.add_argument("-o", "--output", type=Path, help="write the differences there")
    args = parser.parse_args()
    torch.set_num_threads(1)
    loaded = load_model_folder(args.model)
    mels = loaded.model.frontend.dim
    loaded.model.frontend = WhisperLogMel(WhisperConfig(mels=mels, pad_seconds=WINDOW_SECONDS))
    chosen, decode = drawn(args.manifests, args.count), loaded.tokenizer.decode
    normalize = build_normalizer(scoring_for(loaded.config.normalizer))
    with tempfile.TemporaryDirectory() as folder:
        write_hugging_face(args.model, Path(folder) / "model")
        theirs = Transformers(Path(folder) / "model")
    compared, differences = [], []
    for pair in pairs(loaded, theirs, chosen):
        compared.append(pair)
        if pair.ours != pair.theirs:
            differences.append(
                {
                    "id": pair.utterance.id,
                    "reference": pair.utterance.text,
                    "ours": decode(pair.ours),
                    "theirs": decode(pair.theirs),
                    "margin": pair.margin,
                }
            )
            print(json.dumps(differences[-1], ensure_ascii=False), flush=True)
    print(f"{len(differences)} of {len(compared)} utterances differ")
    for name, texts in (
        ("ours", [p.ours for p in compared]),
        ("theirs", [p.theirs for p in compared]),
    ):
        counts = total(
            count_words(normalize(pair.utterance.text), normalize(decode(text)))
            for pair, text in zip(compared, texts, strict=True)
        )
        print(f"WER {name}: {percent(counts.rate)} ({counts.errors} of {counts.length})")
    if args.output:
        lines = (json.dumps(one, ensure_ascii=False) + "\n" for one in differences)
        args.output.write_text("".join(lines), encoding="utf-8")
    sys.exit(any(one["margin"] > args.margin for one in differences))


if __name__ == "__main__":
    main()
