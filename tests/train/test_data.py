"""What a run prepares before it trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from asr.data.samples import cut_samples
from asr.frontend import FeatureStatistics, KaldiLogMel
from asr.text import TokenizerConfig, train_tokenizer
from asr.train.corpora import sample
from asr.train.data import STATISTICS, RunData
from asr.train.recipe import Recipe


def prepared(recipe: Recipe, folder: Path) -> RunData:
    data = RunData(recipe, folder)
    data.prepare_data()
    data.setup()
    return data


def test_statistics_are_those_of_the_training_data(
    recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    data = prepared(recipe(), tmp_path / "one")
    frontend, expected = KaldiLogMel(data.recipe.model.frontend), FeatureStatistics(40)
    for cut in data.corpora.train:
        samples = torch.from_numpy(cut_samples(cut, 8000))[None]
        expected.update(*frontend(samples, torch.tensor([samples.shape[1]])))
    for one, other in zip(data.statistics(), expected.finish(), strict=True):
        assert torch.allclose(one, other, rtol=1e-4)


def test_a_front_end_that_needs_no_statistics_gets_none(
    recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunData, "_statistics", lambda *_: pytest.fail("statistics were gathered"))
    data = prepared(recipe("model.frontend={type: whisper}"), tmp_path / "one")
    assert data.statistics() is None


def test_a_sample_of_the_data_is_always_the_same(
    recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    some = [prepared(recipe("statistics=5"), tmp_path / name).statistics() for name in "ab"]
    assert torch.equal(some[0][0], some[1][0])
    data = prepared(recipe(), tmp_path / "c")
    assert not torch.equal(some[0][0], data.statistics()[0])
    chosen = sample(data.corpora.train, 7)
    assert [cut.id for cut in chosen] == [cut.id for cut in sample(data.corpora.train, 7)]
    assert len({cut.id for cut in chosen}) == 7
    assert len(sample(iter(data.corpora.train), 3)) == 3


def test_what_takes_long_is_shown(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    data = RunData(recipe("data.cache=memory", "statistics=5"), tmp_path / "run")
    data.preparing = lambda what: lambda done, total: told.append((what, done, total))
    data.prepare_data()
    data.setup()
    data.trainer = SimpleNamespace(global_rank=0, world_size=1)  # type: ignore[assignment]
    data.train_dataloader()
    count = len(list(data.corpora.train))
    assert ("statistics of features", 5, 5) in told
    assert told[-1] == ("decoding audio into memory", count, count)


def test_a_tokenizer_can_be_brought(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    theirs = train_tokenizer(["abc xyz"], TokenizerConfig(type="char"), tmp_path / "mine")
    data = prepared(recipe(f"tokenizer={tmp_path / 'mine'}"), tmp_path / "run")
    assert data.tokenizer.size == theirs.size
    assert data.encode("Ab, c!") == theirs.encode("ab c")


def test_what_is_prepared_is_not_prepared_again(
    recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(recipe(), tmp_path / "run")
    before = (tmp_path / "run" / STATISTICS).stat().st_mtime_ns
    prepared(recipe(), tmp_path / "run")
    assert (tmp_path / "run" / STATISTICS).stat().st_mtime_ns == before
