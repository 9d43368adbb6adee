"""Writes the commits that published models are fetched at: asr/hub/revisions.py. Needs the network.

    python tools/pin_models.py            # the newest commit of each
    python tools/pin_models.py --check    # whether the hub has what is pinned; nothing is written

At each commit the files must be there that asr fetches. Where one is not, the tool says so, and the
pin stays as it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_url

from asr.dependencies import first_line
from asr.hub.fetch import BRANCH, FILES
from asr.hub.published import PUBLISHED
from asr.hub.revisions import REVISIONS

TARGET = Path(__file__).resolve().parents[1] / "asr" / "hub" / "revisions.py"
HEAD = '''"""The commits of published models that are fetched. Written by tools/pin_models.py."""

from __future__ import annotations

#: By repository; one that is missing is fetched as its branch `main` stands.
REVISIONS: dict[str, str] = {
'''


def commit_of(repository: str, revision: str) -> str:
    """The commit that a revision is, whose files are all there.

    Raises:
        Exception: the hub has no such repository, revision or file, or does not answer.
    """
    commits = {
        get_hf_file_metadata(hf_hub_url(repository, name, revision=revision)).commit_hash
        for name in FILES
    }
    if len(commits) != 1 or None in commits:
        raise ValueError(f"its files are of several commits: {commits}")
    return str(commits.pop())


def written(revisions: dict[str, str]) -> str:
    """The module that holds them."""
    lines = (
        f'    "{model.repository}": "{revisions[model.repository]}",\n'
        for model in PUBLISHED
        if model.repository in revisions
    )
    return HEAD + "".join(lines) + "}\n"


def main() -> int:
    """Asks the hub for every model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="check the pins, write nothing")
    parser.add_argument("--target", type=Path, default=TARGET, help="the module to write")
    options = parser.parse_args()
    pinned, failed = dict(REVISIONS), 0
    for model in PUBLISHED:
        name = model.repository
        try:
            commit = commit_of(name, (options.check and model.revision) or BRANCH)
        except Exception as error:  # the library and the one beneath it have no common base
            failed += 1
            print(f"{name}: {first_line(error)}")
            continue
        old = pinned.get(name)
        same = "as pinned" if commit == old else f"pinned was {old}" if old else "was not pinned"
        print(f"{name}: {commit}, {same}")
        pinned[name] = commit
    if not options.check:
        options.target.write_text(written(pinned), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
