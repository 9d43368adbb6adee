"""The model of a run, finished or not, as it is handed back: a folder with 16-bit weights.

python recipes/english/handing.py RUN_FOLDER TARGET     # of the last checkpoint
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from asr.config import parse
from asr.model import SpeechModel
from asr.model.folder import load_speech_model, save_model_folder
from asr.text import load_tokenizer
from asr.train.checkpoint import LAST, load_checkpoint
from asr.train.recipe import Recipe
from asr.train.resume import PREPARED

CLI = "from asr.cli.main import main; main()"


def main() -> None:
    """Reads the command line."""
    so_far(Path(sys.argv[1]), Path(sys.argv[2]))


def so_far(run: Path, target: Path) -> None:
    """Writes the averaged weights of a run's last checkpoint as the model folder `target`."""
    if not (run / "checkpoints" / LAST).exists():
        sys.exit(f"{run}: no checkpoint yet")
    state = load_checkpoint(run / "checkpoints" / LAST)
    recipe = parse(Recipe, state["recipe"], str(run))
    tokenizer = load_tokenizer(run / "checkpoints" / PREPARED)
    model = SpeechModel(recipe.model, tokenizer.size)
    weights = state["state_dict"].items()
    model.load_state_dict({name.removeprefix("model."): value for name, value in weights})
    if state["ema"] is not None:
        model.load_state_dict(state["ema"]["weights"], strict=False)
    position = state["run"]
    save_model_folder(
        target,
        model,
        tokenizer,
        name="english",
        normalizer=recipe.normalizer,
        card=f"# english\n\nAs it was after step {position['step']}; not measured.\n",
        facts={"steps": position["step"]},
        dtype="float16",
    )
    print(f"step {position['step']}, {position['audio_seconds'] / 3600:.0f} hours heard")


def sixteen_bits(source: Path, target: Path) -> None:
    """Writes the model folder `source` as `target`, with half the bytes."""
    loaded = load_speech_model(source)
    card = (source / "README.md").read_text(encoding="utf-8")
    save_model_folder(
        target,
        loaded.model,
        loaded.tokenizer,
        name=loaded.config.name,
        normalizer=loaded.config.normalizer,
        card=card,
        search=loaded.config.search,
        facts=loaded.config.facts,
        training=source / "training",
        dtype="float16",
    )


def measure(model: Path, manifest: Path, figures: Path) -> None:
    """Adds what `asr evaluate` finds on a dev set to a JSON file, unless it is there."""
    known = json.loads(figures.read_text()) if figures.exists() else {}
    if manifest.stem in known:
        return
    command = [sys.executable, "-c", CLI, "evaluate", "-m", str(model), str(manifest), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    found = json.loads(done.stdout) if done.stdout else {"failed": done.returncode}
    known[manifest.stem] = found
    figures.write_text(json.dumps(known, indent=2) + "\n")
    print(f"{manifest.stem}: {found.get('wer', 'not measured')} WER", flush=True)


if __name__ == "__main__":
    main()
