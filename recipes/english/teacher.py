"""What a Whisper model writes for the training utterances: case and punctuation to learn from.

    nice -n 19 python recipes/english/teacher.py MODEL

Greedy, in bfloat16 on a CPU: hours. What was written is kept, and the same command goes on.
Utterances that have case and punctuation of their own, and those of 29 s or more, need no teacher.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from cased import CASED

from asr import load_model
from asr.errors import AsrError
from asr.transcribe.streams.endpoint import EndpointConfig

HERE = Path(__file__).parent
#: An utterance is one segment: a pause inside does not end a sentence.
WHOLE = EndpointConfig(silence_seconds=10, noise_seconds=10, max_segment_seconds=29.5)
LONGEST = 29.0
#: Utterances whose texts are written at once.
BLOCK = 96


def main() -> None:
    """Reads the command line, transcribes and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--manifest", type=Path, default=HERE / "data" / "train.jsonl")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "exp" / "teacher.jsonl")
    args = parser.parse_args()
    lines = args.manifest.read_text(encoding="utf-8").splitlines()
    entries = [entry for entry in map(json.loads, lines) if entry["set"] not in CASED]
    written = args.output.read_text(encoding="utf-8").splitlines() if args.output.exists() else []
    done = {json.loads(line)["id"] for line in written}
    left = [e for e in entries if e["id"] not in done and e["duration"] < LONGEST]
    left.sort(key=lambda entry: -entry["duration"])  # the long ones teach most for their time
    torch.set_num_threads(1)
    model = load_model(args.model)
    if model.device.type == "cpu":  # the front end stays: its features are numbers of float32
        model.model.encoder.bfloat16()
        model.model.decoder.bfloat16()  # type: ignore[union-attr]
    args.output.parent.mkdir(parents=True, exist_ok=True)
    for first in range(0, len(left), BLOCK):
        block = left[first : first + BLOCK]
        paths = [args.manifest.parent / entry["audio_filepath"] for entry in block]
        results = model.transcribe_many(paths, beam=1, nbest=1, endpoint=WHOLE)
        with args.output.open("a", encoding="utf-8") as file:
            for entry, (_, result) in zip(block, results, strict=True):
                if isinstance(result, AsrError):
                    print(f"{entry['id']}: {result}")
                    continue
                row = {"id": entry["id"], "teacher": result.text}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        print(f"{len(done) + first + len(block)} of {len(done) + len(left)} utterances", flush=True)


if __name__ == "__main__":
    main()
