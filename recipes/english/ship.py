"""Makes the shipped model of a trained one: 16-bit weights, measured on every dev set, with a card.

    python recipes/english/ship.py recipes/english/exp/more/model --lm recipes/english/exp/ngram/lm

The figures in the card are those of the written folder, not of the one it was made from. What the
dev sets were heard as tells, too, how sure the model may be of its words: the maps of confidence
are fitted anew. Needs what prepare.py wrote to recipes/english/data.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from card import card
from measure import measure

from asr.evaluate.calibration import keep_maps
from asr.folders import SHIPPED
from asr.model.folder import load_speech_model, save_model_folder

HERE = Path(__file__).parent
PICTURES = ("curves.png", "attention.png")


def main() -> None:
    """Reads the command line, writes the folder, measures it, writes it again with its card."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, help="the model folder that training made")
    parser.add_argument("-o", "--output", type=Path, default=SHIPPED)
    parser.add_argument("--lm", type=Path, help="a language model with its weights (tune_search)")
    parser.add_argument("--data", type=Path, default=HERE / "data", help="of prepare.py")
    parser.add_argument("--beam", type=int, default=None, help="saved as the search's default")
    parser.add_argument("--ctc-weight", type=float, default=None, help="saved likewise")
    parser.add_argument("--jobs", type=int, default=2, help="measurements at the same time")
    args = parser.parse_args()
    search = {"beam": args.beam, "ctc_weight": args.ctc_weight}
    search = {name: value for name, value in search.items() if value is not None}
    write(args.model, args.output, search, "", {}, args.lm)
    report = measure(args.output, args.data, args.jobs)
    facts = {"dev_wer": {one.name: round(one.wer, 4) for one in report.sets}}
    write(args.model, args.output, search, card(args.output, args.data, report), facts, args.lm)
    keep_maps(args.output, report.confidence)
    print((args.output / "README.md").read_text(encoding="utf-8"))


def write(
    source: Path,
    target: Path,
    search: dict[str, Any],
    text: str,
    facts: dict[str, Any],
    lm: Path | None,
) -> None:
    """Writes `target` from the trained folder `source` and the language model's folder `lm`."""
    loaded = load_speech_model(source)
    with tempfile.TemporaryDirectory() as scratch:
        for name in PICTURES:
            if (source / "training" / name).exists():
                shutil.copy(source / "training" / name, scratch)
        recipe = (source / "training" / "recipe.yaml").read_text(encoding="utf-8")
        # where this checkout lies helps nobody else
        recipe = recipe.replace(f"{HERE.parents[1].resolve()}/", "")
        (Path(scratch) / "recipe.yaml").write_text(recipe, encoding="utf-8")
        save_model_folder(
            target,
            loaded.model,
            loaded.tokenizer,
            name="english",
            normalizer=loaded.config.normalizer,
            card=text,
            search={**loaded.config.search, **search},
            facts={**loaded.config.facts, **facts},
            training=Path(scratch),
            dtype="float16",
        )
    if lm is not None:  # the folder was written anew, without it
        shutil.copytree(lm, target / "lm")


if __name__ == "__main__":
    main()
