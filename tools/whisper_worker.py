"""Transcribes with one toolkit, one recording at a time; `benchmark_whisper.py` starts it.

    PYTHON tools/whisper_worker.py SYSTEM MODEL --beam 5 --language en < FILES > RESULTS

SYSTEM is asr, faster-whisper or transformers; PYTHON is an interpreter that has it. FILES has the
path of a recording in each line. RESULTS has a line of JSON for each, as it is done: `hypothesis`,
`language` where it was detected, `cpu` (processor seconds for this recording, reading it included),
`started_cpu` (those since the process started) and `peak_mib` (of the process so far).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

RATE = 16000
WINDOW_SECONDS = 30
#: A path to the text, and the code of the language that was detected, if any.
Transcriber: TypeAlias = Callable[[str], "tuple[str, str | None]"]


def asr_transcriber(args: argparse.Namespace) -> Transcriber:
    """This toolkit."""
    import torch

    from asr import load_model

    torch.set_num_threads(args.threads)
    model = load_model(args.model, "cpu", lm=args.lm or False)
    options: dict[str, Any] = {"beam": args.beam}
    if args.lm_weight is not None:
        options["lm_weight"] = args.lm_weight
    if model.tokenizer.prompt_fields is not None:
        options["language"] = args.language

    def transcribe(path: str) -> tuple[str, str | None]:
        result = model.transcribe(path, **options)
        languages = [segment.language for segment in result.segments if segment.language]
        return result.text, max(languages, key=languages.count, default=None)

    return transcribe


def faster_whisper_transcriber(args: argparse.Namespace) -> Transcriber:
    """faster-whisper with its own options, but for the beam."""
    from faster_whisper import WhisperModel

    model = WhisperModel(
        args.model, device="cpu", compute_type=args.compute, cpu_threads=args.threads
    )
    language = None if args.language == "auto" else args.language

    def transcribe(path: str) -> tuple[str, str | None]:
        segments, info = model.transcribe(path, beam_size=args.beam, language=language)
        return " ".join(segment.text.strip() for segment in segments), info.language

    return transcribe


def transformers_transcriber(args: argparse.Namespace) -> Transcriber:
    """`generate` of transformers, with time stamps only where more than one window is needed."""
    import torch
    from tokenizers import Tokenizer
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration
    from transformers.utils import logging

    logging.set_verbosity_error()
    torch.set_num_threads(args.threads)
    model = WhisperForConditionalGeneration.from_pretrained(args.model, dtype=torch.float32).eval()
    extract = WhisperFeatureExtractor(feature_size=model.config.num_mel_bins)
    tokenizer = Tokenizer.from_file(str(Path(args.model) / "tokenizer.json"))
    end = model.config.eos_token_id  # all labels from here on are special
    options: dict[str, Any] = {"num_beams": args.beam, "do_sample": False}
    if model.generation_config.is_multilingual:
        options["task"] = "transcribe"
        options["language"] = None if args.language == "auto" else args.language

    def transcribe(path: str) -> tuple[str, str | None]:
        samples = decoded(path)
        long = len(samples) > WINDOW_SECONDS * RATE
        inputs = extract(
            samples,
            sampling_rate=RATE,
            return_tensors="pt",
            return_attention_mask=True,
            truncation=not long,
            padding="longest" if long else "max_length",
        )
        with torch.inference_mode():
            labels = model.generate(**inputs, return_timestamps=long, **options)[0].tolist()
        text = tokenizer.decode([label for label in labels if label < end])
        return text.strip(), None

    return transcribe


def decoded(path: str) -> Any:
    """The samples (N,) of a recording, float32 at 16 kHz."""
    import av
    import numpy as np

    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    with av.open(path) as container:
        frames = [
            part.to_ndarray()[0]
            for frame in [*container.decode(audio=0), None]
            for part in resampler.resample(frame)
        ]
    return np.concatenate(frames)


def peak_mib() -> int:
    """The most memory of this process so far; `getrusage` counts that of its parent too."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) // 1024


SYSTEMS: dict[str, Callable[[argparse.Namespace], Transcriber]] = {
    "asr": asr_transcriber,
    "faster-whisper": faster_whisper_transcriber,
    "transformers": transformers_transcriber,
}


def main() -> None:
    """Transcribes what is named on standard input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("model")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--language", default="en", help="code, or auto")
    parser.add_argument("--compute", default="int8", help="type that faster-whisper computes in")
    parser.add_argument("--lm", help="language model folder (asr)")
    parser.add_argument("--lm-weight", type=float)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    transcribe = SYSTEMS[args.system](args)
    for line in sys.stdin:
        before = time.process_time()
        text, language = transcribe(line.strip())
        now = time.process_time()
        result = {
            "hypothesis": text,
            "language": language,
            "cpu": round(now - before, 4),
            "started_cpu": round(now, 3),
            "peak_mib": peak_mib(),
        }
        print(json.dumps(result, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
