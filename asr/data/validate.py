"""`validate`: checks every line of a manifest, every recording, every text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.data.columns import AS_THEY_ARE, Columns
from asr.data.corpus_checks import (
    KINDS,
    CorpusFinding,
    UnknownCharacters,
    leaks,
    same_twice,
    single_findings,
    unusual_rates,
)
from asr.data.inspection import InspectedUtterance, inspect_audio
from asr.data.manifest import scan_manifest
from asr.text import Tokenizer


@dataclass(frozen=True)
class ValidationReport:
    """What there is in a corpus, and what is wrong with it.

    `seconds` are the lengths of the audio, `rates` the characters a second of each utterance that
    has both sound and text.
    """

    manifest: str
    utterances: int
    speakers: int
    seconds: tuple[float, ...]
    rates: tuple[float, ...]
    findings: tuple[CorpusFinding, ...]

    @property
    def hours(self) -> float:
        """Hours of audio that can be read."""
        return sum(self.seconds) / 3600

    @property
    def clean(self) -> bool:
        """Whether nothing was found that makes the corpus unfit."""
        return not any(KINDS[finding.kind][1] for finding in self.findings)

    def counts(self) -> Counter[str]:
        """Findings by kind."""
        return Counter(finding.kind for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        counts = self.counts()
        return {
            "manifest": self.manifest,
            "clean": self.clean,
            "utterances": self.utterances,
            "hours": round(self.hours, 4),
            "speakers": self.speakers,
            "seconds": _spread(self.seconds),
            "characters_per_second": _spread(self.rates),
            "counts": {kind: counts[kind] for kind in KINDS},
            "findings": [
                {"kind": finding.kind, "id": finding.id, "detail": finding.detail}
                for finding in self.findings
            ],
        }


def validate_corpus(
    manifest: str | Path,
    *,
    tokenizer: Tokenizer | None = None,
    normalise: Callable[[str], str] = str,
    against: str | Path | None = None,
    columns: Columns = AS_THEY_ARE,
    frames_per_second: float = 25.0,
    no_speech: bool = False,
    jobs: int | None = None,
    start: Callable[[int | None], None] = lambda _: None,
    progress: Callable[[float], None] | None = None,
) -> ValidationReport:
    """Decodes and checks everything in a corpus.

    Args:
        manifest: in any form that `read_manifest` knows.
        tokenizer: what texts must be writable with, and short enough for `frames_per_second`,
            the memory frames of the encoder.
        normalise: what is done to texts before they are tokenised.
        against: another corpus, such as the dev set, that must share no audio with this one.
        columns: of both, as for `read_manifest`.
        no_speech: allow empty texts.
        jobs: threads that decode; None is one for each core.
        start: is told how many utterances there will be (None: nobody knows).
        progress: is told the seconds of each utterance as it is done.

    Raises:
        ManifestError: a manifest cannot be read at all.
    """
    cuts, problems = scan_manifest(manifest, columns=columns)
    others, other_problems = (
        scan_manifest(against, columns=columns) if against is not None else ([], [])
    )
    known = [
        None if getattr(corpus, "is_lazy", False) else len(corpus) for corpus in (cuts, others)
    ]
    start(None if None in known else sum(n or 0 for n in known))

    findings = [CorpusFinding("line", "", str(error)) for error in [*problems, *other_problems]]
    unknown = UnknownCharacters(tokenizer)
    everything: list[InspectedUtterance] = []
    rates: dict[str, float] = {}
    for utterance in inspect_audio(cuts, jobs, progress):
        everything.append(utterance)
        text = normalise(utterance.text)
        unknown.add(utterance.id, text)
        findings += single_findings(utterance, normalise, tokenizer, frames_per_second, no_speech)
        letters = sum(map(str.isalnum, text))
        if letters and utterance.seconds:
            rates[utterance.id] = letters / utterance.seconds
    findings += unknown.findings()
    findings += unusual_rates(rates)
    findings += same_twice(everything)
    if against is not None:
        findings += leaks(everything, list(inspect_audio(others, jobs, progress)))
    order = list(KINDS)
    return ValidationReport(
        manifest=str(manifest),
        utterances=len(everything) + len(problems),
        speakers=len({speaker for utterance in everything for speaker in utterance.speakers}),
        seconds=tuple(utterance.seconds for utterance in everything if utterance.problem is None),
        rates=tuple(rates.values()),
        findings=tuple(sorted(findings, key=lambda finding: order.index(finding.kind))),
    )


def _spread(values: tuple[float, ...]) -> dict[str, float]:
    if not values:
        return {}
    ordered = sorted(values)
    at = {"least": 0.0, "lower_quarter": 0.25, "median": 0.5, "upper_quarter": 0.75, "most": 1.0}
    return {name: round(ordered[round(q * (len(ordered) - 1))], 3) for name, q in at.items()}
