"""What is held out of a corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data.leakage import same_audio
from asr.data.manifest import read_manifest
from asr.data.utterance import Utterance
from asr.errors import TrainingError
from asr.train.adapt.holdout import MOST, MOST_SECONDS, hold_out


def cuts(lengths: list[float], people: list[str | None]) -> list[Any]:
    """Utterances of files that are not there."""
    return [
        Utterance(f"u{n}", f"/gone/{n}.wav", seconds, "text", "test", speaker=who).cut()
        for n, (seconds, who) in enumerate(zip(lengths, people, strict=True))
    ]


def seconds(found: list[Any]) -> float:
    return sum(cut.duration for cut in found)


utterances = st.lists(
    st.tuples(st.floats(0.2, 30), st.sampled_from([None, *"abcdefgh"])), min_size=1, max_size=120
)


@given(utterances)
@settings(derandomize=True, deadline=None, max_examples=60)
def test_nothing_is_lost_and_not_too_much_is_held_out(corpus: list[tuple[float, str]]) -> None:
    whole = cuts([one for one, _ in corpus], [who for _, who in corpus])
    parts = hold_out(whole)
    ids = [cut.id for cut in whole]
    assert sorted(cut.id for cut in [*parts.train, *parts.dev]) == sorted(ids)
    assert parts.train
    assert seconds(parts.dev) <= MOST * seconds(whole) + 1e-6
    again = hold_out(list(reversed(whole)))
    assert {cut.id for cut in again.dev} == {cut.id for cut in parts.dev}


def test_whole_speakers_where_there_are_enough() -> None:
    people = [f"s{n % 20}" for n in range(400)]
    parts = hold_out(cuts([5.0] * 400, people))
    heard = {part.speaker for cut in parts.train for part in cut.supervisions}
    held = {part.speaker for cut in parts.dev for part in cut.supervisions}
    assert not heard & held
    assert len(held) == 2  # a tenth
    assert parts.how == "all of 2 of 20 speakers"


@pytest.mark.parametrize("people", [["one"] * 60, ["a", "b", "c"] * 20, [None, "a"] * 30])
def test_else_random_utterances(people: list[str | None]) -> None:
    parts = hold_out(cuts([5.0] * 60, people))
    assert parts.how == "chosen at random"
    assert seconds(parts.dev) == 60  # a minute at least, where that is not above a fifth


def test_a_large_corpus_gives_ten_minutes_and_a_tiny_one_nothing() -> None:
    assert seconds(hold_out(cuts([10.0] * 4000, [None] * 4000)).dev) == MOST_SECONDS
    assert hold_out(cuts([10.0] * 9, [None] * 9)).dev == []


def test_one_speaker_with_nearly_everything_is_not_held_out() -> None:
    people = ["main"] * 90 + ["a", "b", "c", "d", "e"] * 2
    parts = hold_out(cuts([5.0] * 100, people))
    assert "main" not in {part.speaker for cut in parts.dev for part in cut.supervisions}
    assert parts.dev


def recorded(folder: Path, count: int) -> list[Any]:
    noise, lines = np.random.default_rng(0), []
    folder.mkdir()
    for number in range(count):
        # every second file has the bytes of the one before it
        if number % 2 == 0:
            samples = noise.normal(0, 0.1, 1600)
        soundfile.write(folder / f"{number}.wav", samples, 8000)
        lines.append({"audio_filepath": f"{number}.wav", "duration": 0.2, "text": "a"})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return list(read_manifest(folder))


def test_the_same_sound_is_on_one_side(tmp_path: Path) -> None:
    whole = recorded(tmp_path / "twins", 40)
    parts = hold_out(whole)
    assert len(parts.train) + len(parts.dev) == 40
    assert same_audio(parts.train, parts.dev) == []


def test_the_parts_are_written_as_a_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(tmp_path / "corpus", 30)
    monkeypatch.chdir(tmp_path)
    parts = hold_out(list(read_manifest("corpus")))
    parts.write(tmp_path / "out", begun=False)
    with monkeypatch.context() as elsewhere:
        elsewhere.chdir("/")
        back = list(read_manifest(tmp_path / "out" / "train.jsonl"))
        assert [cut.id for cut in back] == [cut.id for cut in parts.train]
        assert all(Path(cut.recording.sources[0].source).exists() for cut in back)
    parts.write(tmp_path / "out", begun=True)  # the same again
    fewer = hold_out(list(read_manifest(tmp_path / "corpus"))[:-4])
    with pytest.raises(TrainingError, match="begun with other recordings"):
        fewer.write(tmp_path / "out", begun=True)
