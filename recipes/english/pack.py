"""Packs all that training needs on a machine without network: parts of at most 50 MiB.

    python recipes/english/prepare.py ../shared/corpora
    python recipes/english/pack.py

writes recipes/english/exp/packs/1, 2 ...: in each a pack.zip and the index of all of them. Inside
are the manifests of prepare.py with the recordings that they name, compressed as they are, the
room responses, and wheels for what the other machine's Python lacks. There, remote.py unpacks.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
#: MiB that travel with a call, the repository's own files among them.
CALL = 64
INDEX, PACK = "index.json", "pack.zip"
#: What the other machine's Python has, with all that these need.
THERE = ("torch", "torchaudio", "lightning", "sentencepiece", "matplotlib", "tensorboard")
#: What the package imports when it trains and evaluates on packed audio.
NEEDED = ["soundfile", "soxr", "sentencepiece", "pydantic", "pyyaml", "safetensors", "jiwer"]
NEEDED += ["num2words", "click", "rich", "lhotse"]
#: For recordings that libsndfile is not trusted with: a noise clip of half a page is one.
NEEDED += ["av"]
#: Imported by lhotse, which does not say so; and what runs the tests that need a GPU.
NEEDED += ["urllib3", "pytest", "hypothesis"]
#: Of num2words' command alone; there is no wheel of it.
NOT_IMPORTED = ("docopt",)
#: Systems that wheels may be made for.
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (39, 34, 31, 28, 27, 26, 24, 17, 12, 5)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]


def main() -> None:
    """Reads the command line and writes the packs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=HERE / "data", help="of prepare.py")
    parser.add_argument("--recipe", type=Path, default=HERE / "gpu.yaml", help="names manifests")
    parser.add_argument("--python", default="3.12", help="version of the other machine's Python")
    parser.add_argument("--no-wheels", action="store_true", help="it has all it needs")
    parser.add_argument("--size", type=float, help="most MiB of a pack  [default: what is left]")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "exp" / "packs")
    args = parser.parse_args()
    size = args.size or min(50.0, CALL - 1 - checkout_size())
    if not 0 < size <= 50:
        parser.error("--size: packs have at most 50 MiB, and the repository leaves room for less")
    with tempfile.TemporaryDirectory() as scratch:
        if not args.no_wheels:
            fetch_wheels(args.python, Path(scratch))
        wheels = [(f"wheels/{one.name}", one.read_bytes()) for one in Path(scratch).glob("*.whl")]
        files = [*sorted(wheels), *contents(args.data, args.recipe)]
        write_packs(args.output, files, int(size * 2**20))


def checkout_size() -> float:
    """MiB of what git knows of this repository, which travels beside each pack."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, check=True).stdout
    paths = [HERE.parents[1] / name for name in listed.decode().split("\0") if name]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 2**20


def contents(data: Path, recipe: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file: manifests (with their paths changed), rooms, recordings.

    The manifests are those that the recipe names as `data/...`, and those of the dev sets.
    """
    named = re.findall(r"\bdata/([\w/.-]+\.jsonl)", recipe.read_text(encoding="utf-8"))
    manifests = [*(data / name for name in dict.fromkeys(named)), *sorted(data.glob("dev/*.jsonl"))]
    for manifest in manifests:
        if not manifest.is_file():
            sys.exit(f"{manifest}: is missing; run recipes/english/prepare.py first")
    names: dict[Path, str] = {}
    for manifest in manifests:
        yield f"data/{manifest.relative_to(data).as_posix()}", moved(manifest, data, names)
    for response in sorted((data / "rooms").glob("*.*")):
        yield f"data/rooms/{response.name}", response.read_bytes()
    for path, name in names.items():
        yield name, path.read_bytes()


def moved(manifest: Path, data: Path, names: dict[Path, str]) -> bytes:
    """A manifest whose recordings lie in `audio/`, beside `data/`; `names` says where each is."""
    taken = set(names.values())
    up = "../" * len(manifest.relative_to(data).parts)
    lines = []
    for line in manifest.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        path = (manifest.parent / entry["audio_filepath"]).resolve()
        if path not in names:
            folder = entry.get("set", manifest.stem)
            name = f"audio/{folder}/{path.name}"
            if name in taken:
                name = f"audio/{folder}/{len(names)}-{path.name}"
            names[path] = name
            taken.add(name)
        lines.append(json.dumps({**entry, "audio_filepath": up + names[path]}, ensure_ascii=False))
    return ("\n".join(lines) + "\n").encode()


def write_packs(target: Path, files: Iterable[tuple[str, bytes]], size: int) -> None:
    """Writes packs of at most `size` bytes, and the index beside each."""
    about: list[dict[str, object]] = []
    packs = []
    for number, group in enumerate(grouped(files, size), start=1):
        path = target / str(number) / PACK
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as pack:
            for name, content in group:
                pack.writestr(zipfile.ZipInfo(name), content)
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        about.append({"files": len(group), "bytes": len(content), "sha256": digest})
        packs.append(path)
        print(f"{path}: {len(group)} files, {len(content) / 2**20:.1f} MiB")
    for path in packs:
        text = json.dumps({"pack": int(path.parent.name), "packs": about}, indent=2)
        (path.parent / INDEX).write_text(text + "\n", encoding="utf-8")


def grouped(files: Iterable[tuple[str, bytes]], size: int) -> Iterator[list[tuple[str, bytes]]]:
    """Files in order, as many together as fit; ends the program where one alone does not."""
    group: list[tuple[str, bytes]] = []
    total = 0
    for name, content in files:
        needed = len(content) + 2 * len(name.encode()) + 128  # what a zip file adds to each
        if needed + 1024 > size:
            sys.exit(f"{name}: {len(content)} bytes do not fit into a pack of {size}")
        if total + needed + 1024 > size:
            yield group
            group, total = [], 0
        group.append((name, content))
        total += needed
    yield group


def fetch_wheels(python: str, target: Path) -> None:
    """Downloads wheels of what is not there, in the versions that are installed here."""
    missing = sorted(closure(NEEDED) - closure(THERE) - set(NOT_IMPORTED))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--implementation", "cp"]
    command += ["--python-version", python, "-d", str(target)]
    for platform in PLATFORMS:
        command += ["--platform", platform]
    done = subprocess.run(
        [*command, *(f"{name}=={version(name)}" for name in missing)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"wheels for Python {python}: {done.stderr.strip().splitlines()[-1]}")


def closure(names: Iterable[str]) -> set[str]:
    """Names of distributions and of all that they need, as installed here."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            needs = requires(name) or []
        except PackageNotFoundError:  # of another system
            continue
        found.add(name)
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(need.name))
    return found


if __name__ == "__main__":
    main()
