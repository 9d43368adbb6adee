"""A model with prompt fields is adapted and measured with those of each utterance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asr.errors import ConfigError, ManifestError, TrainingError
from asr.evaluate.evaluation import evaluate
from asr.lm.folder import LMFolderConfig, build_lm, save_lm_folder
from asr.lm.lstm import LSTMConfig
from asr.model.folder import load_model_folder
from asr.text import load_tokenizer
from asr.text.characters import CharacterTokenizer
from asr.text.prompts import PromptedTokenizer
from asr.train.adapt.finetune import finetune
from asr.train.adapt.measured import MeasuredCorpus
from asr.train.adapt.plan import plan
from asr.train.adapt.request import Request
from asr.transcribe.recognizer import load_model
from tests.prompted import save_prompted_model
from tests.train.conftest import RATE, write_corpus

#: Ids: blank, unknown, end, then the letters and the space, then the values.
END, EN, FR, PLAIN, MARKED = 2, 7, 8, 9, 10
VALUES = {"language": ("en", "fr"), "style": ("plain", "marked")}
QUICK = ("training.max_steps=2", "schedule.warmup_steps=1", "log.tensorboard=false")


def write_model(folder: Path, **defaults: str) -> Path:
    """A small model with random weights, whose texts depend on its start."""
    labels = PromptedTokenizer(CharacterTokenizer("abc "), VALUES, defaults)
    return save_prompted_model(folder, labels, 1, sample_rate=RATE, mels=40)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Neither field has a default; there is a language model, so that fusion is measured too."""
    folder = write_model(tmp_path_factory.mktemp("models") / "prompted")
    size, labels = LSTMConfig(layers=1, dim=8), load_tokenizer(folder)
    described = LMFolderConfig(vocabulary=labels.size, lm=size)
    save_lm_folder(folder / "lm", build_lm(size, labels.size), labels, described)
    return folder


def corpus(folder: Path, *fields: dict[str, Any], count: int = 12) -> Path:
    """Tones whose lines have `fields` in turn."""
    manifest = write_corpus(folder, count, seed=5)
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    given = [line | fields[place % len(fields)] for place, line in enumerate(lines)]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in given))
    return manifest


def read(manifest: Path, model: Path, language: str | None = None) -> MeasuredCorpus:
    return MeasuredCorpus.read("new domain", manifest, [load_tokenizer(model)], language)


class TestLanguage:
    def test_it_is_that_of_the_call_where_the_manifest_names_none(
        self, model: Path, tmp_path: Path
    ) -> None:
        new = corpus(tmp_path / "new", {"style": "plain"}, {"style": "plain", "language": "en"})
        chosen = plan(Request(model, new, tmp_path / "run", language="fr"))
        assert chosen.language == "fr"
        assert isinstance(chosen.recipe.tokenizer, Path)
        fields = load_tokenizer(chosen.recipe.tokenizer).prompt_fields
        assert fields is not None
        assert fields.start({"style": "plain"}) == (END, FR, PLAIN)
        assert fields.start({"style": "plain", "language": "en"}) == (END, EN, PLAIN)

    def test_what_the_model_does_not_know_is_refused(self, model: Path, tmp_path: Path) -> None:
        new = corpus(tmp_path / "new", {"style": "plain"})
        with pytest.raises(ConfigError, match=r"--language de: .* no language 'de'; .* are en$"):
            plan(Request(model, new, tmp_path / "run", language="de"))
        named = corpus(tmp_path / "named", {"style": "plain", "language": "de"})
        with pytest.raises(ManifestError, match="'named-0': the model has no language 'de'"):
            plan(Request(model, named, tmp_path / "run"))
        with pytest.raises(TrainingError, match=r"12 utterances .*'language' .* --language CODE$"):
            plan(Request(model, new, tmp_path / "run"))

    def test_the_default_of_a_recipe_is_taken(self, tmp_path: Path) -> None:
        """For the corpus to rehearse as well, unless the call names the language of the new one."""
        model = write_model(tmp_path / "model", language="en")
        new = corpus(tmp_path / "new", {"style": "plain"}, {"style": "plain", "language": "fr"})
        keep = corpus(tmp_path / "keep", {"style": "plain"})
        assert plan(Request(model, new, tmp_path / "run", keep=keep)).language == "en"
        with pytest.raises(TrainingError, match=r"keep/manifest\.jsonl: .* field 'language'"):
            plan(Request(model, new, tmp_path / "asked", keep=keep, language="fr"))


def test_a_model_gets_no_other_fields(model: Path, tmp_path: Path) -> None:
    new = corpus(tmp_path / "new", {"style": "plain", "language": "en", "mood": "calm"})
    more = (*QUICK, "prompts.fields=[mood]")
    with pytest.raises(ConfigError, match=r"^prompts\.fields: .* asr train RECIPE --init MODEL"):
        plan(Request(model, new, tmp_path / "run", overrides=more))


def test_each_utterance_is_measured_with_its_fields(model: Path, tmp_path: Path) -> None:
    fields = [
        {"style": "plain", "language": "en"},
        {"style": "marked"},
        {"style": "marked", "language": "en"},
    ]
    measured = read(corpus(tmp_path / "new", *fields, count=3), model, "fr")
    recognizer = load_model(model, "cpu", lm=False)

    def texts(language: str, style: str) -> list[str]:
        options: Any = {"language": language, "fields": {"style": style}}
        scored = evaluate(recognizer, measured.utterances, **options).scored
        return [utterance.hypothesis for utterance in scored]

    plain, french, english = (
        texts("en", "plain"),
        texts("fr", "marked"),
        texts("en", "marked"),
    )
    assert len({plain[1], french[1], english[1]}) > 1  # otherwise the following would say nothing
    scored = measured.measure(recognizer, lambda _: None).scored
    assert [one.hypothesis for one in scored] == [plain[0], french[1], english[2]]


def test_it_is_adapted_and_measured_where_fields_have_no_default(
    model: Path, tmp_path: Path
) -> None:
    both = [{"style": "plain", "language": "en"}, {"style": "marked"}]
    new = corpus(tmp_path / "new", *both, count=12)
    said: list[str] = []
    run = tmp_path / "run"
    adapted = finetune(Request(model, new, run, language="fr", overrides=QUICK), said.append)
    assert adapted.model == run / "model"
    assert [len(compared.after.scored) for compared in adapted.comparisons] == [3]
    assert any("words wrong with the language model" in line for line in said)
    tokenizer = load_model_folder(run / "model").tokenizer
    assert tokenizer.prompt_fields is not None
    assert tokenizer.prompt_fields.defaults == {"language": "fr"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"language": "en"},
            "no value for the field 'style'; there are: plain, marked; correct or",
        ),
        ({"style": "bold"}, "no style 'bold'; there are: plain, marked; correct or add"),
        ({"style": 1.5}, r"field 'style' must be text, it is 1\.5"),
    ],
)
def test_a_corpus_to_measure_on_is_checked_before_training(
    model: Path, tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    new = corpus(tmp_path / "new", {"style": "plain", "language": "en"})
    old = corpus(tmp_path / "old", {"style": "plain"}, fields)
    with pytest.raises(ManifestError, match=rf"utterance 'old-1': {message}"):
        finetune(Request(model, new, tmp_path / "run", old=old, overrides=QUICK), print)
    assert not (tmp_path / "run" / "checkpoints").exists()
