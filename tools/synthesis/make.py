"""Speaks sentences until there are enough hours, and goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path

import soundfile

from asr.atomic import write_atomic
from asr.data.random_state import generator
from asr.errors import AudioError

from .engines import Engine, SynthesisError
from .opus import opus
from .sentences import Sentence
from .sound import RATE, fault, shape

#: Changes when the same delivery sounds different: old files are then made again.
_EDITION = "1"
#: Utterances between two looks at whether there are enough, and between two manifests.
_CHUNK, _SAVE = 64, 20


@dataclass(frozen=True)
class Manners:
    """Ranges that the manner of speaking is drawn from, each a factor of the voice's own."""

    rate: tuple[float, float] = (0.72, 1.1)
    pitch: tuple[float, float] = (0.88, 1.14)
    tract: tuple[float, float] = (0.9, 1.12)


@dataclass(frozen=True)
class SpokenSentence:
    """A sentence, who says it, and how."""

    sentence: Sentence
    engine: str
    voice: str
    rate: float
    pitch: float
    tract: float

    @property
    def id(self) -> str:
        """A name that tells everything that the samples depend on."""
        told = (_EDITION, self.sentence.spoken, self.voice, self.rate, self.pitch, self.tract)
        digest = hashlib.blake2b("\x1f".join(map(str, told)).encode(), digest_size=6).hexdigest()
        return f"{self.engine}-{digest}"

    @property
    def file(self) -> Path:
        """Where its samples are, below the folder; no folder gets more than a few hundred."""
        return Path(self.id[-2:]) / f"{self.id}.opus"


def deliveries(
    sentences: Iterable[Sentence],
    voices: Mapping[str, Sequence[str]],
    shares: Mapping[str, float],
    manners: Manners,
    seed: int,
) -> Iterator[SpokenSentence]:
    """One delivery for each sentence; who says it and how depends on the sentence and the seed.

    Each engine and voice draws for itself and the first one speaks (rendezvous hashing, Thaler and
    Ravishankar 1998): without a voice, only the sentences that it said are said by another.

    Args:
        voices: of each engine, all equally likely.
        shares: how often each engine speaks, relative to the others.
    """
    for sentence in sentences:

        def wait(name: str, share: float = 1.0, text: str = sentence.text) -> float:
            return float(generator(seed, "voice", text, name).exponential(1 / share))

        engine = min(sorted(voices), key=lambda name: wait(name, shares[name]))
        voice = min(sorted(voices[engine]), key=lambda name: wait(f"{engine}:{name}"))
        draw = generator(seed, "manners", sentence.text)
        rate, pitch, tract = (
            round(float(draw.uniform(*limits)), 3)
            for limits in (manners.rate, manners.pitch, manners.tract)
        )
        yield SpokenSentence(sentence, engine, voice, rate, pitch, tract)


@dataclass
class Made:
    """What has been spoken: lines of the manifest, and why other sentences were left out."""

    lines: list[dict[str, object]] = field(default_factory=list)
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: float = 0.0


def make(
    plan: Iterator[SpokenSentence],
    engines: Mapping[str, Engine],
    manifest: Path,
    hours: float,
    jobs: int = 1,
    progress: Callable[[Made], None] = lambda made: None,
) -> Made:
    """Speaks the plan, in its order, until the utterances that are sound are so many hours.

    Samples go to the folder beside `manifest` that has its name; those that are there already are
    kept. The manifest is written whole from time to time and at the end; until then one that tells
    of more utterances is left as it is. Threads suffice for `jobs`, since the work is done by
    programs and C libraries.

    Raises:
        OutputError: a file cannot be written.
    """
    made = Made()
    folder = manifest.with_suffix("")
    standing = len(manifest.read_text("utf-8").splitlines()) if manifest.exists() else 0
    pool = ThreadPoolExecutor(jobs)
    try:
        for number in count(1):
            chunk = list(islice(plan, _CHUNK))
            if made.seconds >= hours * 3600 or not chunk:
                break
            spoken = pool.map(lambda one: utter(one, engines, folder), chunk)
            for one, said in zip(chunk, spoken, strict=True):
                if made.seconds < hours * 3600:
                    _add(made, one, said, os.path.relpath(folder / one.file, manifest.parent))
            progress(made)
            if number % _SAVE == 0 and len(made.lines) > standing:
                write(made, manifest)
        standing = 0
    finally:  # also where it is interrupted: what is done can be trained on
        pool.shutdown(cancel_futures=True)
        if len(made.lines) > standing:
            write(made, manifest)
    return made


def utter(one: SpokenSentence, engines: Mapping[str, Engine], folder: Path) -> float | str:
    """Writes what is not there yet; returns its seconds, or what is wrong with it."""
    target = folder / one.file
    if target.exists():
        return spoken_seconds(target)
    try:
        samples, rate = engines[one.engine].synthesize(
            one.sentence.spoken, one.voice, one.rate / one.tract, one.pitch / one.tract
        )
    except SynthesisError as error:
        return f"failed ({str(error).split(':')[0]})"
    samples = shape(samples, rate, one.tract)
    wrong = fault(samples, one.sentence.text, one.rate)
    if wrong is not None:
        return wrong
    write_atomic(target, opus(samples, RATE))
    return len(samples) / RATE


def spoken_seconds(file: Path) -> float:
    """The length of a file that was made before. Raises AudioError where it is damaged."""
    try:
        return float(soundfile.info(file).frames) / RATE
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(f"{file}: cannot be read: {error}; delete it and call again") from None


def _add(made: Made, one: SpokenSentence, said: float | str, path: str) -> None:
    speaker = f"{one.engine}:{one.voice}"
    if isinstance(said, str):
        made.rejected[one.engine, said] += 1
        return
    made.seconds += said
    made.lines.append(
        {
            "id": one.id,
            "audio_filepath": path,
            "duration": round(said, 4),
            "text": one.sentence.text,
            "speaker": speaker,
            "rate": one.rate,
            "pitch": one.pitch,
            "tract": one.tract,
        }
    )


def write(made: Made, manifest: Path) -> None:
    """Writes the manifest, whole."""
    write_atomic(manifest, "".join(json.dumps(line) + "\n" for line in made.lines))
