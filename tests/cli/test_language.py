"""--language, --task and --field on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli.conftest import Run
from tests.conftest import RATE
from tests.model.whisper.test_folder import write_folder

pytestmark = pytest.mark.usefixtures("any_sound_is_speech")


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """A small Whisper with random weights that knows en, fr and yue."""
    return write_folder(tmp_path / "several", "hugging face")


def test_json_says_the_language(run: Run, several: Path, recordings: Path) -> None:
    def language(*arguments: str) -> object:
        result = run(
            *("transcribe", "-m", several, "--device", "cpu", "-f", "json"),
            *(recordings / "one.wav", *arguments),
        )
        assert (result.exit_code, result.stderr) == (0, "")
        [segment] = json.loads(result.stdout)["segments"]
        return segment["language"]

    assert language("--language", "fr") == "fr"
    assert language("--language", "en", "--task", "translate") == "en"
    assert language() == language("--language", "auto") in {"en", "fr", "yue"}


def test_other_formats_do_not(run: Run, several: Path, recordings: Path) -> None:
    call = ("transcribe", "-m", several, "--device", "cpu", recordings / "one.wav")
    for format in ("txt", "srt", "vtt", "tsv"):
        assert "fr" not in run(*call, "--language", "fr", "-f", format).stdout


def test_what_the_model_cannot_is_one_line(
    run: Run, tiny_model: Path, several: Path, recordings: Path, tmp_path: Path
) -> None:
    sound = recordings / "one.wav"
    manifest = tmp_path / "test.jsonl"
    manifest.write_text(json.dumps({"audio_filepath": str(sound), "text": "hello"}) + "\n")
    for model, arguments, message in [
        (tiny_model, ("--language", "fr"), "model 'tiny' does not know the language 'fr'"),
        (tiny_model, ("--language", "auto"), "knows one language, 'en'"),
        (tiny_model, ("--task", "translate"), "cannot translate"),
        (several, ("--language", "fx"), "no language 'fx'; the nearest codes are fr"),
        (several, ("--language", ""), "key 'language'"),
        (several, ("--task", "sing"), "'sing' is not one of 'transcribe', 'translate'"),
        (several, ("--field", "style=plain"), "no field 'style'; the fields are: language, task"),
        (several, ("--field", "task=sing"), "no task 'sing'; there are: transcribe, translate"),
        (several, ("--field", "language=fr"), "an option of its own: language (--language)"),
        (several, ("--field", "task"), "'task' is not NAME=VALUE, as style=plain"),
        (several, ("--field", "task=a", "--field", "task=b"), "'task' is given twice"),
        (tiny_model, ("--field", "style=plain"), "trained without prompt fields"),
    ]:
        for command in (("transcribe", sound), ("evaluate", manifest)):
            result = run(command[0], "-m", model, "--device", "cpu", command[1], *arguments)
            assert result.exit_code == 2
            assert message in result.stderr
            assert result.stdout == ""


def test_streams(run: Run, tiny_model: Path, sound: np.ndarray, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "talk.wav", sound, RATE)
    call = ("stream", "-m", tiny_model, "--device", "cpu", "--pace", 0)
    call = (*call, "--simulate", tmp_path / "talk.wav")
    usual, own = run(*call), run(*call, "--language", "en", "--task", "transcribe")
    assert (own.exit_code, own.stdout) == (0, usual.stdout)
    result = run(*call, "--language", "fr")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "does not know the language 'fr'" in result.stderr


def test_info_lists_the_languages(run: Run, tiny_model: Path, several: Path) -> None:
    model = json.loads(run("info", several, "--json").stdout)["model"]
    assert model["language"] is None
    assert model["languages"] == ["en", "fr", "yue"]
    assert model["tasks"] == ["transcribe", "translate"]
    model = json.loads(run("info", tiny_model, "--json").stdout)["model"]
    assert (model["language"], model["languages"], model["tasks"]) == ("en", None, None)
    assert "languages  " not in run("info", tiny_model).stdout


def test_evaluation_in_the_languages_of_the_manifest(
    run: Run, several: Path, tiny_model: Path, recordings: Path, tmp_path: Path
) -> None:
    def evaluate(model: Path, code: str, *arguments: str) -> tuple[int, str]:
        line = {"audio_filepath": str(recordings / "one.wav"), "text": "hello", "language": code}
        manifest = tmp_path / "test.jsonl"
        manifest.write_text(json.dumps(line) + "\n")
        call = ("evaluate", "-m", model, "--device", "cpu", manifest, "--manifest-fields")
        result = run(*call, *arguments, "--json")
        if result.exit_code == 0:
            assert json.loads(result.stdout)["language"] == "fr"  # the scoring normaliser's
        return result.exit_code, result.stderr

    assert evaluate(several, "fr") == (0, "")
    status, message = evaluate(several, "fx")
    assert status == 2
    assert re.search("utterance '.*one': .* no language 'fx'; the nearest codes are fr", message)
    assert evaluate(several, "fx", "--language", "fr") == (0, "")  # which overrides it
    status, message = evaluate(tiny_model, "fr")
    assert status == 2
    assert "was trained without prompt fields" in message
