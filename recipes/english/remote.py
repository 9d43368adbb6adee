"""On a machine with a GPU that is there for minutes: unpack, train, evaluate, hand back.

    python recipes/english/remote.py unpack PACK_FOLDER --disk DISK
    python recipes/english/remote.py train --disk DISK --out OUT --seconds 560 [KEY.SUB=VALUE]...

`unpack` once for each pack of pack.py. `train` starts training by gpu.yaml, or finds it under way,
or goes on from its last checkpoint where it is not; shows its log for some seconds; and leaves in
OUT what may be carried home: while training lasts the newest averaged weights as a model folder in
16 bits, at the end the model that was chosen with its error rates. parts.py joins it there.

Training goes on between two calls where the machine lets it. GPU.md has the whole sequence.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
INDEX, PACK, DONE = "index.json", "pack.zip", "unpacked.json"
RECIPE = HERE / "gpu.yaml"
#: Dev sets in the order in which they matter, should the time end.
FIRST = ("librispeech", "librispeech-other", "commonvoice-v1")
CLI = "from asr.cli.main import main; main()"


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("unpack", help="check a pack and unpack it")
    one.add_argument("pack", type=Path, help="folder with pack.zip and index.json")
    one.add_argument("--disk", type=Path, required=True)
    for name, about in (("train", "start or go on, watch, hand back"), ("run", "train in here")):
        one = commands.add_parser(name, help=about)
        one.add_argument("--disk", type=Path, required=True)
        one.add_argument("--out", type=Path, required=name == "train")
        one.add_argument("--seconds", type=float, default=560, help="how long to watch")
        one.add_argument("overrides", nargs="*", metavar="KEY.SUB=VALUE")
    args = parser.parse_args()
    disk = args.disk.absolute()
    if args.command == "unpack":
        unpack(args.pack, disk)
    elif args.command == "run":
        run(disk, args.overrides)
    else:
        train(disk, args.out, args.seconds, args.overrides)


def unpack(pack: Path, disk: Path) -> None:
    """Checks a pack's digest and unpacks it; with the last one, makes everything ready."""
    index = json.loads((pack / INDEX).read_text(encoding="utf-8"))
    number, packs = index["pack"], index["packs"]
    digest = hashlib.sha256((pack / PACK).read_bytes()).hexdigest()
    if digest != packs[number - 1]["sha256"]:
        sys.exit(f"{pack / PACK}: truncated or altered; carry it again")
    disk.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(pack / PACK) as archive:
        archive.extractall(disk)
    done = {number, *unpacked(disk)}
    (disk / DONE).write_text(json.dumps({"done": sorted(done), "of": len(packs)}))
    missing = sorted({*range(1, len(packs) + 1)} - done)
    print(f"pack {number} of {len(packs)} unpacked")
    if missing:
        print(f"still missing: {', '.join(map(str, missing))}")
        return
    install(disk)
    shutil.copyfile(RECIPE, disk / RECIPE.name)  # whose paths are relative to where it lies
    count = check_recordings(disk)
    print(f"everything is there: {count} recordings named in the manifests, all on {disk}")


def unpacked(disk: Path) -> list[int]:
    """The numbers of the packs that are unpacked."""
    if not (disk / DONE).exists():
        return []
    return list(json.loads((disk / DONE).read_text())["done"])


def check_recordings(disk: Path) -> int:
    """Counts the recordings that manifests name; ends the program where one is not there."""
    names: set[Path] = set()
    for manifest in (disk / "data").rglob("*.jsonl"):
        for line in manifest.read_text(encoding="utf-8").splitlines():
            names.add((manifest.parent / json.loads(line)["audio_filepath"]).resolve())
    gone = [name for name in names if not name.exists()]
    if gone:
        sys.exit(f"{len(gone)} recordings are missing, {gone[0]} for one; make the packs anew")
    return len(names)


def install(disk: Path) -> None:
    """Installs the wheels of what this Python lacks into `disk/site`."""
    wheels = []
    for wheel in sorted((disk / "wheels").glob("*.whl")):
        name = wheel.name.split("-")[0].replace("_", "-")
        try:
            print(f"{name} {version(name)} is here")
        except PackageNotFoundError:
            wheels.append(str(wheel))
    if not wheels:
        return
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--upgrade"]
    done = subprocess.run([*command, "--target", str(disk / "site"), *wheels], check=False)
    if done.returncode:
        sys.exit("the wheels do not fit this Python; make the packs with pack.py --python VERSION")
    print(f"{len(wheels)} wheels installed")


def train(disk: Path, out: Path, seconds: float, overrides: Sequence[str]) -> None:
    """Starts or finds training, watches it, and leaves in `out` what there is by then."""
    until = time.monotonic() + seconds
    state = json.loads((disk / DONE).read_text()) if (disk / DONE).exists() else None
    if state is None or len(state["done"]) < state["of"]:
        sys.exit(f"{disk}: not all packs are unpacked there; run remote.py unpack for each")
    log, finished = disk / "train.log", disk / "finished"
    shown = log.stat().st_size if log.exists() else 0
    if not finished.exists() and not under_way(disk):
        start(disk, overrides)
    while not finished.exists() and time.monotonic() < until and under_way(disk):
        time.sleep(1)
        shown = show(log, shown)
    show(log, shown)
    out.mkdir(parents=True, exist_ok=True)
    if not finished.exists() and not under_way(disk):
        copy(log, out / "train.log")
        sys.exit("training ended by itself, see above; the same command goes on from here")
    hand_back(disk, out)


def start(disk: Path, overrides: Sequence[str]) -> None:
    """Starts `run` as a program of its own that outlives this one."""
    command = [sys.executable, str(HERE / "remote.py"), "run", "--disk", str(disk), *overrides]
    with (disk / "train.log").open("a") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=environment(disk),
            start_new_session=True,
        )
    (disk / "pid").write_text(str(process.pid))


def under_way(disk: Path) -> bool:
    """Whether `run` is running."""
    if not (disk / "pid").exists():
        return False
    pid = int((disk / "pid").read_text())
    try:
        if os.waitpid(pid, os.WNOHANG) != (0, 0):  # a child that has ended
            return False
    except ChildProcessError:  # started by an earlier call
        pass
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"run" in words


def environment(disk: Path) -> dict[str, str]:
    """Where Python finds the package and the wheels, and torch keeps what it compiles."""
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{disk / 'site'}",
        "PYTHONUNBUFFERED": "1",
        "TORCHINDUCTOR_CACHE_DIR": str(disk / "kernels"),
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
    }


def run(disk: Path, overrides: Sequence[str]) -> None:
    """Trains, makes the model that is handed back, and measures it on every dev set."""
    run_folder, ready = disk / "run", disk / "english"
    from handing import measure, sixteen_bits

    if not (disk / "exported").exists():
        shutil.copyfile(RECIPE, disk / RECIPE.name)
        command = [sys.executable, "-c", CLI, "train", str(disk / RECIPE.name), *overrides]
        subprocess.run([*command, "-o", str(run_folder)], check=True)
        sixteen_bits(run_folder / "model", ready)
        (disk / "exported").touch()
    manifests = sorted((disk / "data" / "dev").glob("*.jsonl"), key=lambda one: one.stem)
    manifests.sort(key=lambda one: FIRST.index(one.stem) if one.stem in FIRST else len(FIRST))
    figures = disk / "figures.json"
    for manifest in manifests:
        measure(ready, manifest, figures)
    (disk / "finished").touch()


def show(log: Path, shown: int) -> int:
    """Prints what the log has beyond `shown` bytes; returns how many it has."""
    if not log.exists():
        return shown
    with log.open("rb") as file:
        file.seek(shown)
        text = file.read()
    print(text.decode(errors="replace"), end="", flush=True)
    return shown + len(text)


def hand_back(disk: Path, out: Path) -> None:
    """Leaves the model as it stands, in parts, with logs and figures, in `out`."""
    from parts import split

    model = disk / "english"
    if not (disk / "exported").exists():
        model = disk / "so-far"
        command = [sys.executable, str(HERE / "handing.py"), str(disk / "run"), str(model)]
        done = subprocess.run(command, env=environment(disk), cwd=ROOT, check=False)
        if done.returncode:
            model = disk / "nothing"
    if model.exists():
        for path in split(model, out):
            print(f"{path.name}: {path.stat().st_size} bytes")
    copy(disk / "train.log", out / "train.log")
    copy(disk / "run" / "training" / "log.csv", out / "log.csv")
    copy(disk / "figures.json", out / "figures.json")
    state = "finished" if (disk / "finished").exists() else "not finished: the same command goes on"
    print(state)


def copy(source: Path, target: Path) -> None:
    """Copies a file where there is one."""
    if source.exists():
        shutil.copyfile(source, target)


if __name__ == "__main__":
    main()
