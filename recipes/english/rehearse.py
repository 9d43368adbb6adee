"""The whole way of GPU.md with a tiny model on this machine, so that no minute there is lost.

    python recipes/english/prepare.py ../shared/corpora
    python recipes/english/rehearse.py /tmp/rehearsal

Packs a few recordings, unpacks them in a copy of the repository under a Python that has nothing
but what pack.py counts on (torch, torchaudio, lightning, sentencepiece, matplotlib, tensorboard),
trains in two calls, the first of which is killed, joins the parts that come back, and compares
the error rates that came with them with those of the joined model.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import distribution
from pathlib import Path

from pack import THERE, closure
from parts import join

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
#: A model that learns nothing worth having, in seconds, on one core.
TINY = (
    "model.encoder.layers=1",
    "model.encoder.dim=32",
    "model.encoder.ff=32",
    "model.encoder.subsampling={factor: 8, channels: 4}",
    "model.decoder={type: transformer, layers: 1, dim: 32, heads: 2, ff: 32}",
    "model.intermediate_ctc=[]",
    "tokenizer.size=40",
    "data.batch_seconds=30",
    "data.workers=1",
    "schedule.warmup_steps=5",
    "checkpoint={minutes: 0.05, keep: 2}",
    "validation={steps: 20, decode: 2}",
    "log={steps: 1, seconds: 1, tensorboard: false}",
    "training.precision=32",
    "training.threads=1",
)


def main() -> None:
    """Reads the command line and goes the whole way; ends with status 1 where it breaks."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path, help="an empty folder for everything")
    parser.add_argument("--data", type=Path, default=HERE / "data", help="of prepare.py")
    parser.add_argument("--utterances", type=int, default=60, help="to train on")
    parser.add_argument("--seconds", type=float, default=40, help="of training in all")
    parser.add_argument("--no-wheels", action="store_true", help="with this Python as it is")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    work = args.work.resolve()
    few(args.data, work / "data", args.utterances)
    python = sys.executable if args.no_wheels else bare_python(work / "python")
    checkout(work / "copy")
    packs = pack(work, args.no_wheels)
    call = Call(python, work / "copy", work / "disk")
    for one in packs:
        call("unpack", str(one))
    check_imports(call, args.no_wheels)
    overrides = [*TINY, f"training.total_time={args.seconds}"]
    out = work / "out"
    call("train", "--out", str(out / "1"), "--seconds", "1", *overrides)
    wait_for_checkpoint(work / "disk")
    call("train", "--out", str(out / "2"), "--seconds", "1", *overrides)
    join(out / "2", work / "so-far")
    kill(work / "disk")
    call("train", "--out", str(out / "3"), "--seconds", "600", *overrides)
    check_resumed(work / "disk" / "train.log")
    model = join(out / "3", work / "english")
    compare(model, work / "disk" / "data" / "dev", out / "3" / "figures.json")
    print("rehearsed: packs, a Python without the package's libraries, a kill, parts, figures")


def few(data: Path, target: Path, utterances: int) -> None:
    """The first short utterances of each manifest of `data`, as manifests in `target`."""
    if not (data / "train.jsonl").is_file():
        sys.exit(f"{data}: no train.jsonl there; run recipes/english/prepare.py first")
    for manifest in sorted(data.rglob("*.jsonl")):
        lines = []
        for line in manifest.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            path = (manifest.parent / entry["audio_filepath"]).resolve()
            if entry["duration"] < 6:
                lines.append(json.dumps({**entry, "audio_filepath": str(path)}))
        name = target / manifest.relative_to(data)
        name.parent.mkdir(parents=True, exist_ok=True)
        kept = utterances if manifest.name == "train.jsonl" else max(2, utterances // 20)
        step = max(1, len(lines) // kept)
        name.write_text("\n".join(lines[::step][:kept]) + "\n", encoding="utf-8")
    if (data / "rooms").is_dir():
        shutil.copytree(data / "rooms", target / "rooms", dirs_exist_ok=True)


def bare_python(target: Path) -> str:
    """A Python that sees the distributions that are there on the other machine, and no others."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(target)], check=True)
    links = target / "links"
    links.mkdir(exist_ok=True)
    for name in sorted(closure((*THERE, "pip"))):
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            found = Path(str(distribution(name).locate_file(top)))
            if found.exists() and not (links / top).exists():
                (links / top).symlink_to(found)
    site = next((target / "lib").glob("python*/site-packages"))
    (site / "links.pth").write_text(f"{links}\n")
    return str(target / "bin" / "python")


def checkout(target: Path) -> None:
    """A copy of what git knows of this repository: all that travels."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file() and not name.startswith("asr/pretrained/"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)


def pack(work: Path, no_wheels: bool) -> list[Path]:
    """Packs of this Python's wheels and the few recordings."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [sys.executable, str(HERE / "pack.py"), "--data", str(work / "data")]
    command += ["--no-wheels", "--size", "0.5"] if no_wheels else ["--python", version]
    subprocess.run([*command, "-o", str(work / "packs")], check=True)
    return sorted((work / "packs").iterdir(), key=lambda one: int(one.name))


class Call:
    """Calls of remote.py as they are made there: in a copy, with another Python."""

    def __init__(self, python: str, copy: Path, disk: Path) -> None:
        self.python = python
        self.copy = copy
        self.disk = disk

    def __call__(self, command: str, *words: str) -> None:
        """Makes one; ends the program where it fails."""
        print(f"--- {command} {' '.join(words)[:60]}", flush=True)
        self.do("recipes/english/remote.py", command, "--disk", str(self.disk), *words)

    def do(self, *words: str, path: str = "") -> None:
        """Runs that Python."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment = {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        subprocess.run([self.python, *words], cwd=self.copy, env=environment, check=True)


def check_imports(call: Call, no_wheels: bool) -> None:
    """All that training imports is there, and where it should come from."""
    site = call.disk / "site"
    where = f"m.__file__.startswith({str(site)!r})" if not no_wheels else "True"
    names = ("soundfile", "soxr", "pydantic", "jiwer", "num2words", "click", "lhotse")
    check = "; ".join(f"import {name} as m; assert {where}, m.__file__" for name in names)
    call.do("-c", check, path=f"{call.copy}{os.pathsep}{site}")


def wait_for_checkpoint(disk: Path) -> None:
    """Until there is something to go on from."""
    process = Path("/proc") / (disk / "pid").read_text()
    for _ in range(600):
        if (disk / "run" / "checkpoints" / "last.ckpt").exists():
            return
        if not (process / "cmdline").exists() or not (process / "cmdline").read_bytes():
            print((disk / "train.log").read_text(encoding="utf-8"))
            sys.exit("training ended before its first checkpoint")
        time.sleep(0.5)
    sys.exit(f"{disk / 'train.log'}: no checkpoint after five minutes")


def kill(disk: Path) -> None:
    """Ends training as a machine that goes away does."""
    os.killpg(int((disk / "pid").read_text()), signal.SIGKILL)
    time.sleep(1)
    if (disk / "finished").exists():
        sys.exit("training was over before it could be killed; give it more --seconds")


def check_resumed(log: Path) -> None:
    """The second half went on from the first."""
    if "goes on after step" not in log.read_text(encoding="utf-8"):
        sys.exit(f"{log}: training did not go on from its checkpoint")


def compare(model: Path, dev: Path, figures: Path) -> None:
    """The joined model has the error rates that came with it."""
    from asr import load_model
    from asr.evaluate.corpus import read_utterances
    from asr.evaluate.evaluation import evaluate

    known = json.loads(figures.read_text(encoding="utf-8"))
    for manifest in sorted(dev.glob("*.jsonl")):
        found = evaluate(load_model(model, device="cpu"), read_utterances(manifest))
        here, there = found.to_dict()["wer"], known[manifest.stem]["wer"]
        print(f"{manifest.stem}: WER {there:.4f} there, {here:.4f} here")
        if not math.isclose(here, there, abs_tol=1e-9):
            sys.exit(f"{manifest.stem}: the figures differ")


if __name__ == "__main__":
    main()
