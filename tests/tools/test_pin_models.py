"""The tool that pins published models, against a hub on loopback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asr.hub.fetch import FILES
from asr.hub.published import PUBLISHED
from asr.hub.revisions import REVISIONS
from tests.conftest import REPOSITORY
from tests.hub.loopback import COMMIT, LoopbackHub, serving


def test_pins_are_written(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    first, second, *others = (model.repository for model in PUBLISHED)
    content = dict.fromkeys(FILES, b"x")
    incomplete = {name: content[name] for name in FILES[:-1]}
    served = {first: content, second: incomplete, **dict.fromkeys(others, content)}
    target = tmp_path / "revisions.py"
    with serving(LoopbackHub(served)) as hub:
        done = subprocess.run(
            [sys.executable, REPOSITORY / "tools" / "pin_models.py", "--target", target],
            env=hub.environment(tmp_path, PYTHONPATH=str(REPOSITORY)),
            capture_output=True,
            text=True,
        )
    assert (done.returncode, done.stderr) == (1, "")
    assert f"{first}: {COMMIT}, pinned was {REVISIONS[first]}\n" in done.stdout
    assert f"{second}: 404" in done.stdout or f"{second}: Client error '404" in done.stdout
    values: dict[str, dict[str, str]] = {}
    exec(target.read_text(), values)
    expected = {first: COMMIT, second: REVISIONS[second], **dict.fromkeys(others, COMMIT)}
    assert values["REVISIONS"] == expected
    written = (REPOSITORY / "asr" / "hub" / "revisions.py").read_text()
    assert target.read_text().splitlines()[:6] == written.splitlines()[:6]
