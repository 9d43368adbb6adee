from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from asr.errors import OutputError
from tests.cli.conftest import Run
from tests.conftest import SAMPLES, with_case

MANIFEST = SAMPLES / "manifest.jsonl"


@pytest.fixture
def evaluate(run: Run, tiny_model: Path) -> Run:
    def call(*arguments: object) -> object:
        return run("evaluate", "-m", tiny_model, "--device", "cpu", *arguments)

    return call  # type: ignore[return-value]


def test_json_has_the_counts(evaluate: Run, tmp_path: Path) -> None:
    result = evaluate(MANIFEST, "--json", "-o", tmp_path / "hypotheses.jsonl")
    assert (result.exit_code, result.stderr) == (0, "")
    values = json.loads(result.stdout)
    errors = values["substitutions"] + values["deletions"] + values["insertions"]
    assert values["wer"] == pytest.approx(errors / values["words"])
    assert (values["words"], values["utterances"]) == (68, 6)
    assert values["cer"] > 0
    assert values["rtf"] > 0
    assert set(values["worst"][0]) == {"id", "reference", "hypothesis", "errors"}
    lines = [json.loads(one) for one in (tmp_path / "hypotheses.jsonl").read_text().splitlines()]
    references = [json.loads(one) for one in MANIFEST.read_text().splitlines()]
    assert [line["id"] for line in lines] == [one["id"] for one in references]
    assert sum(line["errors"] for line in lines) == errors
    assert lines[0]["reference"] == references[0]["text"].lower()


def test_the_table_has_rates_and_the_worst(evaluate: Run) -> None:
    result = evaluate(MANIFEST, "--beam", 1, "--ctc-weight", 1, "--chunk-ms", 640)
    assert result.exit_code == 0
    assert "errors in 68 words" in result.stdout
    assert "utterances  6, 0.4 minutes" in result.stdout
    assert "  said   the queen gazed" in result.stdout


def test_rates_as_written_are_in_the_table(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    folder = with_case(tiny_model, tmp_path / "model")
    result = run("evaluate", "-m", folder, "--device", "cpu", MANIFEST)
    plain = run("evaluate", "-m", tiny_model, "--device", "cpu", MANIFEST)
    lines = [line for line in result.stdout.splitlines() if line.startswith("as written  WER ")]
    assert len(lines) == 1
    assert "as written" not in plain.stdout
    rates = [re.findall(r"^WER .*", text.stdout, re.M) for text in (result, plain)]
    assert rates[0] == rates[1]


def test_whispers_normaliser_scores_where_it_is_asked_for(evaluate: Run, tmp_path: Path) -> None:
    pytest.importorskip("whisper_normalizer", reason="asr[scoring] is not installed")
    output = tmp_path / "a.jsonl"
    result = evaluate(MANIFEST, "--normalizer", "whisper", "--json", "-o", output)
    assert (result.exit_code, result.stderr) == (0, "")
    settings = json.loads(result.stdout)["normalizer"]
    assert (settings["type"], settings["language"]) == ("whisper", "en")
    assert json.loads(output.read_text().splitlines()[0])["normalizer"] == settings
    assert "with the normaliser of Whisper" in evaluate(MANIFEST, "--normalizer", "whisper").stdout


def test_a_missing_normaliser_is_told_before_the_manifest_is_read(
    evaluate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "whisper_normalizer", None)
    result = evaluate(tmp_path / "gone.jsonl", "--normalizer", "whisper")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "pip install 'asr[scoring]'" in result.stderr


def test_audio_that_fails_is_status_1(evaluate: Run, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text('{"audio_filepath": "gone.wav", "duration": 1, "text": "x"}\n')
    result = evaluate(manifest, "--json")
    assert result.exit_code == 1
    assert result.stderr.startswith("asr: gone: not counted: ")
    values = json.loads(result.stdout)
    assert values["wer"] is None
    assert [one["id"] for one in values["failed"]] == ["gone"]


def test_of_nothing_there_is_no_rate(evaluate: Run, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text('{"audio_filepath": "gone.wav", "duration": 1, "text": "x"}\n')
    table = evaluate(manifest).stdout
    assert "WER         -: 0 errors in 0 words" in table
    assert "CER         -\n" in table


def test_a_folder_in_place_of_the_file_is_told_before_anything_is_done(
    evaluate: Run, tmp_path: Path
) -> None:
    result = evaluate(MANIFEST, "-o", tmp_path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"asr: {tmp_path}: a folder; name a file with -o\n"


def test_a_disk_that_fills_up_does_not_cost_the_rates(
    evaluate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asr.atomic

    def full(path: Path, text: str) -> None:
        raise OutputError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr(asr.atomic, "write_atomic", full)
    result = evaluate(MANIFEST, "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 2
    assert "errors in 68 words" in result.stdout
    assert "No space left" in result.stderr


def test_a_manifest_that_is_not_there_is_one_line(evaluate: Run, tmp_path: Path) -> None:
    result = evaluate(tmp_path / "gone.jsonl")
    assert result.exit_code == 1
    assert result.stderr == f"asr: {tmp_path / 'gone.jsonl'}: no such manifest; check the path\n"


def test_where_lhotse_is_missing_json_lines_still_work(
    evaluate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "lhotse"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lhotse", None)
    assert evaluate(MANIFEST).exit_code == 0
    table = tmp_path / "table.csv"
    table.write_text("audio_filepath,duration,text\na.wav,1,x\n")
    result = evaluate(table)
    assert result.exit_code == 2
    assert "lhotse is not installed; install it with: pip install 'asr[train]'" in result.stderr


def test_the_parts_are_told(evaluate: Run) -> None:
    values = json.loads(evaluate(MANIFEST, "--json").stdout)
    assert sum(one["errors"] for one in values["by_length"]) == sum(
        values[kind] for kind in ("substitutions", "deletions", "insertions")
    )
    assert sum(one["words"] for one in values["by_speaker"]) in (0, 68)
    assert values["confidence"] is None  # the tiny model has no map
    table = evaluate(MANIFEST).stdout
    assert "The most frequent errors" in table
    assert "\x1b" not in table


def test_words_that_training_had_not(evaluate: Run, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The queen, gazed!\n")
    result = evaluate(MANIFEST, "--json", "--vocabulary", text)
    kinds = {one["name"]: one for one in json.loads(result.stdout)["error_kinds"]}
    assert 0 < kinds["out of vocabulary"]["words"] < 68
    result = evaluate(MANIFEST, "--vocabulary", tmp_path / "gone.txt")
    assert result.exit_code == 1
    assert "gone.txt: no such file; name a text, or a manifest" in result.stderr


def test_a_page_is_written(evaluate: Run, run: Run, tmp_path: Path) -> None:
    page, out = tmp_path / "page.html", tmp_path / "out.jsonl"
    result = evaluate(MANIFEST, "--html", page, "--html-audio", "link", "-o", out)
    assert result.exit_code == 0
    html = page.read_text()
    assert html.count("<article") == 6
    assert "tiny on manifest" in html
    assert "data:audio" not in html
    assert run("compare", out, out, "--html", page).exit_code == 0
    assert "<article" not in page.read_text()
    assert evaluate(MANIFEST, "--html", tmp_path).exit_code == 2
