"""Measures a model folder for its card: dev sets, noise, silence, length and streaming."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from asr import load_model
from asr.audio import Audio, load_audio
from asr.data.augment import Augmenter
from asr.data.config import AugmentConfig, NoiseConfig
from asr.errors import AsrError
from asr.evaluate.calibration import Calibration, calibrate
from asr.evaluate.corpus import ReferenceUtterance, read_utterances
from asr.evaluate.error_rate import Counts, Scored, score, total
from asr.evaluate.evaluation import evaluate
from asr.evaluate.interval import Interval, rate_interval
from asr.evaluate.scoring import build_normalizer, scoring_for

#: The set that noise, length and streaming are measured on.
MAIN = "librispeech"
#: About so many utterances of it, evenly spread, get noise, and are streamed.
SAMPLE = 150
SNR_DB = (20, 10, 5, 0)
CHUNK_MS = 640
#: Utterances are told apart by length at these seconds.
LENGTHS = (3.0, 6.0, 12.0)


@dataclass(frozen=True)
class Measured:
    """Error rates (fractions) on some utterances."""

    name: str
    utterances: int
    hours: float
    wer: float
    cer: float
    interval: Interval | None


@dataclass(frozen=True)
class Silence:
    """Clips without speech, and how many of them give no text."""

    clips: int
    silent: int


@dataclass(frozen=True)
class Report:
    """All that the card tells in numbers; `plain` is without the language model, if any.

    `confidence` are the maps, by name, that say how sure words are.
    """

    sets: tuple[Measured, ...]
    plain: tuple[Measured, ...]
    lengths: tuple[Measured, ...]
    noisy: tuple[Measured, ...]
    streamed: Measured
    whole: Measured
    silence: dict[str, Silence]
    confidence: dict[str, Calibration]


def measure(model: Path, data: Path, jobs: int) -> Report:
    """Measures the model folder `model` on what prepare.py wrote to `data`."""
    manifests = sorted((data / "dev").glob("*.jsonl"))
    main = data / "dev" / f"{MAIN}.jsonl"
    noise = data / "noise-dev.jsonl"
    with ProcessPoolExecutor(jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        sets = {path.stem: pool.submit(scored, model, path) for path in manifests}
        alone = manifests if (model / "lm").exists() else []
        plain = {path.stem: pool.submit(scored, model, path, lm=False) for path in alone}
        streamed = pool.submit(scored, model, main, some=True, chunk_ms=CHUNK_MS)
        noisy = {snr: pool.submit(scored_in_noise, model, main, noise, snr) for snr in SNR_DB}
        quiet = {
            "never heard in training": pool.submit(silence, model, noise),
            "heard in training": pool.submit(silence, model, data / "noise.jsonl"),
        }
        ids = {one.id for one in streamed.result()}
        whole = tuple(one for one in sets[MAIN].result() if one.id in ids)
        return Report(
            sets=tuple(summary(name, found.result()) for name, found in sets.items()),
            plain=tuple(summary(name, found.result()) for name, found in plain.items()),
            lengths=tuple(by_length(sets[MAIN].result())),
            noisy=tuple(summary(f"{snr} dB", found.result()) for snr, found in noisy.items()),
            streamed=summary(f"{CHUNK_MS} ms", streamed.result()),
            whole=summary("whole utterances", whole),
            silence=_results(quiet),
            confidence=calibrations(
                [one for found in sets.values() for one in found.result()],
                [one for found in plain.values() for one in found.result()],
                streamed.result(),
            ),
        )


def calibrations(
    usual: Sequence[Scored], plain: Sequence[Scored], streamed: Sequence[Scored]
) -> dict[str, Calibration]:
    """The maps of confidence, of what was heard anyway: files and streams together.

    Args:
        plain: the same without the language model; empty where there is none.
    """
    together = [*usual, *streamed]
    if not plain:
        return {"without_lm": calibrate(together)}
    return {"with_lm": calibrate(together), "without_lm": calibrate(plain)}


def scored(
    model: Path, manifest: Path, lm: bool | None = None, some: bool = False, **options: Any
) -> tuple[Scored, ...]:
    """Each utterance of a manifest, by the model's own search settings but for `options`.

    Args:
        lm: False leaves the language model out.
        some: take about `SAMPLE` utterances.
    """
    utterances = read_utterances(manifest)
    found = evaluate(
        load_model(model, lm=lm), sample(utterances) if some else utterances, **options
    )
    for problem in found.failed.values():
        raise SystemExit(f"{len(found.failed)} recordings cannot be used, the first: {problem}")
    how = "without language model " if lm is False else ""
    print(f"{manifest.stem} {how}{options or ''}: WER {found.words.rate:.1%}", flush=True)
    return found.scored


def scored_in_noise(model: Path, manifest: Path, noise: Path, snr_db: int) -> tuple[Scored, ...]:
    """About `SAMPLE` utterances of a manifest, each with noise over all of it."""
    recognizer = load_model(model)
    rate = recognizer.sample_rate
    normalize = build_normalizer(scoring_for(recognizer.config.normalizer))
    level = NoiseConfig(manifest=str(noise), probability=1.0, snr_db=(snr_db, snr_db))
    augment = Augmenter(AugmentConfig(noise=level), rate, seed=0)
    utterances = sample(read_utterances(manifest))
    sounds = (
        Audio(augment(load_audio(str(one.audio), rate).samples, 0, one.id, 1.0), rate)
        for one in utterances
    )
    found = []
    for one, (_, result) in zip(utterances, recognizer.transcribe_many(sounds), strict=True):
        if isinstance(result, AsrError):
            raise result
        texts = normalize(one.text), normalize(result.text)
        found.append(score(one.id, *texts, one.speaker, result.duration))
    return tuple(found)


def sample(utterances: list[ReferenceUtterance]) -> list[ReferenceUtterance]:
    """About `SAMPLE` of them, evenly spread."""
    return utterances[:: max(1, len(utterances) // SAMPLE)]


def silence(model: Path, manifest: Path) -> Silence:
    """Counts the clips of a manifest that give no text."""
    recognizer = load_model(model)
    clips = [line.audio for line in read_utterances(manifest)]
    texts = [result.text for _, result in recognizer.transcribe_many(clips)]  # type: ignore[union-attr]
    return Silence(len(texts), sum(not text for text in texts))


def summary(name: str, found: tuple[Scored, ...]) -> Measured:
    """The rates of some utterances together."""
    words = [one.words for one in found]
    return Measured(
        name,
        len(found),
        sum(one.seconds for one in found) / 3600,
        _rate(words),
        _rate([one.characters for one in found]),
        rate_interval(words, [one.speaker for one in found]),
    )


def by_length(found: tuple[Scored, ...]) -> list[Measured]:
    """The rates of short and long utterances apart."""
    edges = (0.0, *LENGTHS, float("inf"))
    parts = []
    for low, high in pairwise(edges):
        some = tuple(one for one in found if low <= one.seconds < high)
        name = f"{low:g} to {high:g} s" if high < float("inf") else f"{low:g} s and more"
        if some:
            parts.append(summary(name, some))
    return parts


def _rate(counts: list[Counts]) -> float:
    return float(total(counts).rate or 0)


def _results(futures: dict[str, Future[Silence]]) -> dict[str, Silence]:
    return {name: future.result() for name, future in futures.items()}
