"""Optional libraries: imported where they are used, and explained where they cannot be.

torchaudio's wheel imports only beside the torch build that it was made for, and pip does not know
that; the extras of this package pin the pair. Transcribing needs neither torchaudio nor any other
library that is looked for here.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from traceback import walk_tb
from types import ModuleType

from asr.errors import DependencyError

#: The pair that is tested; `pyproject.toml` pins the same in the extra `train`.
PAIR = "torch==2.11.0 torchaudio==2.11.0"
#: Libraries that load one of the system: what their error then names, and what to do.
SYSTEM_LIBRARIES = {
    "sounddevice": (
        "PortAudio",
        "It records with the PortAudio library, which is missing; install it: "
        "apt install libportaudio2, dnf install portaudio, or brew install portaudio",
    )
}


def need(module: str, extra: str) -> ModuleType:
    """Imports an optional library.

    Args:
        module: what to import, as `lhotse.cut`.
        extra: the extra of this package that installs it, as `train`.

    Raises:
        DependencyError: it is not installed, a module that it imports is not installed, or it does
            not load beside the torch that is here. The message names what to install.
    """
    library = module.split(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).split(".")[0]
        if error.name in (None, library):
            cure = f"{library} is not installed; install it with: pip install 'asr[{extra}]'"
        elif missing == library:
            cure = (
                f"{_with_version(library)} has no module {error.name}; install a version that "
                f"fits with: pip install --upgrade 'asr[{extra}]'"
            )
        elif missing == "torchaudio":
            cure = (
                f"{_with_version(library)} does not load: it imports torchaudio, which is not "
                "installed; install it with: pip install 'asr[train]'"
            )
        else:
            cure = (
                f"{_with_version(library)} does not load: it imports the module {missing}, "
                f"which is not installed; install that too, usually with: pip install {missing}"
            )
        raise DependencyError(cure) from error
    except Exception as error:  # libraries built for others raise anything
        cause = f"{_with_version(library)} does not load: {first_line(error)}"
        raise DependencyError(f"{cause}. {_cure(library, extra, error)}") from error


def _cure(library: str, extra: str, error: BaseException) -> str:
    """What to do about an installed library that raises `error` when it is imported."""
    if library in SYSTEM_LIBRARIES:
        name, cure = SYSTEM_LIBRARIES[library]
        if name in str(error):
            return cure
    if library == "torchaudio" or _raised_in("torchaudio", error):
        return _torchaudio_advice()
    return f"Install a version that fits with: pip install --upgrade 'asr[{extra}]'"


def _raised_in(library: str, error: BaseException) -> bool:
    """Whether the import of `library` is where an error, or one that led to it, comes from."""
    chain: BaseException | None = error
    while chain is not None:
        frames = walk_tb(chain.__traceback__)
        if any(
            str(frame.f_globals.get("__name__")).split(".")[0] == library for frame, _ in frames
        ):
            return True
        chain = chain.__cause__ or chain.__context__
    return False


def torchaudio_problem() -> str | None:
    """What is wrong with the torchaudio that is installed; None where it loads or is absent."""
    if installed("torchaudio") is None:
        return None
    try:
        need("torchaudio", "train")
    except DependencyError as error:
        return str(error)
    return None


def installed(distribution: str) -> str | None:
    """The version of an installed library, None where it is not installed. Nothing is imported."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _with_version(library: str) -> str:
    version_here = installed(library)
    return library if version_here is None else f"{library} {version_here}"


def _torchaudio_advice() -> str:
    return (
        f"torchaudio {installed('torchaudio')} and torch {installed('torch')} are not a pair: "
        "torchaudio works only beside the torch build that it was made for. "
        f"Install a pair that fits with: pip install 'asr[train]' (that is {PAIR})"
    )


def first_line(error: BaseException) -> str:
    """What a library says of an error, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
