from __future__ import annotations

import json
import shutil
from collections import Counter

import numpy as np
import pytest
import soundfile

from asr.data.corpus_checks import KINDS
from asr.data.histogram import histogram
from asr.data.validate import validate_corpus
from tests.data.sound import RATE, corpus, lines, tone, write


class Lower:
    """Writes small letters and spaces, one label each."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def unknown(self, text: str) -> Counter[str]:
        return Counter(c for c in text if not (c.islower() or c == " "))


def found(report, kind):
    return [(one.id, one.detail) for one in report.findings if one.kind == kind]


def test_a_clean_corpus(tmp_path):
    report = validate_corpus(corpus(tmp_path, [1.0, 2.0]), tokenizer=Lower())
    assert report.clean
    assert report.findings == ()
    assert (report.utterances, report.speakers) == (2, 1)
    assert report.hours == pytest.approx(3 / 3600)


def broken(folder):
    """A corpus with one of each: every problem has its own id."""
    write(folder / "good.wav", 2.0, 300)
    write(folder / "long.wav", 2.0, 310)
    write(folder / "punct.wav", 2.0, 320)
    write(folder / "odd.wav", 2.0, 330)
    write(folder / "many.wav", 2.0, 340)
    shutil.copy(folder / "good.wav", folder / "copy.wav")
    soundfile.write(folder / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "clipped.wav", np.clip(tone(2.0, 350) * 9, -1, 1), RATE)
    (folder / "bad.wav").write_bytes(b"this is no sound at all")
    whole = soundfile.read(write(folder / "cut.flac", 3.0, 360), dtype="int16")[0]
    assert len(whole)
    data = (folder / "cut.flac").read_bytes()
    (folder / "cut.flac").write_bytes(data[: len(data) // 2])
    names = ["good", "long", "punct", "odd", "many", "copy", "silent", "clipped", "bad", "gone"]
    entries = [
        {"id": name, "audio_filepath": f"{name}.wav", "duration": 2.0, "text": "some words here"}
        for name in names
    ]
    entries.append({**entries[0], "id": "cut", "audio_filepath": "cut.flac", "duration": 3.0})
    by_id = {entry["id"]: entry for entry in entries}
    by_id["long"]["duration"] = 2.5
    by_id["punct"]["text"] = "?!"
    by_id["odd"]["text"] = "über naïve"
    by_id["many"]["text"] = "l" * 30
    by_id["silent"]["duration"] = 1.0
    path = lines(folder / "m.jsonl", entries)
    with path.open("a") as file:
        file.write('{"audio_filepath": "x.wav", "duration": 1}\n')
        file.write(json.dumps(by_id["good"]) + "\n")
    return path


class Ascii(Lower):
    def unknown(self, text: str) -> Counter[str]:
        return Counter(c for c in text if not c.isascii())


def test_everything_that_is_wrong_is_found(tmp_path):
    report = validate_corpus(broken(tmp_path), tokenizer=Ascii(), frames_per_second=25)
    assert not report.clean
    bad = dict(found(report, "audio"))
    assert set(bad) == {"bad", "gone", "cut"}
    assert "cut off" in bad["cut"]
    assert found(report, "duration") == [("long", "manifest 2.500 s, audio 2.000 s")]
    assert found(report, "text") == [("punct", "text is '?!'")]
    characters = found(report, "characters")
    assert [name for name, _ in characters] == ["'ü' (U+00FC)", "'ï' (U+00EF)"]
    assert characters[0][1] == "1 times, first in odd: ...über naïve..."
    assert found(report, "labels") == [("many", "CTC needs 59 frames, there are 50")]
    assert found(report, "silent") == [("silent", "1.00 s, text is 'some words here'")]
    assert [name for name, _ in found(report, "clipped")] == ["clipped"]
    assert ("copy", "same as good") in found(report, "twice")
    said = [detail for _, detail in found(report, "line")]
    assert any("line 12: field 'text' is missing" in one for one in said)
    assert any("line 13: id 'good' is also at" in one for one in said)


def test_counts_hours_and_json(tmp_path):
    values = validate_corpus(broken(tmp_path), tokenizer=Ascii()).to_dict()
    assert json.loads(json.dumps(values)) == values
    assert list(values["counts"]) == list(KINDS)
    assert values["counts"]["audio"] == 3
    assert values["seconds"]["most"] == 2.0
    assert values["clean"] is False


def test_against_another_corpus(tmp_path):
    train, dev = corpus(tmp_path / "a", [1.0, 2.0]), corpus(tmp_path / "b", [1.0, 2.5])
    report = validate_corpus(train, against=dev)
    assert found(report, "leak") == [("u0", "is u0 there")]
    assert found(report, "speakers") == [("ann", "2 utterances here, 2 there")]
    assert not report.clean


def test_empty_texts_may_be_allowed(tmp_path):
    write(tmp_path / "a.wav", 1.0)
    entry = {"audio_filepath": "a.wav", "duration": 1.0, "text": ""}
    manifest = lines(tmp_path / "m.jsonl", [entry])
    assert not validate_corpus(manifest).clean
    assert validate_corpus(manifest, no_speech=True).clean


def test_unusual_rates_are_worth_a_look_and_no_more(tmp_path):
    manifest = corpus(tmp_path, [1.0 + i / 100 for i in range(30)])
    entries = [json.loads(line) for line in manifest.read_text().splitlines()]
    for entry in entries:
        entry["text"] = "five words are said here"
    entries[7]["text"] = "far too many words " * 8
    entries[9]["text"] = "a"
    report = validate_corpus(lines(manifest, entries))
    assert [name for name, _ in found(report, "rate")] == ["u7", "u9"]
    assert report.clean


def test_parts_of_one_file_are_heard_as_parts(tmp_path):
    write(tmp_path / "a.wav", 10.0)
    entry = {"audio_filepath": "a.wav", "text": "x"}
    parts = [{**entry, "offset": float(i), "duration": 1.0} for i in range(10)]
    parts.append({**entry, "offset": 9.5, "duration": 2.0})
    report = validate_corpus(lines(tmp_path / "m.jsonl", parts))
    assert report.seconds == (1.0,) * 10 + (0.5,)
    assert found(report, "duration") == [("a-9500", "manifest 2.000 s, audio 0.500 s")]


def test_histogram_counts_everything_and_squeezes_outliers():
    rows = histogram([1.0] * 500 + [2.0] * 490 + [500.0])
    counts = [int(row.split()[3]) for row in rows]
    assert sum(counts) == 991
    assert len(rows) < 20
    assert rows[-1].split()[2] == "500.0"
    assert histogram([]) == []
    assert len(histogram([3.0])) == 1


class TestCommand:
    @pytest.fixture
    def run(self, capsys):
        from asr.cli.main import program

        def run(*arguments):
            with pytest.raises(SystemExit) as end:
                program.main(["validate", *map(str, arguments)])
            told = capsys.readouterr()
            return end.value.code, told.out, told.err

        return run

    def test_clean_is_0(self, run, tmp_path):
        status, out, err = run(corpus(tmp_path, [1.0, 2.0]))
        assert status == 0
        assert "utterances  2\n" in out
        assert out.endswith("nothing wrong\n")
        assert err == ""

    def test_problems_are_1_and_one_line_each(self, run, tmp_path):
        status, out, err = run(broken(tmp_path))
        assert status == 1
        assert "problem: audio missing or unreadable: 3\n" in out
        assert "\n  punct  text is '?!'\n" in out
        assert out.rstrip().endswith(" to look at")
        assert err == ""

    def test_long_lists_are_cut_unless_all(self, run, tmp_path):
        entries = [
            {"audio_filepath": f"gone{i}.wav", "duration": 1.0, "text": "x"} for i in range(25)
        ]
        manifest = lines(tmp_path / "m.jsonl", entries)
        assert "  ... and 15 more (--all lists them)\n" in run(manifest)[1]
        everything = run(manifest, "--all")[1]
        assert "gone24" in everything
        assert "--all" not in everything

    def test_json(self, run, tmp_path):
        status, out, _ = run(corpus(tmp_path, [1.0]), "--json")
        assert status == 0
        assert json.loads(out)["utterances"] == 1

    def test_tokenizer_and_normaliser(self, run, tmp_path):
        from asr.text import TokenizerConfig, train_tokenizer

        manifest = corpus(tmp_path, [1.0, 2.0])
        train_tokenizer(["one two three four"], TokenizerConfig(type="char"), tmp_path / "t")
        entries = [json.loads(line) for line in manifest.read_text().splitlines()]
        entries[0]["text"] = "One, Zwölf"
        lines(manifest, entries)
        status, out, _ = run(manifest, "--tokenizer", tmp_path / "t")
        assert status == 1
        assert "'ö' (U+00F6)" in out
        assert "','" not in out, "the normaliser removes it"
        assert "','" in run(manifest, "--tokenizer", tmp_path / "t", "--no-normalize")[1]

    @pytest.mark.parametrize("arguments", [["gone.jsonl"], [], ["--jobs", "0", "x"]])
    def test_a_wrong_call_is_2(self, run, arguments):
        status, out, err = run(*arguments)
        assert status == 2
        assert out == ""
        assert err.startswith("asr: ")
        assert err.count("\n") == 1

    def test_a_manifest_that_is_none_is_1_with_a_line(self, run, tmp_path):
        (tmp_path / "m.jsonl").write_text("")
        status, _, err = run(tmp_path / "m.jsonl")
        assert status == 1
        assert err.startswith(f"asr: {tmp_path / 'm.jsonl'}: empty")
