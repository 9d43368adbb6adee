"""Reading manifests line by line."""

from __future__ import annotations

import itertools
from pathlib import Path

from asr.data import lines as forms
from asr.data.durations import all_seconds
from tests.data.sound import lines, write

GOOD = {"audio_filepath": "a.wav", "duration": 1.5, "text": "hello"}


def test_only_what_has_no_duration_is_looked_at_and_once(tmp_path, monkeypatch):
    names = [("a", 1.0), ("b", None), ("b", None), ("a", None), ("gone", None), ("b", None)]
    entries = [
        {"audio_filepath": f"{name}.wav", "duration": seconds, "text": "", "id": str(n)}
        for n, (name, seconds) in enumerate(names)
    ]
    for name, seconds in (("a", 3.0), ("b", 2.0)):
        write(tmp_path / f"{name}.wav", seconds)
    asked = []

    def counted(paths):
        asked.extend(Path(one).stem for one in paths)
        return all_seconds(paths)

    monkeypatch.setattr(forms, "all_seconds", counted)
    monkeypatch.setattr(forms, "_AHEAD", 2)
    found = list(forms.json_utterances(lines(tmp_path / "m.jsonl", entries), True))
    assert [one.duration for one in found] == [1, 2, 2, 3, None, 2]
    assert asked == ["b", "a", "gone"]


def test_a_manifest_without_end_is_read_as_it_comes(tmp_path):
    rows = ((f"m, line {n}", {**GOOD, "id": str(n)}) for n in itertools.count(1))
    found = forms._entries(rows, tmp_path / "m.jsonl", True)
    assert [next(found).id for _ in range(3)] == ["1", "2", "3"]
