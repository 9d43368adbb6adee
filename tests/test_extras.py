"""Each extra installed alone does its job: what it needs is what pyproject.toml says.

Nothing is installed. Of the distributions that are here, those that an extra requires, and those
that these require, are linked into a folder of their own, and the extra's command runs with only
that folder to import from. `make test-extras` installs them in earnest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import REPOSITORY
from tools.check_extras import Command, commands, fault

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]

# Runs a program with SITE and the repository as the only folders to import from but Python's own.
ISOLATED = """
import runpy, sys
site, repository, program, *arguments = sys.argv[1:]
sys.path[:0] = [site, repository]
sys.argv = [program, *arguments]
if program == "asr":
    from asr.cli.main import main
    sys.exit(main())
runpy.run_path(program, run_name="__main__")
"""


def requirements(extra: str) -> list[str]:
    """What pyproject.toml requires for the package with an extra, or alone (`none`)."""
    return [*PROJECT["dependencies"], *EXTRAS.get(extra, [])]


def closure(required: list[str]) -> dict[str, Distribution]:
    """The distributions that requirements bring, and those that these require, by name.

    What is not installed here is left out: a command that needs it then fails.
    """
    todo = [Requirement(line) for line in required]
    seen: set[tuple[str, str]] = set()
    result: dict[str, Distribution] = {}
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                result[name] = distribution(name)
            except PackageNotFoundError:
                break
            for line in result[name].requires or ():
                dependency = Requirement(line)
                marker = dependency.marker
                if marker is None or marker.evaluate({"extra": extra}):
                    todo.append(dependency)
    return result


def top(wanted: Distribution) -> Iterator[tuple[str, Path]]:
    """The files of a distribution within its site-packages, each with the first part of its path.

    The package under test itself is imported from the repository.
    """
    for file in wanted.files or ():
        if ".." not in file.parts and not file.name.startswith("__editable__"):
            yield file.parts[0], Path(str(file))


def link(wanted: dict[str, Distribution], site: Path) -> None:
    """Links the files of the distributions into the folder `site`.

    A folder that only wanted distributions have files in is linked as a whole.
    """
    foreign = {
        part
        for other in distributions()
        if canonicalize_name(other.metadata["Name"]) not in wanted
        for part, _ in top(other)
    }
    for item in wanted.values():
        for part, file in top(item):
            path = file if part in foreign else Path(part)
            target = site / path
            if not target.is_symlink():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(Path(str(item.locate_file(path))).resolve())


def run(command: Command, extra: str, required: list[str], folder: Path) -> str | None:
    """Runs a command with only what is required; returns what is wrong."""
    site = folder / f"site-{extra}"
    site.mkdir()
    link(closure(required), site)
    program = command.program if command.program == "asr" else REPOSITORY / command.program
    result = subprocess.run(
        [
            *(sys.executable, "-I", "-S", "-c", ISOLATED, site, REPOSITORY, program),
            *command.arguments,
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return fault(command, result)


def test_every_extra_has_a_command(tmp_path: Path) -> None:
    """But `dev`, which is what the tests run with."""
    assert set(commands(tmp_path)) == {"none", *EXTRAS} - {"dev"}


@pytest.mark.parametrize("extra", ["none", *(extra for extra in EXTRAS if extra != "dev")])
def test_an_extra_alone_does_its_job(extra: str, tmp_path: Path) -> None:
    if extra == "scoring":
        pytest.importorskip("whisper_normalizer", reason="asr[scoring] is not installed")
    assert run(commands(tmp_path)[extra], extra, requirements(extra), tmp_path) is None


@pytest.mark.parametrize(("extra", "forgotten"), [("none", "soxr"), ("train", "urllib3")])
def test_a_forgotten_requirement_is_noticed(extra: str, forgotten: str, tmp_path: Path) -> None:
    """As a user sees it: the message names what is missing."""
    required = [line for line in requirements(extra) if Requirement(line).name != forgotten]
    problem = run(commands(tmp_path)[extra], extra, required, tmp_path)
    assert problem is not None
    assert forgotten in problem
