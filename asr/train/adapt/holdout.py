"""A part of a corpus that is kept from training, to measure on."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.atomic import write_atomic
from asr.data.leakage import same_audio
from asr.errors import TrainingError

if TYPE_CHECKING:
    from lhotse.cut import Cut

TRAIN, DEV, KEPT = "train.jsonl", "dev.jsonl", "keep.jsonl"
#: What is held out: this share of the sound, within these limits (seconds), never above `MOST`.
SHARE, LEAST_SECONDS, MOST_SECONDS, MOST = 0.1, 60.0, 600.0, 0.2
#: Fewer speakers than this are not told apart: each has too much of the corpus.
FEWEST_SPEAKERS = 5
#: Fewer utterances than this are all needed for training.
FEWEST_UTTERANCES = 10


@dataclass(frozen=True)
class HeldOut:
    """The two parts, and how they were chosen, in words. `dev` is empty in tiny corpora."""

    train: list[Cut]
    dev: list[Cut]
    how: str

    def write(self, folder: Path, begun: bool) -> None:
        """Writes both parts as `train.jsonl` and `dev.jsonl`: Lhotse cuts, absolute paths.

        Args:
            begun: training on what stands there has begun; other parts are refused.

        Raises:
            TrainingError: other parts stand there.
            OutputError: they cannot be written.
        """
        write_cuts(folder / TRAIN, self.train, begun)
        write_cuts(folder / DEV, self.dev, begun)


def write_cuts(path: Path, cuts: Iterable[Cut], begun: bool) -> None:
    """Writes a corpus; see `HeldOut.write`."""
    lines = "".join(json.dumps(_line(cut), ensure_ascii=False) + "\n" for cut in cuts)
    if begun and path.exists() and path.read_text(encoding="utf-8") != lines:
        raise TrainingError(
            f"{path}: training was begun with other recordings than there are now; choose "
            "another folder (-o), or start anew with --resume never"
        )
    write_atomic(path, lines)


def hold_out(cuts: Sequence[Cut]) -> HeldOut:
    """Splits a corpus: whole speakers where they are known, else random recordings.

    The choice depends on names and lengths alone. What sounds the same stays on one side.
    """
    if len(cuts) < FEWEST_UTTERANCES:
        return HeldOut(list(cuts), [], f"none: fewer than {FEWEST_UTTERANCES} utterances")
    total = sum(cut.duration for cut in cuts)
    wanted = min(max(SHARE * total, LEAST_SECONDS), MOST_SECONDS, MOST * total)
    people = [_speaker(cut) for cut in cuts]
    if all(people) and len({*people}) >= FEWEST_SPEAKERS:
        groups, limit = _grouped(cuts, people), MOST * total
        chosen = _choose(groups, wanted, limit)
        if chosen:
            how = f"all of {len(chosen)} of {len(groups)} speakers"
            return _split(cuts, [cut for name in chosen for cut in groups[name]], how)
    groups = _grouped(cuts, [cut.id for cut in cuts])
    chosen = _choose(groups, wanted, MOST * total)
    return _split(cuts, [cut for name in chosen for cut in groups[name]], "chosen at random")


def portion(cuts: Iterable[Cut], seconds: float, longest: float) -> list[Cut]:
    """Utterances of `cuts` that look chosen at random, none above `longest`, for `seconds`."""
    groups = {cut.id: [cut] for cut in cuts if cut.duration <= longest}
    return [groups[name][0] for name in _choose(groups, seconds, float("inf"))]


def _line(cut: Cut) -> dict[str, Any]:
    values: dict[str, Any] = cut.to_dict()
    for source in (values.get("recording") or {}).get("sources", ()):
        if source["type"] == "file":
            source["source"] = str(Path(source["source"]).absolute())
    return values


def _speaker(cut: Cut) -> str:
    people = {part.speaker or "" for part in cut.supervisions}
    return people.pop() if len(people) == 1 else ""


def _grouped(cuts: Iterable[Cut], names: Iterable[str]) -> dict[str, list[Cut]]:
    groups: defaultdict[str, list[Cut]] = defaultdict(list)
    for cut, name in zip(cuts, names, strict=True):
        groups[name].append(cut)
    return groups


def _choose(groups: dict[str, list[Cut]], wanted: float, limit: float) -> list[str]:
    """Groups in an order that looks random, until `wanted` seconds are there; none past `limit`."""
    chosen: list[str] = []
    seconds = 0.0
    for name in sorted(groups, key=lambda one: hashlib.sha256(one.encode()).hexdigest()):
        size = sum(cut.duration for cut in groups[name])
        if seconds < wanted and seconds + size <= limit:
            chosen.append(name)
            seconds += size
    return chosen


def _split(cuts: Sequence[Cut], dev: Sequence[Cut], how: str) -> HeldOut:
    held = {cut.id for cut in dev}
    train = [cut for cut in cuts if cut.id not in held]
    twins = {name for _, name in same_audio(train, dev)}  # the same sound under another name
    kept = held - twins
    return HeldOut(
        [cut for cut in cuts if cut.id not in kept], [cut for cut in cuts if cut.id in kept], how
    )
