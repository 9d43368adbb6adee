"""Fetches published models into the cache of huggingface_hub, and finds those that are there.

Only what the user names is fetched. Where to, from where and whether at all is decided by
huggingface_hub: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_HUB_OFFLINE, and proxies.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from asr.dependencies import first_line, installed, need
from asr.errors import ModelError, shortened
from asr.hub.published import PublishedModel

LIBRARY, EXTRA = "huggingface_hub", "hub"
#: What opening a model needs. The weights are last: where they are, the others are too.
FILES = ("config.json", "generation_config.json", "tokenizer.json", "model.safetensors")
BRANCH = "main"
_ELSEWHERE = "fetch it on another computer and name its folder (-m FOLDER)"


def fetch(model: PublishedModel) -> Path:
    """The folder of a model in the cache; what is missing there is fetched first, with progress.

    Raises:
        DependencyError: huggingface_hub is not installed.
        ModelError: it cannot be fetched; the message says why, and what to do.
    """
    hub = _library()
    folder = cached(model)
    if folder is not None:
        return folder
    _check_reachable(hub, model)
    quiet = hub.utils.are_progress_bars_disabled()
    if not quiet:
        _say(
            f"fetching {model.repository} (about {model.download_bytes / 1e6:,.0f} MB) into "
            f"{cache_folder()}"
        )
    paths = [_fetched(hub, model, name) for name in FILES]
    folder = paths[-1].parent
    if any(path.parent != folder for path in paths):
        raise ModelError(
            f"{model.repository}: was changed while it was fetched; run the same command again"
        )
    if not quiet:
        _say(f"fetched {model.repository} at revision {folder.name}")
    return folder


def cached(model: PublishedModel) -> Path | None:
    """The folder of a model in the cache, where it is complete; nothing is fetched."""
    if not available():
        return None
    hub = _library()
    revision = model.revision or BRANCH
    paths = [
        hub.try_to_load_from_cache(model.repository, name, revision=revision) for name in FILES
    ]
    if not all(isinstance(path, str) for path in paths):
        return None
    return Path(paths[-1]).parent


def available() -> bool:
    """Whether the library is installed that fetches models."""
    return installed(LIBRARY) is not None


def cache_folder() -> Path:
    """Where fetched models are kept.

    Raises:
        DependencyError: huggingface_hub is not installed.
    """
    return Path(_library().constants.HF_HUB_CACHE)


def repository_of(folder: Path) -> tuple[str, str] | None:
    """The repository and the commit of a folder in such a cache; None for other folders."""
    parts = folder.absolute().parts
    if len(parts) < 3 or parts[-2] != "snapshots" or not parts[-3].startswith("models--"):
        return None
    return parts[-3].removeprefix("models--").replace("--", "/"), parts[-1]


def _library() -> ModuleType:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # it asks for more than files else
    library = need(LIBRARY, EXTRA)
    for part in ("constants", "errors", "utils"):  # which importing the library need not import
        need(f"{LIBRARY}.{part}", EXTRA)
    logging.getLogger(LIBRARY).setLevel(logging.ERROR)  # one line says what is wrong: the error
    return library


def _check_reachable(hub: ModuleType, model: PublishedModel) -> None:
    """Refuses to fetch without a hub: downloads are tried again for half a minute where none is.

    What a hub answers, with an error too, is left to the download.
    """
    endpoint = hub.constants.ENDPOINT
    if not re.match(r"https?://[^/\s]", endpoint):
        raise ModelError(
            f"HF_ENDPOINT is '{shortened(endpoint, 80)}', which is no address of a hub: write it "
            "as https://huggingface.co, or unset it"
        )
    url = hub.hf_hub_url(model.repository, FILES[0], revision=model.revision or BRANCH)
    try:
        hub.get_hf_file_metadata(url)
    except hub.errors.HfHubHTTPError:
        return
    except Exception as error:
        raise _not_fetched(hub, model, FILES[0], error) from error


def _fetched(hub: ModuleType, model: PublishedModel, name: str) -> Path:
    """One file of a model, in the cache."""
    try:
        return Path(hub.hf_hub_download(model.repository, name, revision=model.revision or BRANCH))
    except Exception as error:  # the library and the one beneath it have no common base
        raise _not_fetched(hub, model, name, error) from error


def _not_fetched(hub: ModuleType, model: PublishedModel, name: str, error: Exception) -> ModelError:
    return ModelError(f"{model.repository}: {_problem(hub, model, name, error)}")


def _problem(hub: ModuleType, model: PublishedModel, name: str, error: Exception) -> str:
    """What kept a file from being fetched, and what to do."""
    errors: Any = hub.errors
    chain = _causes(error)
    if any(isinstance(each, OSError) and each.errno == errno.ENOSPC for each in chain):
        return (
            f"the disk with {cache_folder()} is full: make room for "
            f"{model.download_bytes / 1e6:,.0f} MB, or name another folder in HF_HUB_CACHE"
        )
    if any(isinstance(each, PermissionError) for each in chain):
        return f"{cache_folder()} cannot be written to; name another folder in HF_HUB_CACHE"
    if any(isinstance(each, errors.OfflineModeIsEnabled) for each in chain):
        return (
            f"is not in {cache_folder()}, and HF_HUB_OFFLINE forbids fetching it: unset that, "
            f"or {_ELSEWHERE}"
        )
    if isinstance(error, errors.GatedRepoError):
        return "needs a login at the hub: run 'hf auth login'"
    if isinstance(error, errors.RevisionNotFoundError):
        return (
            f"has no revision {model.revision or BRANCH} at the hub: upgrade asr, or {_ELSEWHERE}"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"is not at the hub: correct HF_ENDPOINT, or {_ELSEWHERE}"
    missing = isinstance(error, errors.EntryNotFoundError)
    if missing and not isinstance(error, errors.LocalEntryNotFoundError):
        return f"has no {name} at the hub: upgrade asr, or {_ELSEWHERE}"
    return (
        f"{name} cannot be fetched from {hub.constants.ENDPOINT} "
        f"({shortened(first_line(chain[-1]), 160)}): check the network"
        f"{' and HF_ENDPOINT' if 'HF_ENDPOINT' in os.environ else ''} and run the same command "
        f"again (files that came whole are kept), or {_ELSEWHERE}"
    )


def _causes(error: BaseException) -> list[BaseException]:
    """An error and those that it comes from, the first one last."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) and cause not in chain:
        chain.append(cause)
    return chain


def _say(message: str) -> None:
    if sys.stderr is not None:
        print(f"asr: {message}", file=sys.stderr, flush=True)
