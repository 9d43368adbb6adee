from __future__ import annotations

import sys
from pathlib import Path

import pytest

from asr.dependencies import PAIR, installed, need, torchaudio_problem
from asr.errors import DependencyError
from asr.health import EXTRAS


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


def test_a_module_that_an_installed_library_imports_is_named(library) -> None:
    """Installing the extra again would not bring it: the message names the module itself."""
    library("wants_more", "import nowhere_to_be_found.at_all")
    with pytest.raises(DependencyError) as caught:
        need("wants_more", "train")
    message = str(caught.value)
    assert message.startswith("wants_more does not load: it imports the module nowhere_to_be_found")
    assert message.endswith("pip install nowhere_to_be_found")
    assert "asr[" not in message


def test_an_installed_library_that_lacks_the_module_is_to_be_upgraded() -> None:
    with pytest.raises(DependencyError) as caught:
        need("click.nowhere_to_be_found", "train")
    message = str(caught.value)
    assert message.startswith(f"click {installed('click')} has no module click.nowhere_to_be_found")
    assert message.endswith("pip install --upgrade 'asr[train]'")


def test_another_library_that_fails_is_no_matter_of_torchaudio(library) -> None:
    library("breaks", "raise ImportError('undefined symbol: x')")
    with pytest.raises(DependencyError) as caught:
        need("breaks", "rooms")
    assert str(caught.value) == (
        "breaks does not load: undefined symbol: x. "
        "Install a version that fits with: pip install --upgrade 'asr[rooms]'"
    )


EXTRA_OF = [
    (module.split(".")[0], extra)
    for extra, (_, modules) in EXTRAS.items()
    for module in modules.values()
    if module != "torchaudio"
]


@pytest.mark.parametrize(("name", "extra"), EXTRA_OF)
@pytest.mark.parametrize("error", ["OSError", "AttributeError"])
def test_each_library_has_its_own_cause_and_cure(
    library, name: str, extra: str, error: str
) -> None:
    """Also where torchaudio does not load either: that is no matter of theirs."""
    library("torchaudio", "raise ImportError('undefined symbol: _ZN3c10')")
    library(name, f"raise {error}('libthis.so.1: cannot open')")
    with pytest.raises(DependencyError) as caught:
        need(name, extra)
    message = str(caught.value)
    assert message.startswith(name)
    assert "does not load: libthis.so.1: cannot open. " in message
    assert message.endswith(f"pip install --upgrade 'asr[{extra}]'")
    assert "torchaudio" not in message


def test_portaudio_is_installed_with_the_system(library) -> None:
    library("torchaudio", "raise ImportError('undefined symbol: _ZN3c10')")
    library("sounddevice", "raise OSError('PortAudio library not found')")
    with pytest.raises(DependencyError) as caught:
        need("sounddevice", "mic")
    message = str(caught.value)
    assert "does not load: PortAudio library not found. " in message
    assert "apt install libportaudio2" in message
    assert "pip" not in message


@pytest.mark.parametrize(
    "how", ["import torchaudio", "try: import torchaudio\nexcept ImportError: raise OSError('x')"]
)
def test_a_library_that_fails_in_torchaudio_says_so(library, how: str) -> None:
    library("torchaudio", "raise ImportError('undefined symbol: _ZN3c10')")
    library("imports_it", how)
    with pytest.raises(DependencyError, match=r"are not a pair: .*torchaudio==") as caught:
        need("imports_it", "rooms")
    assert "pip install 'asr[train]'" in str(caught.value)


def test_a_library_that_misses_torchaudio_names_the_extra_that_has_the_pair(
    library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library("imports_it", "import torchaudio")
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    with pytest.raises(DependencyError, match=r"imports torchaudio, .*pip install 'asr\[train\]'"):
        need("imports_it", "rooms")


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
