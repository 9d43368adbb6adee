"""Installs each extra alone into a fresh environment, and runs there what the extra is for.

    python tools/check_extras.py [EXTRA ...] [--folder FOLDER]      # `none` is the package alone

Takes minutes and gigabytes, as pip downloads torch; `make test-extras` calls it. The fast form,
which installs nothing, is tests/test_extras.py: it runs the same commands.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
RATE = 16000
RECIPE = {
    "data": {
        "train": "data.jsonl",
        "dev": "data.jsonl",
        "leakage": "allow",
        "batch_seconds": 30,
        "workers": 0,
    },
    "model": {
        "frontend": {"sample_rate": RATE, "mels": 40},
        "encoder": {"type": "conformer", "layers": 1, "dim": 16, "heads": 2, "ff": 16, "kernel": 3},
        "decoder": {"type": "transformer", "layers": 1, "dim": 16, "heads": 2, "ff": 16},
    },
    "tokenizer": {"type": "char"},
    "training": {"max_steps": 2, "accelerator": "cpu", "precision": "32", "threads": 1},
    "validation": {"decode": 1, "show": 1},
}


@dataclass(frozen=True)
class Command:
    """What an extra is for.

    Attributes:
        program: `asr`, or a script of this repository, as `tools/simulate_rooms.py`.
        arguments: of the program.
        output: a file that it writes, if it does.
        allowed: an error message with this in it is right, too: the machine lacks what no
            installation brings.
    """

    program: str
    arguments: tuple[str, ...]
    output: Path | None = None
    allowed: str | None = None


def commands(folder: Path) -> dict[str, Command]:
    """The command of each extra by the extra's name, and of the package alone as `none`.

    Writes the data that they need into `folder`, which must exist.
    """
    recipe = _write_corpus(folder)
    recording = str(REPOSITORY / "samples" / "unscrewing.m4a")
    transcript, model, rooms = folder / "text", folder / "run", folder / "rooms"
    message, scored = folder / "message", folder / "scored.jsonl"
    return {
        "none": Command(
            "asr",
            ("transcribe", recording, "--device", "cpu", "-o", str(transcript)),
            transcript / "unscrewing.txt",
        ),
        "train": Command(
            "asr", ("train", str(recipe), "-o", str(model)), model / "model" / "model.safetensors"
        ),
        "mic": Command("asr", ("stream", "--list-inputs"), allowed="PortAudio library not found"),
        "hub": Command(str(_write_fetcher(folder)), (str(message),), message),
        "rooms": Command(
            "tools/simulate_rooms.py",
            ("-o", str(rooms), "--count", "1"),
            rooms / "simulated-0-00000.flac",
        ),
        "scoring": Command(
            "asr",
            (
                *("evaluate", str(folder / "data.jsonl"), "--device", "cpu", "--beam", "1"),
                *("--normalizer", "whisper", "-o", str(scored)),
            ),
            scored,
        ),
    }


def _write_fetcher(folder: Path) -> Path:
    """A program that looks for a published model in an empty cache, and may not fetch it."""
    program = folder / "fetch.py"
    program.write_text(
        "import os, pathlib, sys\n"
        f"os.environ |= {{'HF_HUB_OFFLINE': '1', 'HF_HUB_CACHE': {str(folder / 'cache')!r}}}\n"
        "from asr.errors import ModelError\n"
        "from asr.folders import model_folder\n"
        "try:\n"
        "    model_folder('whisper-tiny.en')\n"
        "except ModelError as error:\n"
        "    pathlib.Path(sys.argv[1]).write_text(str(error))\n",
        encoding="utf-8",
    )
    return program


def fault(command: Command, result: subprocess.CompletedProcess[str]) -> str | None:
    """Why a command that has ended did not do what it is for; None where it did."""
    if result.returncode and not (command.allowed and command.allowed in result.stderr):
        return f"ended with {result.returncode}: {result.stderr}"
    if command.output is not None and not command.output.is_file():
        return f"did not write {command.output}: {result.stderr}"
    return None


def main() -> int:
    """Reads the command line, tries the extras; 1 where one of them does not do its job."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help="these; all by default")
    parser.add_argument("--folder", type=Path, help="where to make environments  [temporary]")
    args = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        table = commands(Path(temporary))
        if unknown := set(args.extras) - set(table):
            parser.error(f"no extra {', '.join(sorted(unknown))}; there are {', '.join(table)}")
        for extra in args.extras or table:
            start = time.monotonic()
            problem = check(extra, table[extra], Path(temporary) / f"venv-{extra}")
            failed += problem is not None
            print(f"{extra}: {problem or 'works'} ({time.monotonic() - start:.0f} s)", flush=True)
    return 1 if failed else 0


def check(extra: str, command: Command, environment: Path) -> str | None:
    """Installs the extra into a new environment and runs its command; returns what is wrong."""
    venv.create(environment, with_pip=True)
    binaries = environment / ("Scripts" if sys.platform == "win32" else "bin")
    what = str(REPOSITORY) + ("" if extra == "none" else f"[{extra}]")
    pip = [binaries / "python", "-m", "pip", "install", "--disable-pip-version-check", "-q"]
    if subprocess.run([*pip, what, "-c", REPOSITORY / "constraints.txt"], check=False).returncode:
        return "pip could not install it"
    program = [binaries / "asr"]
    if command.program != "asr":
        program = [binaries / "python", REPOSITORY / command.program]
    result = subprocess.run(
        [*program, *command.arguments],
        cwd=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return fault(command, result)


def _write_corpus(folder: Path) -> Path:
    """Writes eight recordings of noise with a text, and a recipe; returns the recipe's path."""
    noise, lines = np.random.default_rng(0), []
    for number in range(8):
        name = f"{number}.wav"
        soundfile.write(folder / name, noise.normal(0, 0.1, 2 * RATE).clip(-1, 1), RATE)
        lines.append(json.dumps({"audio_filepath": name, "duration": 2.0, "text": "a b c"}))
    (folder / "data.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    return recipe


if __name__ == "__main__":
    sys.exit(main())
