from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asr.errors import ManifestError
from asr.evaluate import results as module
from asr.evaluate.error_rate import count_written, score
from asr.evaluate.results import Results, read_results, result_lines
from asr.evaluate.scoring import WhisperNormalizerConfig
from asr.text import NormalizerConfig
from asr.types import Word


def results() -> Results:
    heard = (Word("the", 0.1, 0.2, 0.75, {"level": -3.5}), Word("hat", 0.2, 0.5, None))
    scored = (
        score("one", "the cat", "the hat", "anna", 1.5, heard),
        score("zwei", "", "häh", None, 0.5),
    )
    return Results(scored, NormalizerConfig(language="de", diacritics="fold"))


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(result_lines(results()))
    assert read_results(path) == results()
    path.write_text(result_lines(Results(results().scored)))
    assert read_results(path) == Results(results().scored)


def test_texts_as_written_and_the_normalizer_of_whisper_are_kept(tmp_path: Path) -> None:
    written = count_written("The cat.", "the cat")
    scored = replace(score("one", "the cat", "the cat"), written=written)
    results = Results((scored,), WhisperNormalizerConfig(language="fr", version="0.1.15"))
    path = tmp_path / "a.jsonl"
    path.write_text(result_lines(results))
    line = json.loads(path.read_text())
    assert (line["wer"], line["wer_written"], line["cer_written"]) == (0.0, 1.0, 0.25)
    assert line["normalizer"] == {"type": "whisper", "language": "fr", "version": "0.1.15"}
    assert read_results(path) == results
    path.write_text(json.dumps(line | {"reference_written": 3}))
    with pytest.raises(ManifestError, match="line 1: not an utterance"):
        read_results(path)


def test_what_other_systems_and_earlier_versions_wrote_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    words = [["the", 0.1, 0.2, 0.75], ["hat", 0.2, 0.5, None]]
    line = {"id": "one", "reference": "the cat", "hypothesis": "the hat"}
    path.write_text(json.dumps(line) + "\n" + json.dumps({**line, "id": "two", "heard": words}))
    found = read_results(path)
    assert found.normalizer is None
    assert [word.confidence for word in found.scored[1].hypothesis_words] == [0.75, None]
    path.write_text(json.dumps({**line, "normalizer": {"language": "de"}}))
    assert read_results(path).normalizer == NormalizerConfig(language="de")


def test_the_normalizer_of_a_file_is_parsed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    whole = module.parse_scoring

    def counted(*told: Any) -> Any:
        asked.append(told)
        return whole(*told)

    monkeypatch.setattr(module, "parse_scoring", counted)
    path = tmp_path / "a.jsonl"
    path.write_text(result_lines(results()))
    assert read_results(path).normalizer == results().normalizer
    assert len(asked) == 1
    line = {"id": "a", "reference": "x", "hypothesis": "x", "normalizer": {"language": "en"}}
    usual = {**line, "id": "b", "normalizer": NormalizerConfig().model_dump()}
    path.write_text(f"{json.dumps(line)}\n{json.dumps(usual)}\n")
    assert read_results(path).normalizer == NormalizerConfig()  # the same in more words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no utterances"),
        ("{", "line 1: not an utterance"),
        ('{"id": "a", "reference": "x"}', "line 1: not an utterance"),
        ('{"id": "a", "reference": "x", "hypothesis": 3}', "line 1: not an utterance"),
        ('{"id": "a", "reference": "x", "hypothesis": "y"}\n' * 2, "line 2: id 'a' is there twice"),
        (
            '{"id": "a", "reference": "x", "hypothesis": "y", "audio": 3}',
            "line 1: not an utterance",
        ),
        (
            '{"id": "a", "reference": "x", "hypothesis": "y", "heard": [["y", 0]]}',
            "line 1: not an utterance",
        ),
        (
            '{"id": "a", "reference": "x", "hypothesis": "y", "normalizer": {"langage": "de"}}',
            "line 1: normalizer: unknown key 'langage', did you mean 'language'",
        ),
        (
            '{"id": "a", "reference": "x", "hypothesis": "y", "normalizer": 3}',
            "line 1: normalizer: ",
        ),
        (
            '{"id": "a", "reference": "x", "hypothesis": "y", "normalizer": {"language": "de"}}\n'
            '{"id": "b", "reference": "x", "hypothesis": "y"}',
            "line 2: another 'normalizer' than in the first line",
        ),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(ManifestError, match=said):
        read_results(path)
    with pytest.raises(ManifestError, match="no such file"):
        read_results(tmp_path / "gone")
