"""Packs, parts and what comes back: what rehearse.py joins to a whole, piece by piece."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

ENGLISH = REPOSITORY / "recipes" / "english"


def script(name: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ENGLISH / f"{name}.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What prepare.py leaves: manifests, recordings elsewhere, rooms."""
    for folder in ("corpora/a/audio", "corpora/b/audio", "data/dev", "data/rooms"):
        (tmp_path / folder).mkdir(parents=True)
    both = (("train", "../corpora"), ("dev", "../corpora"), ("noise", "../corpora"))
    for name, up in (*both, ("dev/set", "../../corpora")):
        lines = []
        for place in ("a", "b"):
            path = tmp_path / "corpora" / place / "audio" / "same.opus"
            path.write_bytes(place.encode() * 3000)
            entry = {"audio_filepath": f"{up}/{place}/audio/same.opus", "text": "x", "set": "one"}
            lines.append(json.dumps(entry) + "\n")
        (tmp_path / "data" / f"{name}.jsonl").write_text("".join(lines))
    (tmp_path / "data" / "rooms" / "hall.flac").write_bytes(b"echo")
    return tmp_path / "data"


@pytest.fixture
def packs(data: Path, tmp_path: Path) -> list[Path]:
    done = script(
        "pack", "--data", data, "--no-wheels", "--size", "0.006", "-o", tmp_path / "packs"
    )
    assert done.returncode == 0, done.stderr
    return sorted((tmp_path / "packs").iterdir())


def test_packs_have_everything_and_are_small(packs: list[Path], tmp_path: Path) -> None:
    assert len(packs) > 1
    assert all((pack / "pack.zip").stat().st_size <= 0.006 * 2**20 for pack in packs)
    disk = tmp_path / "disk"
    for number, pack in enumerate(packs, start=1):
        done = script("remote", "unpack", pack, "--disk", disk)
        assert done.returncode == 0, done.stderr
        assert ("everything is there: 2 recordings" in done.stdout) == (number == len(packs))
    for manifest in (disk / "data" / "train.jsonl", disk / "data" / "dev" / "set.jsonl"):
        entries = [json.loads(line) for line in manifest.read_text().splitlines()]
        sounds = [(manifest.parent / one["audio_filepath"]).read_bytes() for one in entries]
        assert sounds == [b"a" * 3000, b"b" * 3000]
    assert (disk / "data" / "rooms" / "hall.flac").read_bytes() == b"echo"
    assert (disk / "gpu.yaml").exists()


def test_a_pack_that_was_damaged_on_the_way_is_refused(packs: list[Path], tmp_path: Path) -> None:
    path = packs[0] / "pack.zip"
    path.write_bytes(path.read_bytes()[:-1])
    done = script("remote", "unpack", packs[0], "--disk", tmp_path / "disk")
    assert done.returncode == 1
    assert "truncated or altered; carry it again" in done.stderr
    assert not (tmp_path / "disk" / "data").exists()


def test_training_does_not_start_without_all_packs(packs: list[Path], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    script("remote", "unpack", packs[0], "--disk", disk)
    done = script("remote", "train", "--disk", disk, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "not all packs are unpacked" in done.stderr


def test_a_recording_that_fits_into_no_pack_is_named(data: Path, tmp_path: Path) -> None:
    done = script("pack", "--data", data, "--no-wheels", "--size", "0.002", "-o", tmp_path / "p")
    assert done.returncode == 1
    assert "audio/one/same.opus: 3000 bytes do not fit" in done.stderr


def test_parts_join_to_what_was_split(tmp_path: Path) -> None:
    sys.path.insert(0, str(ENGLISH))
    try:
        from parts import join, split
    finally:
        sys.path.remove(str(ENGLISH))
    (tmp_path / "model" / "training").mkdir(parents=True)
    (tmp_path / "model" / "weights").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "model" / "training" / "log.csv").write_text("step\n")
    written = split(tmp_path / "model", tmp_path / "parts", size=10_000)
    assert [path.name for path in written][-1] == "parts.json"
    assert len(written) > 3
    assert all(path.stat().st_size <= 10_000 for path in written)
    joined = join(tmp_path / "parts", tmp_path / "joined")
    assert (joined / "weights").read_bytes() == bytes(range(256)) * 100
    assert (joined / "training" / "log.csv").read_text() == "step\n"
    with pytest.raises(SystemExit, match="is there already"):
        join(tmp_path / "parts", tmp_path / "joined")
    written[0].write_bytes(b"damaged")
    with pytest.raises(SystemExit, match=r"part-00: truncated or altered"):
        join(tmp_path / "parts", tmp_path / "again")
    written[0].unlink()
    with pytest.raises(SystemExit, match=r"part-00: missing"):
        join(tmp_path / "parts", tmp_path / "again")
    assert not (tmp_path / "again").exists()
