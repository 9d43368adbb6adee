"""What streaming costs in accuracy and time, for several lengths of chunk.

    OMP_NUM_THREADS=1 python tools/simulate_latency.py MANIFEST... -o docs/latency

Each utterance, with a second and a half of room tone behind it so that endpoints are met, goes
through a stream in blocks of 20 ms, in simulated time (`simulated.py`), one thread, no real-time
run. The columns:

- WER: of the finals; "full" is `transcribe` without chunks on the same sound.
- first text: from the beginning of the first word until any text is shown.
- word shown, word certain: from the end of a word that is right until it is shown in its place, and
  until it is told that it will not change; median and 95th percentile. Words end where the
  reference text, aligned with the full-context posteriors of the same model, says, or of another
  one where it has no CTC (`--aligner`, which also normalises what the model writes).
- final, from speech: from the end of the sound of a segment until its final, which is what a
  user waits: the silence that ends the segment, the rest of the chunk, and the next column.
- final: work and waiting between the chunk that ends a segment and the final; median and 95th
  percentile over all segments, and the median of those of 4 to 6 s.
- revised: partial words that were replaced later, of all partial words that were shown; beside it
  those that only grew (`hel` to `hello`).
- cut: words with a border between two segments in them.
- RTF: processor seconds for each second of sound.

With -o it writes FILE.json (these figures), FILE.md (the table) and FILE.png (the trade-off).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joining import load, matches, posteriors, room_tone
from simulated import Latency, Session, cut_words, latencies, simulate

from asr import EndpointConfig, Hypothesis, Recognizer, Word, load_model
from asr.config import parse
from asr.evaluate.corpus import read_utterances
from asr.evaluate.error_rate import Counts, count_words, total
from asr.evaluate.scoring import build_normalizer, scoring_for
from asr.text import TextNormalizer
from asr.transcribe.streams import open_segment
from asr.transcribe.words.align import align
from asr.transcribe.words.timing import WordTimer

TAIL_SECONDS = 1.5
COLUMNS = (
    ("chunk", lambda row: f"{row['chunk_ms']:g} ms"),
    ("WER", lambda row: f"{100 * row['wer']:.1f} %"),
    ("first text", lambda row: f"{row['first_text_ms']['median']:.0f} ms"),
    ("word shown", lambda row: "{median:.0f} / {p95:.0f} ms".format(**row["word_shown_ms"])),
    ("word certain", lambda row: "{median:.0f} / {p95:.0f} ms".format(**row["word_certain_ms"])),
    (
        "final, from speech",
        lambda row: "{median:.0f} / {p95:.0f} ms".format(**row["final_from_speech_ms"]),
    ),
    ("final", lambda row: "{median:.0f} / {p95:.0f} ms".format(**row["final_ms"])),
    ("final, 5 s", lambda row: f"{row['final_5s_ms']['median']:.0f} ms"),
    ("revised", lambda row: f"{100 * row['revised']:.1f} %"),
    ("grown", lambda row: f"{100 * row['grown']:.1f} %"),
    ("cut", lambda row: f"{100 * row['cut']:.2f} %"),
    ("RTF", lambda row: f"{row['rtf']:.3f}"),
)


@dataclass(frozen=True)
class Spoken:
    """An utterance: its sound (N,), text as it is scored, and where the words of it are."""

    sound: np.ndarray
    text: str
    words: Sequence[Word]
    normalize: Callable[[str], str]
    """Writes texts before errors are counted."""


def read(model: Recognizer, manifests: Sequence[Path], limit: int) -> Iterator[Spoken]:
    """The utterances, evenly taken from all manifests, with room tone behind them."""
    write = TextNormalizer(model.config.normalizer)
    normalize = build_normalizer(scoring_for(model.config.normalizer))
    clock = WordTimer.of(model.model, model.tokenizer.decode)
    everything = [one for path in manifests for one in read_utterances(path)]
    step = max(1, len(everything) // limit) if limit else 1
    random = np.random.default_rng(1)
    for utterance in everything[::step][: limit or None]:
        rate = model.sample_rate
        sound = load(utterance, rate)
        sound = np.concatenate([sound, room_tone(sound, TAIL_SECONDS, rate, random)])
        labels = tuple(model.tokenizer.encode(write(utterance.text)))
        spans = align(posteriors(model, sound, None), labels, model.tokenizer.labels.ctc_blank)
        best = Hypothesis(labels, 0.0, {}, tuple(spans))
        words = clock.words(best, clock.levels(sound), 0.0, (0.0, len(sound) / rate))
        yield Spoken(sound, normalize(utterance.text), words, normalize)


def full_context(model: Recognizer, spoken: Sequence[Spoken]) -> Counts:
    """Edits of what `transcribe` says without chunks."""
    sounds = [one.sound for one in spoken]
    found = model.transcribe_many(sounds, sample_rate=model.sample_rate)
    return total(
        count_words(one.text, one.normalize(result.text))  # type: ignore[union-attr]
        for one, (_, result) in zip(spoken, found, strict=True)
    )


def measure(
    model: Recognizer, spoken: Sequence[Spoken], chunk_ms: float, endpoint: EndpointConfig
) -> dict[str, Any]:
    """The figures of one length of chunk."""
    sessions: list[Session] = []
    right: list[Latency] = []
    first, counts, cut = list[float](), list[Counts](), 0
    for one in spoken:
        stream = model.stream(model.sample_rate, chunk_ms=chunk_ms, endpoint=endpoint)
        session = simulate(stream, one.sound, one.normalize)
        sessions.append(session)
        counts.append(count_words(one.text, " ".join(session.words)))
        pairs = matches([word.text for word in one.words], session.words)
        right += latencies(session, one.words, pairs)
        cut += cut_words(session, one.words)
        begins = [shown.time for shown in session.shown if shown.words]
        first += [begins[0] - one.words[0].start] if begins and one.words else []
    closing = [closed for session in sessions for closed in session.closing]
    shown = sum(session.partial_words for session in sessions)
    edits = total(counts)
    return {
        "chunk_ms": chunk_ms,
        "wer": edits.rate,
        "first_text_ms": spread(first),
        "word_shown_ms": spread([one.shown for one in right]),
        "word_certain_ms": spread([one.certain for one in right]),
        "words_right": len(right),
        "final_from_speech_ms": spread([since_speech for *_, since_speech in closing]),
        "final_ms": spread([wait for _, wait, *_ in closing]),
        "final_5s_ms": spread([wait for _, wait, long, _ in closing if 4 <= long <= 6]),
        "segments": len(closing),
        "revised": sum(session.revised for session in sessions) / max(1, shown),
        "grown": sum(session.grown for session in sessions) / max(1, shown),
        "partial_words": shown,
        "cut": cut / max(1, edits.length),
        "rtf": sum(s.work for s in sessions) / sum(s.seconds for s in sessions),
    }


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and maximum, in milliseconds."""
    values = 1000 * np.array(list(seconds) or [np.nan])
    parts = {"median": np.median(values), "p95": np.percentile(values, 95), "max": values.max()}
    return {name: round(float(value), 1) for name, value in parts.items()}


def table(rows: Sequence[dict[str, Any]], full: float) -> str:
    """The figures as Markdown."""
    lines = ["| " + " | ".join(name for name, _ in COLUMNS) + " |", "|---:" * len(COLUMNS) + "|"]
    lines += ["| " + " | ".join(write(row) for _, write in COLUMNS) + " |" for row in rows]
    rest = " | ".join([""] * (len(COLUMNS) - 2))
    return "\n".join([*lines, f"| full | {100 * full:.1f} % | {rest} |"])


def draw(rows: Sequence[dict[str, Any]], full: float, picture: Path) -> None:
    """Word error rate against latency, a point for each length of chunk."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axis = figure.add_subplot()
    errors = [100 * row["wer"] for row in rows]
    for key, label, marker in (
        ("word_shown_ms", "a word is shown", "o"),
        ("word_certain_ms", "a word is certain", "s"),
    ):
        times = [row[key]["median"] for row in rows]
        axis.plot(times, errors, marker=marker, label=f"{label} (median)")
        for x, y, row in zip(times, errors, rows, strict=True):
            axis.annotate(
                f"{row['chunk_ms']:g} ms", (x, y), xytext=(6, 6), textcoords="offset points"
            )
    axis.axhline(100 * full, color="grey", linestyle="--", label="full context")
    axis.set_xlabel("milliseconds after the end of the word")
    axis.set_ylabel("word error rate, %")
    axis.set_title("Accuracy against latency, by length of chunk")
    axis.margins(x=0.12, y=0.15)
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(picture, dpi=130)


def settings(pairs: Sequence[str]) -> dict[str, float]:
    """`name=value` pairs."""
    return {name: float(value) for name, value in (pair.split("=", 1) for pair in pairs)}


def main() -> None:
    """Parses the options, measures, prints and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("-m", "--model", type=Path, default=None)
    parser.add_argument(
        "--aligner", type=Path, default=None, metavar="MODEL",
        help="gives the times of the reference's words; needed where the model has no CTC",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, default=None, help="without an ending")
    parser.add_argument("--chunks", type=float, nargs="+", default=[160.0, 320.0, 640.0, 1280.0])
    parser.add_argument("--limit", type=int, default=0, help="utterances; 0 takes all")
    parser.add_argument("--endpoint", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument(
        "--track", nargs="*", default=[], metavar="NAME=VALUE", help="try EDGE_SECONDS or RIVALS"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(args.model, "cpu")
    endpoint = parse(EndpointConfig, settings(args.endpoint), "--endpoint")
    for name, value in settings(args.track).items():
        setattr(open_segment, name, type(getattr(open_segment, name))(value))
    aligner = load_model(args.aligner, "cpu") if args.aligner else model
    spoken = list(read(aligner, args.manifests, args.limit))
    simulate(model.stream(model.sample_rate), spoken[0].sound)  # so that nothing is done first
    full = full_context(model, spoken).rate or 0.0
    rows = [measure(model, spoken, chunk, endpoint) for chunk in args.chunks]
    print(table(rows, full))
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        figures = {
            "model": model.name,
            "manifests": [path.stem for path in args.manifests],
            "utterances": len(spoken),
            "seconds": round(sum(len(one.sound) for one in spoken) / model.sample_rate, 1),
            "wer_full": full,
            "chunks": rows,
        }
        args.output.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
        args.output.with_suffix(".md").write_text(table(rows, full) + "\n")
        draw(rows, full, args.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
