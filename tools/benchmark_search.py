"""Times the joint CTC/attention beam search, alone or beside ESPnet's.

    python tools/benchmark_search.py
    python tools/benchmark_search.py --espnet /path/to/its/environment/bin/python
    python tools/benchmark_search.py --batch 32

The setting is the memory of 15 s of speech (374 x 256, random), a decoder of 6 layers x 256 with
feed-forward 2048, 1000 tokens, beam 10, CTC weight 0.3, one thread, fp32, random weights. The
hypotheses are made to have 60 labels: the bias of the end is -1e4 and the length is limited.

With --espnet the runs alternate with runs of ESPnet's BatchBeamSearch (label-synchronous, CTC
prefix scores, a pre-beam of 1.5 beams as here) on the same memory, in a process of its own with
that python, so that whatever else the machine does falls on both. "best" and "median" are wall
seconds, "processor" is the least processor time of a run.

With --batch N, N utterances are searched in one call, and then one by one.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

FRAMES, DIM, HEADS, FF, LAYERS, VOCABULARY = 374, 256, 4, 2048, 6, 1000
BEAM, CTC_WEIGHT, LABELS, SECONDS = 10, 0.3, 60, 15

# Run by the other python. Writes one line a run: wall seconds, processor seconds, labels.
ESPNET = r"""
import logging, sys, time
out, sys.stdout = sys.stdout, sys.stderr  # imports print
import numpy, torch
from espnet.nets.batch_beam_search import BatchBeamSearch
from espnet.nets.scorers.ctc import CTCPrefixScorer
from espnet2.asr.ctc import CTC
from espnet2.asr.decoder.transformer_decoder import TransformerDecoder

logging.disable(logging.WARNING)
file, dim, heads, ff, layers, vocabulary, beam, weight, labels = sys.argv[1:]
dim, heads, ff, layers = int(dim), int(heads), int(ff), int(layers)
vocabulary, beam, weight, labels = int(vocabulary), int(beam), float(weight), int(labels)
torch.set_num_threads(1)
torch.manual_seed(1)
memory = torch.from_numpy(numpy.load(file))
eos = vocabulary - 1
decoder = TransformerDecoder(
    vocab_size=vocabulary, encoder_output_size=dim, attention_heads=heads, linear_units=ff,
    num_blocks=layers,
).eval()
decoder.output_layer.bias.data[eos] = -1e4
ctc = CTC(odim=vocabulary, encoder_output_size=dim).eval()
search = BatchBeamSearch(
    scorers={"decoder": decoder, "ctc": CTCPrefixScorer(ctc=ctc, eos=eos)},
    weights={"decoder": 1 - weight, "ctc": weight},
    beam_size=beam, vocab_size=vocabulary, sos=eos, eos=eos, pre_beam_score_key="full",
    token_list=[str(token) for token in range(vocabulary)],
).eval()
import espnet
print(espnet.__version__, torch.__version__, file=out, flush=True)
for _ in sys.stdin:
    wall, processor = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        best = search(memory, maxlenratio=-labels, minlenratio=0.0)[0]
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    print(wall, processor, len(best.yseq) - 2, file=out, flush=True)
"""

Run = tuple[float, float, int]
"""Wall seconds, processor seconds and labels of the best hypothesis."""


class Ours:
    """This package's search over random memory of `batch` utterances."""

    def __init__(self, batch: int) -> None:
        import torch

        from asr.model.transformer_decoder import TransformerDecoder, TransformerDecoderConfig
        from asr.search import SearchConfig, joint_scorers
        from asr.text import special_labels

        torch.set_num_threads(1)
        torch.manual_seed(1)
        config = TransformerDecoderConfig(layers=LAYERS, dim=DIM, heads=HEADS, ff=FF)
        decoder = TransformerDecoder(config, VOCABULARY, DIM).eval()
        decoder.to_logits.bias.data[special_labels.END] = -1e4
        head = torch.nn.Linear(DIM, VOCABULARY)
        model = SimpleNamespace(
            decoder=decoder, ctc_log_probs=lambda memory: head(memory).log_softmax(-1)
        )
        self.memory = torch.randn(batch, FRAMES, DIM)
        self.config = SearchConfig(beam=BEAM, ctc_weight=CTC_WEIGHT, max_labels=LABELS)
        self.scorers = joint_scorers(model, special_labels.LABELS, CTC_WEIGHT)

    def together(self) -> Run:
        """One search over all utterances."""
        return timed(lambda: self._search(0, len(self.memory)))

    def one_by_one(self) -> Run:
        """A search for each utterance."""
        return timed(lambda: max(self._search(n, n + 1) for n in range(len(self.memory))))

    def _search(self, first: int, last: int) -> int:
        import torch

        from asr.search import search
        from asr.text import special_labels

        memory = self.memory[first:last]
        lengths = torch.full((len(memory),), FRAMES)
        found = search(self.scorers, memory, lengths, special_labels.LABELS, self.config)
        return max(len(hypotheses[0].tokens) for hypotheses in found)


class Espnet:
    """ESPnet's search in a process of its own, one run a call."""

    def __init__(self, python: Path, memory: Path) -> None:
        settings = [DIM, HEADS, FF, LAYERS, VOCABULARY, BEAM, CTC_WEIGHT, LABELS]
        self.process = subprocess.Popen(
            [str(python), "-c", ESPNET, str(memory), *map(str, settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )
        self.versions = self._line()

    def run(self) -> Run:
        """One search."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        wall, processor, labels = self._line()
        return float(wall), float(processor), int(labels)

    def _line(self) -> list[str]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().split()
        if not line:
            sys.exit("benchmark_search: that python does not run ESPnet's search")
        return line

    def close(self) -> None:
        """Ends the process."""
        self.process.communicate()


def timed(work: Callable[[], int]) -> Run:
    """Seconds of `work`, and what it returned."""
    wall, processor = time.perf_counter(), time.process_time()
    labels = work()
    return time.perf_counter() - wall, time.process_time() - processor, labels


def measure(runs: int, systems: dict[str, Callable[[], Run]]) -> dict[str, tuple[float, float]]:
    """Alternates runs, after one each to warm up; prints a table; best wall and processor time."""
    table: dict[str, list[Run]] = {name: [] for name in systems}
    for turn in range(runs + 1):
        for name, run in systems.items():
            result = run()
            if turn:
                table[name].append(result)
    print(f"{'system':<24} {'best s':>9} {'median s':>9} {'processor s':>12} {'labels':>7}")
    best = {}
    for name, results in table.items():
        walls, processors, labels = zip(*results, strict=True)
        best[name] = min(walls), min(processors)
        median = statistics.median(walls)
        print(
            f"{name:<24} {min(walls):>9.3f} {median:>9.3f} {min(processors):>12.3f} "
            f"{max(labels):>7}"
        )
    return best


def main() -> None:
    """Parses the options and prints the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each system")
    parser.add_argument("--espnet", type=Path, help="a python that can import espnet 202511")
    parser.add_argument("--batch", type=int, default=1, help="utterances searched in one call")
    args = parser.parse_args()
    if args.runs < 1 or args.batch < 1:
        parser.error("--runs and --batch must be at least 1")

    import numpy
    import torch

    print(f"asr: torch {torch.__version__}, python {platform.python_version()}, 1 thread")
    if args.batch > 1:
        ours = Ours(args.batch)
        measure(args.runs, {"together": ours.together, "one by one": ours.one_by_one})
    elif args.espnet is None:
        measure(args.runs, {"asr": Ours(1).together})
    if args.espnet:
        ours = Ours(1)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "memory.npy"
            numpy.save(file, ours.memory[0].numpy())
            espnet = Espnet(args.espnet, file)
            print(f"espnet {espnet.versions[0]}: torch {espnet.versions[1]}, 1 thread")
            best = measure(args.runs, {"asr": ours.together, "espnet": espnet.run})
            espnet.close()
        (wall, processor), (their_wall, their_processor) = best["asr"], best["espnet"]
        print(
            f"{their_wall / wall:.1f} times faster by the wall, "
            f"{their_processor / processor:.1f} by processor time"
        )


if __name__ == "__main__":
    main()
