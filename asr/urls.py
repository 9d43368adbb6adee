"""URLs where a path is expected: this package reads files only, and says so.

Nothing is imported, so that a wrong call is refused at once.
"""

from __future__ import annotations

import os
import re

#: `pathlib` makes one slash of two, so a URL that went through a path has one.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{1,2}([^/].*)", re.DOTALL)


def url_of(path: str | os.PathLike[str]) -> str | None:
    """The URL that `path` was made from, with both slashes; None where it is not a URL.

    A drive of Windows (`C:/talks`) is not one: schemes have two letters or more.
    """
    match = _URL.fullmatch(os.fspath(path))
    return f"{match[1]}://{match[2]}" if match else None


def download_first(url: str) -> str:
    """What a message says about a URL that was given for a recording."""
    return (
        f"{url}: a URL, and recordings are read from files; download it first, or pipe it: "
        f"curl -L '{url}' | asr transcribe -"
    )
