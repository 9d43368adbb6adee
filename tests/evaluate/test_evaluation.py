from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from asr.errors import ManifestError
from asr.evaluate.corpus import ReferenceUtterance, read_utterances, total_seconds
from asr.evaluate.error_rate import Scored, count_written, score
from asr.evaluate.evaluation import Evaluation, evaluate, scoring_of
from asr.text import NormalizerConfig
from asr.transcribe.options import TranscribeOptions
from asr.transcribe.recognizer import Recognizer, load_model
from tests.conftest import RATE, with_case
from tests.text.test_whisper import tokenizer

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Recognizer:
    return load_model(tiny_model, "cpu")


@pytest.fixture
def manifest(tmp_path: Path, sound: np.ndarray) -> Write:
    """Writes a.wav (1 s), b.wav (2 s), all.wav (both) and a manifest of the lines given."""
    soundfile.write(tmp_path / "a.wav", sound[:RATE], RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "b.wav", sound[RATE:], RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "all.wav", sound, RATE, subtype="FLOAT")

    def write(*lines: dict[str, Any]) -> Path:
        path = tmp_path / "manifest.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return write


def line(audio: str, text: str, duration: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"audio_filepath": audio, "duration": duration, "text": text, **more}


def test_marks_are_those_of_references_with_case() -> None:
    def scored(reference: str, hypothesis: str) -> Scored:
        plain = score("a", reference.lower().strip("."), hypothesis.lower().strip("."))
        return replace(plain, written=count_written(reference, hypothesis))

    evaluation = Evaluation(
        (scored("Yes, I do.", "Yes I do."), scored("YES", "Yes."), scored("yes", "Yes.")), {}, 1, 1
    )
    marks = evaluation.to_dict()["marks"]
    assert set(marks) == {"full_stop", "comma", "capital"}  # no reference has a question mark
    assert marks["full_stop"] == {"precision": 1, "recall": 1, "f1": 1, "in_reference": 1}
    assert marks["comma"] == {"precision": None, "recall": 0, "f1": 0, "in_reference": 1}
    assert marks["capital"]["in_reference"] == 2
    assert "marks" not in Evaluation((score("a", "yes", "yes"),), {}, 1, 1).to_dict()


def test_the_models_own_words_have_no_errors(
    model: Recognizer, manifest: Write, tmp_path: Path
) -> None:
    """Both sides are normalised: case and punctuation of the reference count for nothing."""
    said = [model.transcribe(tmp_path / name).text for name in ("a.wav", "b.wav")]
    path = manifest(line("a.wav", said[0].upper() + "!"), line("b.wav", said[1], 2.0))
    found = evaluate(model, read_utterances(path))
    values = found.to_dict()
    assert (values["wer"], values["cer"], values["worst"]) == (0.0, 0.0, [])
    assert values["words"] == sum(len(text.split()) for text in said) > 0
    assert (values["utterances"], values["seconds"], values["failed"]) == (2, 3.0, [])
    assert "wer_written" not in values  # the model writes no case: there is nothing more to count
    assert values["rtf"] == pytest.approx(found.wall_seconds / 3.0)


def test_a_model_with_case_is_scored_without_it(
    tiny_model: Path, manifest: Write, tmp_path: Path
) -> None:
    """The rates of the text as written are figures of their own."""
    cased = load_model(with_case(tiny_model, tmp_path / "model"), "cpu")
    text = cased.transcribe(tmp_path / "a.wav").text
    evaluation = evaluate(cased, read_utterances(manifest(line("a.wav", text.upper() + "!"))))
    values = evaluation.to_dict()
    assert (values["wer"], values["cer"]) == (0.0, 0.0)
    assert values["wer_written"] == 1.0
    assert 0 < values["cer_written"] <= 1
    assert evaluation.normalizer == NormalizerConfig()
    [scored] = evaluation.scored
    assert scored.written is not None
    assert (scored.written.reference, scored.written.hypothesis) == (text.upper() + "!", text)


def test_parts_of_a_file_are_what_they_are_alone(model: Recognizer, manifest: Write) -> None:
    whole = evaluate(model, read_utterances(manifest(line("a.wav", "x"), line("b.wav", "y", 2.0))))
    path = manifest(line("all.wav", "x", 1.0, offset=0.0), line("all.wav", "y", 2.0, offset=1.0))
    parts = evaluate(model, read_utterances(path))
    assert [one.hypothesis for one in parts.scored] == [one.hypothesis for one in whole.scored]
    assert parts.audio_seconds == whole.audio_seconds == 3.0


def test_lhotse_reads_the_same_utterances(model: Recognizer, manifest: Write) -> None:
    pytest.importorskip("lhotse")
    from asr.data.manifest import read_manifest

    path = manifest(line("a.wav", "x", id="one"), line("all.wav", "y", 2.0, offset=1.0, id="two"))
    cuts = path.with_name("cuts.jsonl.gz")
    read_manifest(path).to_file(cuts)
    found = read_utterances(cuts)
    plain = read_utterances(path)
    assert [(one.id, one.text) for one in found] == [(one.id, one.text) for one in plain]
    said = [evaluate(model, utterances).scored for utterances in (found, plain)]
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("named", "options", "language"),
    [
        (("fr", "fr"), {}, "fr"),
        (("fr", "fr"), {"language": "auto"}, "fr"),
        (("fr", "fr"), {"language": "en"}, "fr"),  # a wrong one, which changes no reference
        (("fr", "fr"), {"task": "translate"}, "en"),
        (("fr", "en"), {}, "de"),
        (("fr", None), {"language": "fr"}, "fr"),
        ((None, None), {"language": "fr"}, "fr"),
        ((None, None), {"language": "auto"}, "de"),
        (("xx", "xx"), {}, "de"),
        ((), {}, "de"),
    ],
)
def test_texts_are_scored_by_the_rules_of_their_language(
    named: tuple[str | None, ...], options: Any, language: str
) -> None:
    """Where a model knows several; those of the model, "de" here, where nothing names another."""
    config = SimpleNamespace(normalizer=NormalizerConfig(language="de"))
    utterances = [ReferenceUtterance("", "", fields={"language": code}) for code in named]
    for own, expected in ((tokenizer("en"), language), (tokenizer(), "de")):
        model: Any = SimpleNamespace(config=config, tokenizer=own)
        for name in ("asr", "whisper"):
            scoring = scoring_of(model, utterances, TranscribeOptions(**options), name)
            assert scoring.language == expected


def test_fields_are_read_as_training_reads_them(manifest: Write) -> None:
    """Of a line, of a Lhotse cut and in training: texts and whole numbers, nothing else."""
    pytest.importorskip("lhotse")
    from asr.data.manifest import read_manifest
    from asr.data.utterance import field_of

    usable = {"language": "fr", "style": "plain", "year": 1999, "empty": "", "none": None}
    path = manifest(line("a.wav", "x", id="one", snr=12.5, clean=True, **usable))
    cuts = path.with_name("cuts.jsonl.gz")
    read_manifest(path).to_file(cuts)
    [plain], [stored] = read_utterances(path), read_utterances(cuts)
    [cut] = read_manifest(path)
    names = [*usable, "missing"]
    expected = {"language": "fr", "style": "plain", "year": "1999"}
    assert plain.values(names) == stored.values(names) == expected
    assert {name: v for name in names if (v := field_of(cut, name)) is not None} == expected
    for name, value in (("snr", "12.5"), ("clean", "True")):
        for read in (
            lambda n: plain.values([n]),
            lambda n: stored.values([n]),
            lambda n: field_of(cut, n),
        ):
            message = rf"^utterance 'one': field '{name}' must be text, it is {value}$"
            with pytest.raises(ManifestError, match=message):
                read(name)


def test_audio_that_fails_is_listed_and_not_counted(
    model: Recognizer, manifest: Write, tmp_path: Path
) -> None:
    path = manifest(
        line("gone.wav", "x", id="gone"),
        line("a.wav", "x y", id="good"),
        line("all.wav", "z", offset=99.0, id="late"),
        line("manifest.jsonl", "w", id="text"),
        line("half.wav", "v", id="half"),
    )
    (tmp_path / "half.wav").write_bytes((tmp_path / "all.wav").read_bytes()[:50_000])
    found = evaluate(model, read_utterances(path))
    assert [one.id for one in found.scored] == ["good"]
    assert found.words.length == 2
    assert set(found.failed) == {"gone", "late", "text", "half"}
    assert "no such file" in found.failed["gone"]
    assert "asks for 99 s and on, the audio ends at 3 s" in found.failed["late"]
    assert "not audio" in found.failed["text"]
    assert "half.wav: cut off, it stops at 0.7" in found.failed["half"]


def test_references_without_words_count_insertions(model: Recognizer, manifest: Write) -> None:
    found = evaluate(model, read_utterances(manifest(line("a.wav", "...!"))))
    values = found.to_dict()
    assert values["words"] == 0
    assert values["insertions"] > 0
    assert values["wer"] is None
    assert values["worst"][0]["reference"] == ""


def test_options_reach_the_search(model: Recognizer, manifest: Write) -> None:
    utterances = read_utterances(manifest(line("all.wav", "x", 3.0)))
    said = {
        evaluate(model, utterances, **options).scored[0].hypothesis
        for options in ({}, {"beam": 8}, {"ctc_weight": 1.0}, {"chunk_ms": 80, "left_ms": 0})
    }
    assert len(said) >= 3


def test_nothing_that_could_be_used(model: Recognizer, manifest: Write) -> None:
    values = evaluate(model, read_utterances(manifest(line("gone.wav", "x")))).to_dict()
    assert (values["wer"], values["cer"], values["rtf"]) == (None, None, None)


def test_worst_are_the_most_errors_then_the_highest_rate() -> None:
    def one(id: str, reference: str, hypothesis: str) -> Scored:
        return score(id, reference, hypothesis)

    scored = [
        one("right", "a b", "a b"),
        one("two of four", "a b c d", "a b"),
        one("two of two", "a b", "x y"),
        one("three", "a b c", ""),
        *(one(f"one {n}", "a", "b") for n in range(20)),
    ]
    worst = Evaluation(tuple(scored), {}, 1.0, 1.0).worst()
    assert [w.id for w in worst[:4]] == ["three", "two of two", "two of four", "one 0"]
    assert len(worst) == 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"audio_filepath": "a.wav"\n', "line 1: not JSON"),
        ('{"audio_filepath": "a.wav", "duration": 1}\n', "line 1: field 'text' is missing"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text(text)
    with pytest.raises(ManifestError, match=said):
        read_utterances(path)


def test_an_id_that_is_there_twice_is_named(manifest: Write) -> None:
    path = manifest(line("a.wav", "x", id="one"), line("b.wav", "y", id="one"))
    with pytest.raises(ManifestError, match=r"line 2: id 'one' is also at .* line 1"):
        read_utterances(path)


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such manifest"):
        read_utterances(tmp_path / "gone.jsonl")


def test_how_long_all_are_is_known_before(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE // 2), RATE)
    told = {"audio_filepath": "a.wav", "text": "x"}
    values = [told | {"id": "1", "duration": 2.0}, told | {"id": "2"}]
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, values)))
    utterances = read_utterances(tmp_path / "manifest.jsonl")
    assert total_seconds(utterances) == 2.5
    assert total_seconds([*utterances, ReferenceUtterance("u", "x")]) is None


def test_a_folder_with_a_manifest_in_it(manifest: Write) -> None:
    path = manifest(line("a.wav", "x"))
    assert read_utterances(path.parent) == [
        ReferenceUtterance("a", "x", str(path.parent / "a.wav"))
    ]
