"""recipes/prompts: manifests in two styles, and the page of its results."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr.train.recipe import load_recipe
from recipes.prompts.prepare import in_both_styles
from recipes.prompts.report import Decoded, Measured, write_results
from recipes.prompts.run import OVERRIDES, questions
from tests.recipes.test_prepare import corpus, entries, prepare

RECIPE = Path(__file__).parents[2] / "recipes" / "prompts" / "prompts.yaml"
SETS = ("commonvoice-2023", "vctk-p239", "ljspeech-part")


def test_each_utterance_is_written_in_both_styles() -> None:
    texts = [("en", "Two dogs, Mr. Smith!"), ("fr", "Il a 21 ans."), ("fr", "...")]
    styled = in_both_styles(
        [{"id": str(n), "text": text, "language": code} for n, (code, text) in enumerate(texts)]
    )
    assert [(one["id"], one["style"], one["text"]) for one in styled] == [
        ("0-plain", "plain", "two dogs mister smith"),
        ("1-plain", "plain", "il a vingt et un ans"),
        ("0-punctuated", "punctuated", "Two dogs, Mr. Smith!"),
        ("1-punctuated", "punctuated", "Il a 21 ans."),
    ]


def test_the_manifests(tmp_path: Path) -> None:
    for part, name in [("train", name) for name in SETS] + [("dev", SETS[0])]:
        corpus(tmp_path / "corpora", part, name, [(f"{part}-{name}", "The Cat.", "ann")])
    for part in ("train", "dev"):
        corpus(tmp_path / "corpora", "french", part, [(f"fr-{part}", "Le chat.", "eve")])
    done = prepare("prompts", tmp_path / "corpora", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    sizes = {"train-en": 6, "train-fr": 2, "dev": 2, "dev/en": 1, "dev/fr": 1}
    found = {name: entries(tmp_path / "out" / f"{name}.jsonl") for name in sizes}
    assert {name: len(some) for name, some in found.items()} == sizes
    [french] = found["dev/fr"]
    assert (french["language"], french["style"], french["text"]) == ("fr", "punctuated", "Le chat.")
    assert (tmp_path / "out" / "dev" / french["audio_filepath"]).exists()
    missing = prepare("prompts", tmp_path, "-o", tmp_path / "out")
    assert missing.returncode == 1
    assert "no such manifest" in missing.stderr


def test_the_recipes_differ_in_the_prompts_alone() -> None:
    recipes = {name: load_recipe(RECIPE, some).model_dump() for name, some in OVERRIDES.items()}
    prompts = {name: values.pop("prompts") for name, values in recipes.items()}
    assert recipes["with"] == recipes["without"]
    assert prompts["without"] == {"fields": (), "defaults": {}}
    assert prompts["with"]["fields"] == ("language", "style")
    for name in OVERRIDES:
        assert len({str(asked) for asked in questions(name)}) == len(questions(name))


def test_figures_of_what_was_written(tmp_path: Path) -> None:
    decoded = (
        Decoded("en", "Yes, he did.", "yes he did", ["en"]),
        Decoded("en", "No, go!", "No. Stop!", ["en", "fr"]),
        Decoded("fr", "Oui.", "Oui.", ["fr"]),
    )
    one = Measured("with", {"language": "detected", "style": "plain", "ctc_weight": 0.3}, decoded)
    assert one.word_error_rate("en") == pytest.approx(1 / 5)
    assert one.word_error_rate("fr") == 0
    assert one.detection == pytest.approx(2 / 3)
    assert one.with_marks == pytest.approx(2 / 3)
    # 5 marks are wanted and 3 written, of which "!" and "." of the last two are right
    assert one.marks_f1 == pytest.approx(2 * 2 / (5 + 3))
    write_results(tmp_path / "RESULTS.md", [one], {"with": 600.0}, load_recipe(RECIPE), 3)
    page = (tmp_path / "RESULTS.md").read_text()
    assert "| with | detected | plain | 0.3 | 20.0% | 0.0% | 66.7% | 66.7% | 0.50 |" in page
    assert "with prompts 10 min" in page
