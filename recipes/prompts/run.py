"""Trains the model with prompts and the one without, measures both and writes RESULTS.md.

    python recipes/prompts/prepare.py FOLDER
    python recipes/prompts/run.py [--limit 60]

The runs end in exp/with and exp/without. What is done is not done again, and a training that was
interrupted goes on: give the same command. `--limit` is how many utterances of each dev set are
decoded.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from asr.atomic import write_atomic
from recipes.prompts.report import BEAM, Decoded, Measured, write_results

HERE = Path(__file__).parent
ENGLISH = HERE.parents[1] / "asr" / "pretrained" / "english"
OVERRIDES = {"with": (), "without": ("prompts={}",)}
STYLES = ("plain", "punctuated")
LANGUAGES = ("en", "fr")
CTC_WEIGHTS = (0.3, 0.0)


def main() -> None:
    """Reads the command line, and does what is not done yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--limit", type=int, default=60, help="utterances of each dev set")
    args = parser.parse_args()
    from asr.train.recipe import load_recipe

    seconds = {name: trained(name) for name in OVERRIDES}
    results = [measured(name, asked, args.limit) for name in OVERRIDES for asked in questions(name)]
    recipe = load_recipe(HERE / "prompts.yaml")
    write_results(HERE / "RESULTS.md", results, seconds, recipe, args.limit)


def questions(name: str) -> list[dict[str, Any]]:
    """What a model is asked for: the language (`named`, `detected`, `wrong`), style and weight."""
    if name == "without":
        return [{"ctc_weight": weight} for weight in CTC_WEIGHTS]
    named = [
        {"language": "named", "style": style, "ctc_weight": weight}
        for style in STYLES
        for weight in CTC_WEIGHTS
    ]
    others = [
        {"language": language, "style": "punctuated", "ctc_weight": CTC_WEIGHTS[0]}
        for language in ("detected", "wrong")
    ]
    return named + others


def trained(name: str) -> float:
    """Trains a model, or goes on with it; the seconds of processor time that it took."""
    from asr.train.recipe import load_recipe
    from asr.train.run import Start, train

    folder = HERE / "exp" / name
    spent = folder / "trained.json"
    values = json.loads(spent.read_text()) if spent.exists() else {"seconds": 0.0, "done": False}
    if not values["done"]:
        recipe = load_recipe(HERE / "prompts.yaml", OVERRIDES[name])
        began = time.process_time()
        try:
            ended = train(recipe, folder, Start(init=ENGLISH, init_partial=True)).ended
            values["done"] = ended != "interrupted"
        finally:
            values["seconds"] += time.process_time() - began
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(spent, json.dumps(values))
        if not values["done"]:
            sys.exit("interrupted; the same command goes on from here")
    return float(values["seconds"])


def measured(name: str, asked: dict[str, Any], limit: int) -> Measured:
    """Decodes the dev sets as asked, or reads what they were decoded to."""
    key = "-".join(map(str, [*asked.values(), limit]))
    path = HERE / "exp" / name / "decoded" / f"{key}.json"
    if not path.exists():
        decoded = [one for language in LANGUAGES for one in decode(name, language, asked, limit)]
        write_atomic(path, json.dumps(decoded, ensure_ascii=False, indent=1))
    lines = json.loads(path.read_text(encoding="utf-8"))
    return Measured(name, asked, tuple(Decoded(**line) for line in lines))


def decode(name: str, language: str, asked: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    """The utterances of one dev set with what the model writes, as values of `Decoded`."""
    from asr.evaluate.corpus import read_utterances
    from asr.transcribe.recognizer import load_model
    from asr.types import Transcript

    recognizer = load_model(HERE / "exp" / name / "model", "cpu")
    utterances = read_utterances(HERE / "data" / "dev" / f"{language}.jsonl")[:limit]
    options: dict[str, Any] = {"beam": BEAM, "ctc_weight": asked["ctc_weight"]}
    if name == "with":
        [other] = [code for code in LANGUAGES if code != language]
        codes = {"named": language, "detected": "auto", "wrong": other}
        options |= {"language": codes[asked["language"]], "fields": {"style": asked["style"]}}
    results = recognizer.transcribe_many([Path(str(one.audio)) for one in utterances], **options)
    return [
        {
            "language": language,
            "reference": utterance.text,
            "hypothesis": result.text,
            "detected": sorted({str(segment.language) for segment in result.segments}),
        }
        for utterance, (_, result) in zip(utterances, results, strict=True)
        if isinstance(result, Transcript)
    ]


if __name__ == "__main__":
    main()
