from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.evaluate.error_rate import score
from asr.evaluate.results import Results, result_lines
from asr.folders import names_model
from asr.text import NormalizerConfig
from tests.cli.conftest import PROGRAM, Run, start
from tests.conftest import RATE, SAMPLES, with_case

MANIFEST = SAMPLES / "manifest.jsonl"


@pytest.fixture
def systems(tmp_path: Path) -> tuple[Path, Path]:
    """Two systems on 60 utterances; the second gets "hat" right."""
    said = "the cat in the hat came back"
    files = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    for path, heard in zip(files, (said.replace("hat", "had"), said), strict=True):
        scored = [score(str(n), said, heard if n % 2 else said, f"s{n % 6}") for n in range(60)]
        path.write_text(result_lines(Results(tuple(scored), NormalizerConfig())))
    return files


def test_a_better_system_is_named(run: Run, systems: tuple[Path, Path]) -> None:
    result = run("compare", *systems, "--show", 1)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "WER 7.14 %" in result.stdout
    assert "-7.14 points" in result.stdout
    told = "Of 60 utterances B has fewer errors in 30, more in 0, and as many but others in 0."
    assert told in result.stdout
    lines = result.stdout.splitlines()
    place = lines.index("1: 1 error in A, 0 in B")
    assert lines[place + 1 : place + 4] == [
        "  said  the cat in the hat came back",
        "  A     the cat in the HAD came back",
        "  B     the cat in the hat came back",
    ]


def test_results_are_compared_without_torch(systems: tuple[Path, Path]) -> None:
    ended = "\nexcept SystemExit: import sys; print('torch' in sys.modules)"
    done = start(f"try: {PROGRAM}{ended}", "compare", *systems, "--show", 0)
    assert done.communicate(timeout=120)[0].endswith("\nFalse\n")


def test_json(run: Run, systems: tuple[Path, Path]) -> None:
    values = json.loads(run("compare", *systems, "--json").stdout)
    assert values["language"] == "en"
    assert values["errors"] == [30, 0]
    assert values["difference"] == pytest.approx(-1 / 14)
    assert values["test"]["name"] == "MAPSSWE"
    assert values["test"]["segments"] == 30
    assert (len(values["better"]), values["worse"], values["rephrased"]) == (30, [], 0)


def test_texts_of_unknown_writing_are_compared_as_they_stand_which_is_told(
    run: Run, systems: tuple[Path, Path]
) -> None:
    plain = [{"id": str(n), "reference": "The hat.", "hypothesis": "the hat"} for n in range(2)]
    text = "".join(f"{json.dumps(one)}\n" for one in plain)
    systems[0].write_text(text)
    told = "asr: neither file says how its texts were written ('normalizer')"
    result = run("compare", systems[0], systems[0])
    assert result.exit_code == 0
    assert "WER 100.00 %" in result.stdout
    assert result.stderr.startswith(told)
    assert result.stderr.count("\n") == 1
    assert run("compare", systems[0], systems[0], "--quiet").stderr == ""
    written = Results((score("0", "the hat", "a hat"), score("1", "the hat", "the hat")))
    systems[1].write_text(result_lines(Results(written.scored, NormalizerConfig())))
    assert run("compare", *systems).stderr == ""  # the one knows


def test_other_references_are_status_1(run: Run, systems: tuple[Path, Path]) -> None:
    one = Results((score("0", "another text", "another text"),), NormalizerConfig())
    systems[1].write_text(result_lines(one))
    result = run("compare", *systems)
    assert result.exit_code == 1
    assert result.stderr.startswith("asr: 59 utterances are in one of the two only, as '1'")


def test_other_languages_are_status_1(run: Run, systems: tuple[Path, Path]) -> None:
    text = systems[1].read_text().replace('"language": "en"', '"language": "de"')
    systems[1].write_text(text)
    result = run("compare", *systems)
    assert result.exit_code == 1
    assert "the first results are in the language 'en', the second in 'de'" in result.stderr


def test_models_are_measured(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    result = run("compare", tiny_model, other, "--manifest", MANIFEST, "--device", "cpu")
    assert result.exit_code == 0
    assert "no significant difference" in result.stdout
    assert "+0.00 points" in result.stdout
    result = run("compare", tiny_model, other)
    assert result.exit_code == 2
    assert "a model needs --manifest" in result.stderr


def test_models_that_write_differently_are_scored_alike(
    run: Run, tiny_model: Path, tmp_path: Path
) -> None:
    other = with_case(tiny_model, tmp_path / "other")
    result = run("compare", tiny_model, other, "--manifest", MANIFEST, "--device", "cpu")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "+0.00 points" in result.stdout


def test_other_settings_of_the_normaliser_are_told(run: Run, systems: tuple[Path, Path]) -> None:
    text = systems[1].read_text().replace('"diacritics": "keep"', '"diacritics": "fold"')
    systems[1].write_text(text)
    result = run("compare", *systems)
    assert result.exit_code == 0
    assert "scored with different settings (diacritics: keep and fold)" in result.stderr


def test_files_keep_their_normaliser(run: Run, systems: tuple[Path, Path]) -> None:
    result = run("compare", *systems, "--normalizer", "whisper")
    assert result.exit_code == 2
    assert "--normalizer is for models" in result.stderr


def test_what_cannot_be_used_is_in_no_count(
    run: Run, tiny_model: Path, tmp_path: Path, sound: np.ndarray
) -> None:
    """Neither in the model's, nor in what another system made of it."""
    lines, others = [], []
    for name in ("one", "two", "gone"):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE)
        entry = {"id": name, "audio_filepath": f"{name}.wav", "duration": 3, "text": "a b"}
        lines.append(json.dumps(entry))
        others.append(json.dumps({"id": name, "reference": "a b", "hypothesis": "a"}))
    (tmp_path / "gone.wav").write_bytes(b"")
    manifest, results = tmp_path / "manifest.jsonl", tmp_path / "other.jsonl"
    manifest.write_text("\n".join(lines))
    results.write_text("\n".join(others))
    result = run("compare", results, tiny_model, "--manifest", manifest, "--device", "cpu")
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("asr: gone: not counted: ")
    assert re.match(r"utterances +2, 4 words\n", result.stdout)


def test_a_manifest_for_nothing_is_refused(run: Run, systems: tuple[Path, Path]) -> None:
    result = run("compare", *systems, "--manifest", MANIFEST)
    assert result.exit_code == 2
    assert "--manifest is for models" in result.stderr


def test_what_is_a_model(tiny_model: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text("{}")
    assert names_model(tiny_model)
    assert names_model(Path("openai/whisper-tiny"))
    assert not names_model(results)
    assert not names_model(tmp_path / "nothing")
