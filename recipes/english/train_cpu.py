"""Trains the English model on a CPU, stage by stage, beside other work.

    python recipes/english/prepare.py FOLDER
    python recipes/english/train_cpu.py [--only pieces settle] [KEY.SUB=VALUE ...]

Runs at the lowest priority. Stop it and give the same command again: it goes on where it was, in
the middle of a stage too. `kill -STOP -- -GROUP` pauses all of its processes (the group is told at
the start), `kill -CONT -- -GROUP` lets them go on. stages.yaml says what the stages are; each
leaves its model in exp/STAGE/model.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from pydantic import Field

from asr.config import Config, parse, read_yaml

HERE = Path(__file__).resolve().parent
TRAIN = "import sys; from asr.cli.main import main; sys.exit(main())"


class Stage(Config):
    """A training run: overrides of the recipe, and the stage whose weights it starts from."""

    about: str
    set: tuple[str, ...] = ()
    origin: str | None = Field(default=None, alias="from")
    partial: bool = False


def main() -> None:
    """Reads the command line and runs what is not done yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("overrides", nargs="*", metavar="KEY.SUB=VALUE", help="of all stages")
    parser.add_argument("--recipe", type=Path, default=HERE / "cpu.yaml")
    parser.add_argument("--stages", type=Path, default=HERE / "stages.yaml")
    parser.add_argument("--only", nargs="+", metavar="STAGE", help="these stages")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "exp")
    args = parser.parse_intermixed_args()
    found = read_yaml(args.stages)
    stages = {name: parse(Stage, values, f"stage {name}") for name, values in found.items()}
    if unknown := set(args.only or ()) - set(stages):
        parser.error(f"no stage {', '.join(sorted(unknown))}; there are {', '.join(stages)}")
    os.nice(19)
    if os.getpid() != os.getpgrp():
        os.setpgid(0, 0)
    print(f"process group {os.getpid()}", flush=True)
    for name, stage in stages.items():
        if args.only is None or name in args.only:
            run(name, stage, args)


def run(name: str, stage: Stage, args: argparse.Namespace) -> None:
    """Trains one stage, or goes on with it; ends the program where that fails."""
    folder = args.output / name
    done = folder / "done"
    if done.exists():
        print(f"{name}: done before", flush=True)
        return
    print(f"{name}: {stage.about}", flush=True)
    settings = [*stage.set, *args.overrides]
    if stage.origin:
        settings += ["--init", str(args.output / stage.origin / "model")]
    if stage.partial:
        settings.append("--init-partial")
    call = [sys.executable, "-c", TRAIN, "train", str(args.recipe), "-o", str(folder), *settings]
    status = finished(call)
    if status:
        sys.exit(status)
    done.touch()


def finished(call: list[str]) -> int:
    """Runs a program and returns its exit status; told to stop, it waits until that has stopped.

    Ctrl-C reaches the whole group by itself, SIGTERM is passed on.
    """
    with subprocess.Popen(call) as process:
        handlers = {signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: lambda *_: process.terminate()}
        before = {sign: signal.signal(sign, handler) for sign, handler in handlers.items()}
        status = process.wait()
    for sign, handler in before.items():
        signal.signal(sign, handler)
    return status


if __name__ == "__main__":
    main()
