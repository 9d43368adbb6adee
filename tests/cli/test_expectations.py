"""What README.md and docs/transcribing.md promise of the text, against the model that ships."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

import pytest
import yaml

from asr.folders import CONFIG, SHIPPED
from tests.cli.conftest import Run
from tests.conftest import REPOSITORY, SAMPLES


@pytest.mark.parametrize("page", ["README.md", "docs/transcribing.md"])
def test_what_to_expect_comes_before_the_first_command(page: str) -> None:
    before, _, _ = (REPOSITORY / page).read_text(encoding="utf-8").partition("asr transcribe ")
    facts = yaml.safe_load((SHIPPED / CONFIG).read_text(encoding="utf-8"))["facts"]
    assert f"{100 * facts['dev_wer']['librispeech']:.0f} %" in before
    for word in ("English", "lower case", "punctuation", "whisper-tiny.en"):
        assert word in before


def test_the_example_of_the_readme_is_what_is_written(run: Run) -> None:
    text = run("transcribe", SAMPLES / "quilter.wav", "--device", "cpu").stdout.strip()
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    [example] = re.findall(r"it makes `([^`]*)`", readme)
    assert re.fullmatch("[a-z' ]+", text)
    # Another processor may round otherwise, and change a word.
    assert SequenceMatcher(None, text, example, autojunk=False).ratio() > 0.9
