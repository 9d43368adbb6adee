"""Hours in one file: is memory flat, and does the file say what its parts say?

    OMP_NUM_THREADS=1 python tools/long_recording.py FILE.flac MANIFEST... --hours 3 [-- OPTIONS]

The utterances of the manifests, shuffled, again and again where they do not last, are joined with
pauses of room tone of 0.1 to 3 s and written to the file, if it is not there yet; beside it
(.jsonl) a manifest says which one stands where. Then two programs run with the same OPTIONS:
`asr transcribe` on the file, whose processor time and resident memory are taken, and `asr
evaluate` on the manifest, which transcribes every utterance alone.

The words of the whole recording are laid against all references as one text. Where a word is
wrong is told by its utterance: some were cut when the recording was taken to pieces, the others
only have neighbours that they do not have alone. The exit status is 1 where the error rate of the
recording is more than 2 points above that of its parts, or where memory rises by more than 5 %
from the second to the last quarter of the run (in the first the model is opened and caches fill).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jiwer
import numpy as np
import soundfile
from joining import load, room_tone

from asr.evaluate.corpus import ReferenceUtterance, read_utterances
from asr.evaluate.error_rate import Counts, count_words, total
from asr.evaluate.scoring import build_normalizer, scoring_for
from asr.transcribe.recognizer import load_model

RATE = 16000
PROGRAM = "from asr.cli.main import main; main()"
#: Memory is looked at so often.
EVERY_SECONDS = 0.5
TOLERANCE_POINTS = 2.0
FLAT_SHARE = 0.05
#: A cut so near to the edge of an utterance falls into the pause.
EDGE_SECONDS = 0.1


@dataclass(frozen=True)
class Run:
    """A program that ran: processor seconds, and its resident memory in MiB from time to time."""

    seconds: float
    memory: list[float]

    def quarter(self, number: int) -> float:
        """Its memory in a quarter (0 to 3) of the run: the mean, in MiB."""
        quarters = np.array_split(np.array(self.memory), 4)
        return float(quarters[number].mean())


def make(path: Path, utterances: Sequence[ReferenceUtterance], seconds: float, seed: int) -> None:
    """Writes the recording, and beside it the manifest of its parts."""
    draw, noise = random.Random(seed), np.random.default_rng(seed)
    entries, place = [], 0
    with soundfile.SoundFile(path, "w", RATE, 1, subtype="PCM_16") as file:
        for utterance in endless(utterances, draw):
            if place >= seconds * RATE:
                break
            sound = load(utterance, RATE)
            pause = room_tone(sound, draw.uniform(0.1, 3.0), RATE, noise)
            entries.append(
                {
                    "id": f"{len(entries)}-{utterance.id}",
                    "audio_filepath": path.name,
                    "offset": place / RATE,
                    "duration": len(sound) / RATE,
                    "text": utterance.text,
                    "speaker": utterance.speaker or "unknown",
                }
            )
            file.write(np.concatenate([sound, pause]))
            place += len(sound) + len(pause)
    lines = "".join(json.dumps(entry) + "\n" for entry in entries)
    path.with_suffix(".jsonl").write_text(lines, encoding="utf-8")


def endless(
    utterances: Sequence[ReferenceUtterance], draw: random.Random
) -> Iterator[ReferenceUtterance]:
    """All of them in a random order, and again in another."""
    while True:
        yield from draw.sample(utterances, len(utterances))


def run(*arguments: object) -> Run:
    """Runs `asr ARGUMENTS` to its end, and looks at its memory."""
    before, memory = children_seconds(), list[float]()
    with subprocess.Popen([sys.executable, "-c", PROGRAM, *map(str, arguments)]) as process:
        while process.poll() is None:
            memory.append(resident_mib(process.pid))
            time.sleep(EVERY_SECONDS)
    if process.returncode:
        sys.exit(f"long_recording: asr {arguments[0]} ended with status {process.returncode}")
    return Run(children_seconds() - before, memory)


def children_seconds() -> float:
    """Processor seconds of all programs that ran to their end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def resident_mib(pid: int) -> float:
    """Memory of a process that is in use; 0 for one that has just ended."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024


def by_utterance(references: Sequence[str], said: str) -> list[Counts]:
    """The edits of one long text, each in the utterance in which it lies."""
    owners = [place for place, text in enumerate(references) for _ in text.split()]
    edits = {kind: [0] * len(references) for kind in ("substitute", "delete", "insert")}
    found = jiwer.process_words(" ".join(references), said)
    for chunk in found.alignments[0]:
        if chunk.type == "insert":
            owner = owners[min(chunk.ref_start_idx, len(owners) - 1)]
            edits["insert"][owner] += chunk.hyp_end_idx - chunk.hyp_start_idx
        elif chunk.type != "equal":
            for word in range(chunk.ref_start_idx, chunk.ref_end_idx):
                edits[chunk.type][owners[word]] += 1
    lengths = [len(text.split()) for text in references]
    return [Counts(*counts) for counts in zip(*edits.values(), lengths, strict=True)]


def cut_inside(entries: Sequence[dict[str, Any]], places: Sequence[float]) -> list[bool]:
    """Of each utterance: whether it was cut at one of these places (in order), in seconds."""
    begins = [entry["offset"] + EDGE_SECONDS for entry in entries]
    ends = [entry["offset"] + entry["duration"] - EDGE_SECONDS for entry in entries]
    first = np.searchsorted(places, begins)
    return [
        bool(one < len(places) and places[one] < end) for one, end in zip(first, ends, strict=True)
    ]


def told(name: str, counts: Counts) -> str:
    """One line of the report."""
    rate = 100 * (counts.rate or 0.0)
    return (
        f"{name:28} {rate:6.2f} %   {counts.substitutions:6} {counts.deletions:6} "
        f"{counts.insertions:6} of {counts.length:6}"
    )


def compare(
    entries: Sequence[dict[str, Any]],
    transcript: dict[str, Any],
    alone: Sequence[dict[str, Any]],
    normalize: Callable[[str], str],
) -> float:
    """Prints error rates; returns by how many points the recording's is above its parts'."""
    texts = {one["id"]: one for one in alone}
    entries = [entry for entry in entries if normalize(entry["text"])]
    references = [normalize(entry["text"]) for entry in entries]
    whole = by_utterance(references, normalize(transcript["text"]))
    parts = [
        count_words(reference, texts[entry["id"]]["hypothesis"])
        for reference, entry in zip(references, entries, strict=True)
    ]
    edges = sorted(segment[side] for segment in transcript["segments"] for side in ("start", "end"))
    cut = cut_inside(entries, edges)
    print(f"{len(entries)} utterances, {len(transcript['segments'])} stretches")
    print(f"{'word errors':28} {'rate':>8}   {'subst.':>6} {'del.':>6} {'ins.':>6}")
    for kind, chosen in (("", None), (", those cut", True), (", the others", False)):
        places = [place for place, one in enumerate(cut) if chosen is None or one is chosen]
        print(told(f"in the recording{kind}", total(whole[place] for place in places)))
        print(told(f"alone{kind}", total(parts[place] for place in places)))
    return 100 * ((total(whole).rate or 0.0) - (total(parts).rate or 0.0))


def arguments() -> tuple[argparse.Namespace, list[str]]:
    """What was asked for, and the options of `asr` behind --."""
    own, options = sys.argv[1:], list[str]()
    if "--" in own:
        own, options = own[: own.index("--")], own[own.index("--") + 1 :]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recording", type=Path)
    parser.add_argument("manifests", type=Path, nargs="*")
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-m", "--model", type=Path, default=None)
    return parser.parse_args(own), options


def main() -> None:
    """Makes the recording where it is missing, measures, prints and judges."""
    args, options = arguments()
    manifest = args.recording.with_suffix(".jsonl")
    if not args.recording.exists():
        utterances = [one for path in args.manifests for one in read_utterances(path)]
        make(args.recording, utterances, 3600 * args.hours, args.seed)
    entries = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    chosen = [*options, *(("-m", args.model) if args.model else ())]
    with TemporaryDirectory() as folder:
        out = Path(folder)
        whole = run("transcribe", args.recording, "-o", out, "-f", "json", *chosen)
        parts = run("evaluate", manifest, "-o", out / "parts.jsonl", *chosen)
        text = (out / f"{args.recording.stem}.json").read_text(encoding="utf-8")
        transcript = json.loads(text)
        lines = (out / "parts.jsonl").read_text(encoding="utf-8").splitlines()
    seconds = transcript["duration"]
    print(f"{seconds / 3600:.2f} hours of sound")
    for name, one in (("the recording", whole), ("its parts", parts)):
        print(f"{name}: {one.seconds:.0f} processor s, {one.seconds / seconds:.4f} for each second")
    rise = whole.quarter(3) / whole.quarter(1) - 1
    quarters = ", ".join(f"{whole.quarter(number):.0f}" for number in range(4))
    print(f"memory, MiB: {quarters} in the quarters of the run, {max(whole.memory):.0f} at most")
    written = load_model(args.model, "cpu", lm=False).config.normalizer
    normalize = build_normalizer(scoring_for(written))  # as `asr evaluate`
    above = compare(entries, transcript, list(map(json.loads, lines)), normalize)
    print(f"the recording is {above:+.2f} points above its parts, memory rises by {rise:+.1%}")
    sys.exit(1 if above > TOLERANCE_POINTS or rise > FLAT_SHARE else 0)


if __name__ == "__main__":
    main()
