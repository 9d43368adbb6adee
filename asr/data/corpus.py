"""The corpora of a recipe, checked: what can be trained on, what is left out and why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asr.data.config import CorpusSource, DataConfig
from asr.data.durations import all_seconds
from asr.data.epoch import SHARE
from asr.data.manifest import read_manifest
from asr.data.samples import audio_file, is_whole
from asr.data.utterance import text_of
from asr.errors import AudioError, ConfigError, ManifestError

if TYPE_CHECKING:
    from lhotse.cut import Cut


@dataclass(frozen=True)
class LeftOut:
    """An utterance that is not trained on, and why (`missing audio`, `too long` ...)."""

    id: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Corpus:
    """Cuts to train or validate on. `cuts` is a list, or is read anew each time where lazy."""

    cuts: Iterable[Cut]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def in_memory(self) -> bool:
        """Whether `cuts` is a list."""
        return isinstance(self.cuts, Sequence)

    def summary(self) -> list[str]:
        """Lines for a log: how much there is, and what was left out, longest lists cut."""
        lines = []
        if isinstance(self.cuts, Sequence):
            hours = sum(cut.duration for cut in self.cuts) / 3600
            lines.append(f"{len(self.cuts)} utterances, {hours:.2f} hours")
        reasons = Counter(excluded.reason for excluded in self.left_out)
        for reason, count in reasons.most_common():
            examples = [excluded for excluded in self.left_out if excluded.reason == reason][:5]
            listing = ", ".join(f"{excluded.id} ({excluded.detail})" for excluded in examples)
            more = f" and {count - len(examples)} more" if count > len(examples) else ""
            lines.append(f"left out, {reason}: {count}: {listing}{more}")
        return lines


def load_corpus(sources: Sequence[CorpusSource], config: DataConfig, training: bool) -> Corpus:
    """Reads and checks corpora; durations become those of the audio (from its headers).

    For training, utterances outside `min_seconds` to `max_seconds` are left out, and each
    source is repeated as it says. Corpora that are read lazily are checked as they are read.

    Raises:
        ManifestError: an entry is wrong; audio is missing or unreadable and `missing_audio`
            does not say to leave it out; a text is empty and `no_speech` does not allow that;
            nothing is left.
        ConfigError: see `check_batch_seconds`.
    """
    if not sources:
        return Corpus([])
    sets = [read_manifest(source.manifest, columns=source.columns) for source in sources]
    if any(cuts.is_lazy for cuts in sets):
        if training:
            check_batch_seconds(None, config)
        return Corpus(_Interleaved(sets, sources, config, training))
    cuts, left_out = _with_audio(_renamed(sets), config)
    _check_texts([cut for group in cuts for cut in group], config)
    if training:
        kept = []
        for group in cuts:
            inside, outside = within_seconds(group, config)
            kept.append(inside)
            left_out += outside
        cuts = kept
        check_batch_seconds([cut for group in cuts for cut in group], config)
    groups = zip(cuts, sources, strict=True)
    listed = [cut for group, source in groups for cut in _repeated(group, source, training)]
    corpus = Corpus(listed, tuple(left_out))
    if not listed:
        names = ", ".join(source.manifest for source in sources)
        purpose = "train" if training else "validate"
        raise ManifestError(f"{names}: nothing to {purpose} on; {'; '.join(corpus.summary())}")
    return corpus


def within_seconds(cuts: Iterable[Cut], config: DataConfig) -> tuple[list[Cut], list[LeftOut]]:
    """Cuts that are neither too short nor too long for training, and the others."""
    inside, outside = [], []
    for cut in cuts:
        if cut.duration < config.min_seconds:
            reason = f"shorter than {config.min_seconds:g} s"
        elif cut.duration > config.max_seconds:
            reason = f"longer than {config.max_seconds:g} s"
        else:
            inside.append(cut)
            continue
        outside.append(LeftOut(cut.id, reason, f"{cut.duration:.2f} s"))
    return inside, sorted(outside, key=lambda excluded: -float(excluded.detail.split()[0]))


def check_batch_seconds(cuts: Iterable[Cut] | None, config: DataConfig) -> None:
    """Refuses a training corpus with utterances that are longer than a batch.

    Args:
        cuts: those that are trained on; None where they are read lazily: then as long ones as
            `max_seconds` allows must fit.

    Raises:
        ConfigError: they do not fit.
    """
    slowest = min(1.0, config.augment.slowest)
    slow = f" when played {slowest:g} times as fast" if slowest < 1 else ""
    if cuts is None:
        longest = config.max_seconds / slowest
        what = f"an utterance of data.max_seconds, {longest:.4g} s{slow}"
    else:
        cut = max(cuts, key=lambda cut: cut.duration, default=None)
        longest = cut.duration / slowest if cut is not None else 0.0
        what = f"the longest utterance, {cut.id} with {longest:.4g} s{slow}" if cut else ""
    if longest > config.batch_seconds + 1e-6:
        raise ConfigError(
            f"data.batch_seconds: {config.batch_seconds:g} is less than {what}; raise it, or lower "
            "data.max_seconds to leave long ones out"
        )


def _renamed(sets: Sequence[Iterable[Cut]]) -> list[list[Cut]]:
    """Corpora as lists; ids that several of them use get the corpus's number in front."""
    from lhotse.utils import fastcopy

    groups = [list(cuts) for cuts in sets]
    uses = Counter(name for group in groups for name in {cut.id for cut in group})
    return [
        [fastcopy(cut, id=f"{n}/{cut.id}") if uses[cut.id] > 1 else cut for cut in group]
        for n, group in enumerate(groups, start=1)
    ]


def _with_audio(
    groups: list[list[Cut]], config: DataConfig
) -> tuple[list[list[Cut]], list[LeftOut]]:
    """Cuts whose audio is there, with its true length; the others are refused or left out."""
    files = [str(name) for cuts in groups for cut in cuts if (name := _file_of(cut))]
    seconds = all_seconds(files)
    left_out: list[LeftOut] = []
    kept: list[list[Cut]] = []
    for cuts in groups:
        kept.append([])
        for cut in cuts:
            file = _file_of(cut)
            length = seconds.get(file or "")
            if isinstance(length, AudioError):
                left_out.append(LeftOut(cut.id, "audio missing or unreadable", str(length)))
            elif length is None:  # only Lhotse knows
                kept[-1].append(cut)
            elif cut.start >= length:
                detail = f"{file}: starts at {cut.start:g} s, the audio ends at {length:g} s"
                left_out.append(LeftOut(cut.id, "audio missing or unreadable", detail))
            else:
                kept[-1].append(retimed(cut, length))
    if left_out and config.missing_audio == "refuse":
        raise ManifestError(
            f"audio of {len(left_out)} utterances is missing or unreadable, the first: "
            f"{left_out[0].detail}; `asr validate` lists them all; mend them, or set "
            f"data.missing_audio: leave_out"
        )
    return kept, left_out


def _file_of(cut: Any) -> str | None:
    name = audio_file(cut)
    return name if name is not None and cut.recording.sources[0].type == "file" else None


def retimed(cut: Any, seconds: float) -> Cut:
    """A cut whose recording is `seconds` long: whole cuts follow it, parts end within it."""
    from lhotse.utils import fastcopy

    duration = seconds if is_whole(cut) else min(cut.duration, seconds - cut.start)
    if math.isclose(seconds, cut.recording.duration) and math.isclose(duration, cut.duration):
        return cut
    rate = cut.recording.sampling_rate
    recording = fastcopy(cut.recording, duration=seconds, num_samples=round(seconds * rate))
    parts = [
        fastcopy(part, duration=duration) if len(cut.supervisions) == 1 else part
        for part in cut.supervisions
    ]
    return fastcopy(cut, duration=duration, recording=recording, supervisions=parts)


def _check_texts(cuts: Sequence[Cut], config: DataConfig) -> None:
    empty = [cut.id for cut in cuts if not any(map(str.isalnum, text_of(cut)))]
    if empty and not config.no_speech:
        raise ManifestError(
            f"{len(empty)} utterances have no text (or only punctuation), the first: {empty[0]}; "
            f"correct them, or set data.no_speech: true to train on them as 'nobody speaks'"
        )


def _repeated(cuts: Sequence[Cut], source: CorpusSource, training: bool) -> Iterator[Cut]:
    """Each cut as often as its source says; a remaining share is drawn anew each epoch."""
    from lhotse.utils import fastcopy

    whole, share = divmod(source.repeat, 1) if training else (1, 0)
    for copy in range(int(whole)):
        yield from cuts if copy == 0 else (fastcopy(cut, id=f"{cut.id}#{copy + 1}") for cut in cuts)
    if share:
        for cut in cuts:
            custom = {**(cut.custom or {}), SHARE: share}
            yield fastcopy(cut, id=f"{cut.id}#{int(whole) + 1}", custom=custom)


class _Interleaved:
    """Corpora that do not fit into memory, read side by side in proportion to their repeats."""

    def __init__(
        self,
        sets: Sequence[Any],
        sources: Sequence[CorpusSource],
        config: DataConfig,
        training: bool,
    ) -> None:
        from lhotse import CutSet

        self.config, self.training = config, training
        several = len(sets) > 1
        weights = [source.repeat for source in sources]
        self.cuts = CutSet.mux(*sets, weights=weights, seed=0) if several else sets[0]

    def __iter__(self) -> Iterator[Cut]:
        low, high = self.config.min_seconds, self.config.max_seconds
        for cut in self.cuts:
            if self.training and not low <= cut.duration <= high:
                continue
            _check_texts([cut], self.config)
            yield cut
