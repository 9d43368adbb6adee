"""The checks of a corpus: each fault of an utterance or of the whole, from its inspection."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from asr.data.inspection import InspectedUtterance
from asr.errors import shortened
from asr.text import Tokenizer
from asr.text.tokenizer import frames_needed

#: Seconds by which the manifest's duration may differ from the audio's.
DURATION_TOLERANCE = 0.1
#: A recording whose largest sample is below this (-60 dB of full scale) is silent.
SILENT_PEAK = 1e-3
#: A recording with a larger share of samples at full scale is clipped.
CLIPPED_SHARE = 1e-3
#: Speaking rates are suspicious beyond this factor of the median (or five times its spread).
RATE_FACTOR = 3.0
#: Fewer utterances than these say nothing about what rate is usual.
_RATES_NEEDED = 20

#: kind: (title, whether it makes a corpus unfit; the others are only worth a look)
KINDS: Mapping[str, tuple[str, bool]] = {
    "line": ("lines of the manifest that cannot be used", True),
    "audio": ("audio missing or unreadable", True),
    "duration": (f"duration differs from the audio by more than {DURATION_TOLERANCE:g} s", True),
    "text": ("no text, or only punctuation", True),
    "characters": ("characters that the tokenizer cannot write", True),
    "labels": ("more labels than the encoder has frames", True),
    "silent": ("a text, but no sound", True),
    "leak": ("the same audio in the other manifest", True),
    "speakers": ("speakers who are in both manifests", False),
    "twice": ("the same audio under several ids", False),
    "clipped": (f"more than {CLIPPED_SHARE:.1%} of the samples at full scale", False),
    "rate": ("unusual speaking rate: is it the right text?", False),
}


@dataclass(frozen=True)
class CorpusFinding:
    """One thing that is wrong: what kind (of `KINDS`), with what, and how."""

    kind: str
    id: str
    detail: str


def single_findings(
    utterance: InspectedUtterance,
    normalise: Callable[[str], str],
    tokenizer: Tokenizer | None,
    frames_per_second: float,
    no_speech: bool,
) -> Iterator[CorpusFinding]:
    """What is wrong with one utterance on its own, characters aside."""
    text = normalise(utterance.text)
    spoken = any(map(str.isalnum, text))
    if not spoken and not no_speech:
        yield CorpusFinding("text", utterance.id, f"text is {utterance.text!r}")
    if utterance.problem is not None:
        yield CorpusFinding("audio", utterance.id, utterance.problem)
        return
    if abs(utterance.declared - utterance.seconds) > DURATION_TOLERANCE:
        detail = f"manifest {utterance.declared:.3f} s, audio {utterance.seconds:.3f} s"
        yield CorpusFinding("duration", utterance.id, detail)
    if spoken and utterance.peak < SILENT_PEAK:
        yield CorpusFinding(
            "silent",
            utterance.id,
            f"{utterance.seconds:.2f} s, text is {shortened(utterance.text, 40)!r}",
        )
    if utterance.clipped > CLIPPED_SHARE:
        yield CorpusFinding(
            "clipped", utterance.id, f"{utterance.clipped:.2%} of {utterance.seconds:.2f} s"
        )
    if tokenizer is not None:
        needed = frames_needed(tokenizer.encode(text))
        frames = math.floor(utterance.seconds * frames_per_second)
        if needed > frames:
            yield CorpusFinding(
                "labels", utterance.id, f"CTC needs {needed} frames, there are {frames}"
            )


class UnknownCharacters:
    """Counts what a tokenizer cannot write, with the first text of each."""

    def __init__(self, tokenizer: Tokenizer | None) -> None:
        self.tokenizer = tokenizer
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, tuple[str, str]] = {}

    def add(self, name: str, text: str) -> None:
        """Looks at one normalised text."""
        if self.tokenizer is None:
            return
        for character, count in self.tokenizer.unknown(text).items():
            self.counts[character] += count
            self.examples.setdefault(character, (name, text))

    def findings(self) -> Iterator[CorpusFinding]:
        """A finding for each character, the most frequent first."""
        for character, count in self.counts.most_common():
            name, text = self.examples[character]
            at = text.find(character)
            around = text[max(0, at - 20) : at + 20]
            label = f"{character!r} (U+{ord(character):04X})"
            yield CorpusFinding(
                "characters", label, f"{count} times, first in {name}: ...{around}..."
            )


def same_twice(everything: Iterable[InspectedUtterance]) -> Iterator[CorpusFinding]:
    """Utterances whose decoded sound is that of an earlier one; silence is not compared."""
    first: dict[str, str] = {}
    for utterance in everything:
        if utterance.problem is None and utterance.peak >= SILENT_PEAK:
            known = first.setdefault(utterance.digest, utterance.id)
            if known != utterance.id:
                yield CorpusFinding("twice", utterance.id, f"same as {known}")


def leaks(
    first: Iterable[InspectedUtterance], second: Iterable[InspectedUtterance]
) -> Iterator[CorpusFinding]:
    """Utterances of `one` whose decoded sound is also in `other`, and speakers in both."""
    known = {h.digest: h.id for h in second if h.problem is None and h.peak >= SILENT_PEAK}
    for utterance in first:
        if utterance.digest in known:
            yield CorpusFinding("leak", utterance.id, f"is {known[utterance.digest]} there")
    here = Counter(speaker for utterance in first for speaker in utterance.speakers)
    there = Counter(speaker for utterance in second for speaker in utterance.speakers)
    for speaker in sorted(here.keys() & there.keys()):
        counts = f"{here[speaker]} utterances here, {there[speaker]} there"
        yield CorpusFinding("speakers", speaker, counts)


def unusual_rates(rates: Mapping[str, float]) -> Iterator[CorpusFinding]:
    """Utterances spoken far faster or slower than the corpus usually is.

    Compared on a logarithmic scale with the median and the median distance from it, which a few
    wrong texts do not move.
    """
    if len(rates) < _RATES_NEEDED:
        return
    logs = {name: math.log(rate) for name, rate in rates.items() if rate > 0}
    middle = statistics.median(logs.values())
    spread = statistics.median(abs(value - middle) for value in logs.values())
    limit = max(math.log(RATE_FACTOR), 5 * 1.4826 * spread)
    for name, value in logs.items():
        if abs(value - middle) > limit:
            usual = math.exp(middle)
            detail = f"{rates[name]:.1f} characters a second, usual are {usual:.1f}"
            yield CorpusFinding("rate", name, detail)
