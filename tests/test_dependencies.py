from __future__ import annotations

import sys
from pathlib import Path

import pytest

from asr.dependencies import PAIR, installed, need, torchaudio_problem
from asr.errors import DependencyError


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes the source of a module that then shadows an installed one."""

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.syspath_prepend(tmp_path)

    return write


def test_a_library_that_loads_is_returned() -> None:
    assert need("json.decoder", "train").__name__ == "json.decoder"


def test_a_missing_library_names_the_extra() -> None:
    with pytest.raises(
        DependencyError, match=r"nowhere_to_be_found is not installed.*'asr\[mic\]'"
    ):
        need("nowhere_to_be_found.at_all", "mic")


def test_what_a_library_misses_itself_is_named(library) -> None:
    library("wants_more", "import nowhere_to_be_found")
    with pytest.raises(DependencyError, match=r"^nowhere_to_be_found is not installed"):
        need("wants_more", "train")


@pytest.mark.parametrize(
    "failure",
    [
        "raise RuntimeError('compiled with different CUDA versions (13.2, 13.0)')",
        "raise OSError('Could not load this library: _torchaudio.abi3.so')",
        "raise ImportError('undefined symbol: _ZN3c10')",
    ],
)
def test_a_torchaudio_that_does_not_fit_says_what_to_install(library, failure: str) -> None:
    library("torchaudio", failure)
    with pytest.raises(DependencyError) as caught:
        need("torchaudio", "train")
    said = str(caught.value)
    assert failure.split("'")[1] in said
    assert "pip install 'asr[train]'" in said
    assert PAIR in said
    assert "\n" not in said
    assert torchaudio_problem() == said


def test_the_pair_that_is_installed_here_fits() -> None:
    assert torchaudio_problem() is None


def test_versions_are_told_without_an_import() -> None:
    assert installed("click")
    assert installed("nowhere-to-be-found") is None


def test_the_pair_is_the_one_that_the_extra_pins() -> None:
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f'"{requirement}"' in project for requirement in PAIR.split())
