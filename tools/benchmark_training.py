"""Times a training step: front end, forward, backward, clipping, AdamW, on random sound.

    OMP_NUM_THREADS=1 python tools/benchmark_training.py                        # the peers' setting
    OMP_NUM_THREADS=1 python tools/benchmark_training.py recipes/english/cpu.yaml --precision bf16

Without a recipe it is the setting in which other toolkits were measured: Conformer 12 x 256 (feed
forward 2048, kernel 31, subsampling by 4), decoder 6 x 256, 1000 labels; 8 utterances of 10 s with
40 labels each. Prints a line of JSON: audio seconds per second, by the best and the median step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from asr.model import ModelConfig, SpeechModel
from asr.text.special_labels import LABELS
from asr.train.losses.joint import attention_loss, ctc_loss, teacher_forcing
from asr.train.recipe import load_recipe

PEERS = {
    "encoder": {
        "type": "conformer", "layers": 12, "dim": 256, "heads": 4, "ff": 2048, "kernel": 31,
        "subsampling": {"factor": 4, "channels": 128},
    },
    "decoder": {"type": "transformer", "layers": 6, "dim": 256, "heads": 4, "ff": 2048},
}  # fmt: skip


def main() -> None:
    """Reads the command line, times, prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", nargs="?", type=Path, help="times the model of this recipe")
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--labels", type=int, default=40)
    parser.add_argument("--vocabulary", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    torch.manual_seed(0)
    config = load_recipe(args.recipe).model if args.recipe else ModelConfig.model_validate(PEERS)
    model = SpeechModel(config, args.vocabulary)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    samples = torch.randn(args.rows, int(args.seconds * model.sample_rate)) * 0.1
    lengths = torch.full((args.rows,), samples.shape[1])
    tokens = torch.randint(3, args.vocabulary, (args.rows, args.labels))
    token_lengths = torch.full((args.rows,), args.labels)

    def step() -> float:
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        features, frames = model.features(samples, lengths)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
            memory, frames = model.encode(features, frames)
            inputs, targets = teacher_forcing(tokens, token_lengths, args.rows, LABELS)
            assert model.decoder is not None
            attention, _ = attention_loss(model.decoder(inputs, memory, frames), targets, 0.1)
            blank, log_probs = LABELS.ctc_blank, model.ctc_log_probs(memory)
            ctc = ctc_loss(log_probs, frames, tokens, token_lengths, blank, True)
        (0.3 * ctc + 0.7 * attention).div(tokens.numel()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        return time.perf_counter() - started

    step()
    times = [step() for _ in range(args.runs)]
    heard = args.rows * args.seconds
    print(
        json.dumps(
            {
                "audio_seconds_per_second": round(heard / min(times), 1),
                "median": round(heard / statistics.median(times), 1),
                "million_parameters": round(sum(p.numel() for p in model.parameters()) / 1e6, 1),
                "threads": torch.get_num_threads(),
                "precision": args.precision,
                "runs": args.runs,
                "torch": torch.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
