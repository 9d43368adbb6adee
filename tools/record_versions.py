"""Writes constraints.txt: the versions, in this environment, of all that asr[dev] installs.

    .venv/bin/python tools/record_versions.py > constraints.txt

Libraries that a GPU build of torch brings along are left out: other builds have others, and torch
pins its own. torch itself is here because older versions of pip would try the newest one first.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

LEFT_OUT = re.compile(r"nvidia-|cuda-|triton$|asr$|pip$|setuptools$")


def closure(name: str, extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> None:
    """Collects into `seen` all that `name` with these extras requires here."""
    if (name, extras) in seen:
        return
    try:
        requirements = distribution(name).requires or []
    except PackageNotFoundError:  # required under a marker that no installation here has met
        return
    seen.add((name, extras))
    for line in requirements:
        requirement = Requirement(line)
        here = {name: str(value) for name, value in default_environment().items()}
        places = [here | {"extra": extra} for extra in (extras or {""})]
        if requirement.marker is None or any(
            requirement.marker.evaluate(place) for place in places
        ):
            closure(canonicalize_name(requirement.name), frozenset(requirement.extras), seen)


def lines() -> Iterator[str]:
    """The constraints, with a marker where a version does not run on the oldest Python we do."""
    seen: set[tuple[str, frozenset[str]]] = set()
    closure("asr", frozenset({"dev"}), seen)
    for name in sorted({name for name, _ in seen}):
        if LEFT_OUT.match(name):
            continue
        found = distribution(name)
        needs = SpecifierSet(str(found.metadata.json.get("requires_python", "")))
        oldest = next(minor for minor in range(10, 30) if needs.contains(f"3.{minor}.99"))
        marker = "" if oldest == 10 else f' ; python_version >= "3.{oldest}"'
        yield f"{name}=={found.version.split('+')[0]}{marker}"


if __name__ == "__main__":
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    print(f"# Tested together on Python {version}, Linux x86_64; made by tools/record_versions.py.")
    print("\n".join(lines()))
