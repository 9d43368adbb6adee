"""The folders that this package writes and reads: which kind one is, and what they have in common.

Nothing heavy is imported, so that a wrong path is refused at once.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from asr.errors import ConfigError, ModelError
from asr.hub.published import nearest, published
from asr.urls import url_of

if TYPE_CHECKING:
    from asr.config import Config

CONFIG, WEIGHTS = "config.yaml", "model.safetensors"
PICKLES = (".pt", ".pth", ".ckpt", ".bin", ".pkl")

#: The model that ships with the package.
SHIPPED = Path(__file__).parent / "pretrained" / "english"


C = TypeVar("C", bound="Config")


@dataclass(frozen=True)
class ModelKind:
    """One kind of model folder.

    Attributes:
        loader: "module:function" of what opens such a folder, called as `function(folder, dtype)`
            and giving an `asr.model.folder.LoadedModel`. It is imported only then.
        recognises: whether a folder without `config.yaml` is of this kind. Only looks, and reads
            small files at most.
    """

    loader: str
    recognises: Callable[[Path], bool]


#: Files that a Hugging Face folder has, and a model folder of ours has not.
HUGGING_FACE_FILES = (
    *("config.json", "generation_config.json", "preprocessor_config.json"),
    *("model.safetensors.index.json", "pytorch_model.bin.index.json"),
)


def _is_whisper(path: Path) -> bool:
    """Whether a path looks like a checkpoint of OpenAI, Hugging Face or CTranslate2.

    That is a file `.pt`, or a folder. Damaged ones and other models in these formats count too:
    what opens them says what is wrong.
    """
    if path.is_file():
        return path.suffix == ".pt"
    if (path / "model.bin").is_file():
        return not _is_pickle(path / "model.bin")
    return any((path / name).is_file() for name in HUGGING_FACE_FILES)


def _is_pickle(path: Path) -> bool:
    """Whether a file begins as pickles do, alone or in a zip file of torch."""
    with path.open("rb") as file:
        return file.read(4).startswith((b"\x80", b"PK\3\4"))


#: The kind of a model folder whose `config.yaml` names none.
DEFAULT_KIND = "asr"
#: Every kind by the name that `kind` in `config.yaml` has. A new kind is one module and one line.
MODEL_KINDS: dict[str, ModelKind] = {
    DEFAULT_KIND: ModelKind("asr.model.folder:load_speech_model", lambda folder: False),
    "whisper": ModelKind("asr.model.whisper.folder:load_whisper", _is_whisper),
}


def model_folder(path: str | os.PathLike[str] | None) -> Path:
    """The folder that `path` names; None names the shipped model.

    Where there is no such path, it may be the name of a published model (`asr.hub.published`),
    which is fetched then, unless it is in the cache.

    Raises:
        ModelError: no model ships with this installation, or a published one cannot be fetched.
        DependencyError: it would have to be fetched, and huggingface_hub is not installed.
    """
    if path is not None:
        model = None if Path(path).exists() else published(os.fspath(path))
        if model is None:
            return Path(path)
        from asr.hub.fetch import fetch

        return fetch(model)
    if not (SHIPPED / CONFIG).is_file():
        raise ModelError(
            f"{SHIPPED}: this installation ships no model; name a model folder "
            "(-m FOLDER, or load_model('FOLDER')), or train one with: asr train RECIPE.yaml"
        )
    return SHIPPED


def names_model(path: Path) -> bool:
    """Whether `path` is one that `model_folder` takes: a folder, a file of a model, or a name."""
    if not path.exists():
        return published(os.fspath(path)) is not None
    return path.is_dir() or foreign_kind(path) is not None


def check_model_folder(folder: Path) -> None:
    """Refuses what is no model folder; no weights are opened.

    Raises:
        ModelError: it is none, or may not be read.
    """
    model_kind(folder)


def model_kind(folder: Path) -> ModelKind:
    """The kind of a model folder, by its `config.yaml` or by the files of other formats.

    Raises:
        ModelError: it is no model folder, of no kind that is known, or may not be read.
    """
    try:
        if kind := foreign_kind(folder):
            return kind
        if not (folder / CONFIG).is_file():
            raise ModelError(_why_no_model(folder))
    except OSError as error:
        raise unreadable(folder, error) from None
    name = str(read_config_values(folder).get("kind", DEFAULT_KIND))
    if name not in MODEL_KINDS:
        raise ModelError(
            f"{folder / CONFIG}: models of kind '{name}' are not known; known: "
            f"{', '.join(sorted(MODEL_KINDS))}; upgrade asr, or correct 'kind'"
        )
    return MODEL_KINDS[name]


def foreign_kind(folder: Path) -> ModelKind | None:
    """The kind of a model folder in another format, without `config.yaml`; None if it is none."""
    if (folder / CONFIG).is_file():
        return None
    return next((kind for kind in MODEL_KINDS.values() if kind.recognises(folder)), None)


def use_lines(folder: Path) -> list[str]:
    """The lines of a card that say how to use the model that is being written to `folder`.

    A folder below the working directory is named from there, so that the command can be copied.
    """
    here = Path.cwd()
    place = folder.resolve()
    place = place.relative_to(here) if place.is_relative_to(here) else place
    return [
        "## Use",
        "",
        f"    asr transcribe -m {shlex.quote(str(place))} recording.wav",
        "",
        "This is where the model was written. If it has been moved, name the folder of this card.",
        "",
    ]


def check_lm_folder(folder: Path) -> None:
    """Refuses what is no folder of a language model; nothing in it is opened.

    Raises:
        ModelError: it is none, or may not be read.
    """
    try:
        if (folder / CONFIG).is_file():
            return
        inner = folder / "lm"
        hint = f"; did you mean {inner}?" if (inner / CONFIG).is_file() else ""
        raise ModelError(
            f"{folder}: no language model folder: {CONFIG} is missing{hint}"
            if folder.exists()
            else f"{url_of(folder) or folder}: no such language model folder"
        )
    except OSError as error:
        raise unreadable(folder, error) from None


def read_config_values(folder: Path, version: int | None = None) -> dict[str, Any]:
    """The keys and values of a folder's `config.yaml`.

    Args:
        version: the newest format version that the caller understands.

    Raises:
        ModelError: the file cannot be read, or is of a newer format.
    """
    from asr.config import read_yaml

    path = folder / CONFIG
    try:
        values = read_yaml(path)
    except ConfigError as error:
        raise ModelError(f"{error}; the folder is damaged, copy it again") from None
    stored = values.get("format_version")
    if version is not None and isinstance(stored, int) and stored > version:
        raise ModelError(
            f"{path}: format version {stored} is newer than this program understands "
            f"({version}); upgrade asr"
        )
    return values


def parse_config(cls: type[C], values: Mapping[str, Any], folder: Path) -> C:
    """The configuration that the values of a folder's `config.yaml` describe.

    Raises:
        ModelError: a key or value is wrong.
    """
    from asr.config import parse

    try:
        return parse(cls, values, str(folder / CONFIG))
    except ConfigError as error:
        raise ModelError(str(error)) from None


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file that stands in `folder` now, by name."""
    return {path.name: _digest(path) for path in sorted(folder.iterdir())}


def check_files(folder: Path, known: Mapping[str, str]) -> None:
    """Compares files with their digests.

    Raises:
        ModelError: one is missing, cannot be read, or is not what it was.
    """
    for name, digest in known.items():
        path = folder / name
        if not path.is_file():
            raise ModelError(f"{path}: missing; the model folder is not complete, copy it again")
        try:
            actual = _digest(path)
        except OSError as error:
            raise unreadable(path, error) from None
        if actual != digest:
            raise ModelError(
                f"{path}: truncated or altered (its SHA-256 is not the one in {CONFIG}); "
                "copy it again"
            )


def unreadable(path: Path, error: OSError) -> ModelError:
    """The error for a file or folder that may not be read."""
    reason = (error.strerror or str(error)).lower()
    return ModelError(f"{path}: cannot be read ({reason}); change its permissions or copy it")


def _why_no_model(folder: Path) -> str:
    if not folder.exists():
        if url := url_of(folder):
            tail = "/".join(url.rstrip("/").split("/")[-2:])
            name = f"-m {tail}" if published(tail) else "one that 'asr models' lists"
            return (
                f"{url}: models are not opened by URL; name a folder, or a published model: {name}"
            )
        near = nearest(str(folder))
        hint = f"; did you mean the published model {near}?" if near else ";"
        return f"{folder}: no such model folder{hint} 'asr models' lists what there is by name"
    wanted = f"name a model folder (with {CONFIG} and {WEIGHTS})"
    if not folder.is_dir():
        around = folder.parent
        if (around / CONFIG).is_file() or foreign_kind(around):
            return f"{folder}: one file of a model; name the folder that it is in: {around}"
        kind = (
            "weights in a pickle are refused: opening one can run any program"
            if folder.suffix in PICKLES
            else "not a folder"
        )
        return f"{folder}: {kind}; {wanted}"
    inner = folder / "model"
    if (inner / CONFIG).is_file():
        return f"{folder}: not a model folder: {CONFIG} is missing; did you mean {inner}?"
    pickles = sorted(path for path in folder.iterdir() if path.suffix in PICKLES)
    of_openai = [path for path in pickles if path.suffix == ".pt"]
    if of_openai:
        return f"{folder}: not a model folder; a file of OpenAI is named itself: -m {of_openai[0]}"
    if pickles:
        return (
            f"{folder}: weights in a pickle ({', '.join(path.name for path in pickles)}) are "
            f"refused: opening one can run any program; {wanted}"
        )
    if (folder / "tokenizer.json").is_file():
        return (
            f"{folder}: not a model folder: {CONFIG} is missing, or config.json if it is a "
            "Hugging Face folder"
        )
    return f"{folder}: not a model folder: {CONFIG} is missing"


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
