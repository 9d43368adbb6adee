"""`asr evaluate`: the error rate of a model on a manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asr.cli import options
from asr.cli.console import DONE, SOME_FAILED, Console
from asr.cli.progress import progress
from asr.errors import OutputError

if TYPE_CHECKING:
    from asr.evaluate.error_rate import Scored
    from asr.evaluate.evaluation import Evaluation


@click.command()
@click.argument("manifest", type=click.Path(path_type=Path))
@options.search_options
@click.option(
    "--chunk-ms",
    type=click.FloatRange(min=0, min_open=True),
    metavar="C",
    help="Let the encoder see chunks of so many milliseconds, as in a stream.  "
    "[default: whole utterances]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "-o",
    "--output",
    callback=options.path,
    metavar="FILE",
    help="Write each utterance with its errors to this file, as JSON lines.",
)
@click.pass_obj
def evaluate(
    console: Console,
    manifest: Path,
    model: str | None,
    device: str,
    as_json: bool,
    output: Path | None,
    lm: str | None,
    no_lm: bool,
    **search: Any,
) -> int:
    """Measure the error rate of a model on a manifest.

    MANIFEST has a JSON object a line with audio_filepath, duration and text; other forms of
    corpora are read where asr[train] is installed. References and hypotheses are written by the
    model's own normaliser before they are compared. Rates in JSON are fractions.

    Exit status: 0 done, 1 some audio could not be used (it is listed, and in no count), 2 the call
    is wrong, 130 interrupted.
    """
    from asr.evaluate.corpus import read_utterances
    from asr.evaluate.evaluation import evaluate as measure
    from asr.transcribe.recognizer import load_model
    from asr.whole import check_writable, write_whole

    utterances = read_utterances(manifest)
    if output is not None:
        if output.is_dir():
            raise OutputError(f"{output}: a folder; name a file with -o")
        check_writable(output.parent)
    options.leave_cores_free()
    recognizer = load_model(model, device, lm=options.language_model(lm, no_lm))
    with progress(None) as shown:
        found = measure(recognizer, utterances, progress=shown.heard, **search)
    for name, error in found.failed.items():
        console.say(f"{name}: not counted: {error}")
    try:
        if output is not None:
            write_whole(output, "".join(_line(one) for one in found.scored))
    finally:  # a disk that is full by now must not cost the result as well
        if as_json:
            console.print(json.dumps(found.to_dict(), ensure_ascii=False, indent=2) + "\n")
        else:
            console.print(_table(found, recognizer.name))
    return SOME_FAILED if found.failed else DONE


def _line(one: Scored) -> str:
    values = {
        "id": one.id,
        "reference": one.reference,
        "hypothesis": one.hypothesis,
        "errors": one.words.errors,
        "words": one.words.length,
        "substitutions": one.words.substitutions,
        "deletions": one.words.deletions,
        "insertions": one.words.insertions,
        "wer": one.words.rate,
        "cer": one.characters.rate,
    }
    return json.dumps(values, ensure_ascii=False) + "\n"


def _table(found: Evaluation, model: str) -> str:
    """The result for people: rates first, then where it goes wrong."""
    words = found.words
    values = found.to_dict()
    lines = [
        f"model       {model}",
        f"utterances  {len(found.scored)}, {found.audio_seconds / 60:.1f} minutes"
        + (f", {len(found.failed)} not counted" if found.failed else ""),
        f"WER         {_percent(values['wer'])}: {words.errors} errors in {words.length} words "
        f"({words.substitutions} substitutions, {words.deletions} deletions, "
        f"{words.insertions} insertions)",
        *_sure(found),
        f"CER         {_percent(values['cer'])}",
        "speed       " + (f"{found.rtf:.3f} s for each second of sound" if found.rtf else "-"),
    ]
    worst = found.worst()
    if worst:
        lines.append(f"\nThe {len(worst)} utterances with the most errors:")
    for one in worst:
        lines += [f"\n{one.id}: {one.words.errors} errors in {one.words.length} words"]
        lines += [f"  said   {one.reference}", f"  heard  {one.hypothesis}"]
    return "\n".join(lines) + "\n"


def _sure(found: Evaluation) -> list[str]:
    """The interval, where there is one."""
    one = found.interval
    if one is None:
        return []
    return [
        f"            {_percent(one.low)} to {_percent(one.high)} "
        f"(95 % interval, bootstrap over {one.units})"
    ]


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.2f} %"
