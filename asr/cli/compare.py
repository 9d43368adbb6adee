"""`asr compare`: two systems on the same utterances."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asr.cli import options
from asr.cli.console import DONE, SOME_FAILED, Console
from asr.cli.load import check_model, open_model
from asr.cli.progress import progress
from asr.cli.tables import WIDTH, between, common_folder
from asr.evaluate.error_rate import number_of, percent
from asr.folders import names_model
from asr.strict_json import strict_json
from asr.transcribe.files.jobs import check_output

if TYPE_CHECKING:
    from asr.evaluate.comparison import Comparison, Pair
    from asr.evaluate.corpus import ReferenceUtterance
    from asr.evaluate.interval import Interval
    from asr.evaluate.report.sound import Mode
    from asr.evaluate.results import Results
    from asr.evaluate.scoring import ScoringName

#: Utterances of each kind that are shown.
SHOWN = 5


@click.command()
@click.argument("first", type=click.Path(path_type=Path), metavar="A")
@click.argument("second", type=click.Path(path_type=Path), metavar="B")
@click.option(
    "--manifest",
    callback=options.path,
    metavar="FILE",
    help="Where A or B is a model: what to measure it on.",
)
@options.device
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--show",
    type=click.IntRange(min=0),
    default=SHOWN,
    show_default=True,
    metavar="N",
    help="Utterances of each kind, with fewer errors in B and with more, that are shown.",
)
@click.option(
    "--html",
    callback=options.path,
    metavar="FILE",
    help="Write a page with what changed to this file.",
)
@options.html_audio
@options.html_limit
@options.normalizer
@options.quiet
@click.pass_obj
def compare(
    console: Console,
    first: Path,
    second: Path,
    manifest: Path | None,
    device: str,
    as_json: bool,
    show: int,
    html: Path | None,
    html_audio: Mode,
    html_limit: float,
    normalizer: ScoringName,
) -> int:
    """Tell whether one of two systems is better, how sure that is, and what changed.

    A and B are what asr evaluate -o wrote, of the same manifest; or models, as -m takes them, with
    --manifest. The test is the matched-pairs sentence-segment word error test (MAPSSWE, Gillick and
    Cox 1989); the interval of the difference is by bootstrap over speakers.

    Exit status: 0 done, whatever is better, 1 the two are not of the same utterances or not of one
    language, were scored differently, or some audio could not be used (it is listed, and in no
    count), 2 the call is wrong, 130 interrupted.
    """
    models = [place for place in (first, second) if names_model(place)]
    if manifest is None and models:
        raise click.UsageError("a model needs --manifest, to be measured on")
    if manifest is not None and not models:
        raise click.UsageError("--manifest is for models, and neither A nor B is one")
    if normalizer != "asr" and not models:
        raise click.UsageError(
            "--normalizer is for models; files are compared as asr evaluate scored them"
        )
    for model in models:
        check_model(model)
    check_output("--html", html)
    from asr.atomic import write_atomic
    from asr.evaluate.comparison import compare as compared
    from asr.evaluate.corpus import read_utterances
    from asr.evaluate.report.page import comparison_page
    from asr.evaluate.report.sound import Sounds
    from asr.evaluate.results import read_results
    from asr.evaluate.scoring import check_scoring, difference_of

    check_scoring(normalizer)
    failed: dict[str, str] = {}
    known = {place: read_results(place) for place in (first, second) if place not in models}
    if manifest is not None:
        utterances = read_utterances(manifest)
        for model in models:
            known[model] = _measured(console, model, utterances, device, normalizer, failed)
    sides = [known[place] for place in (first, second)]
    if all(side.normalizer is None for side in sides):
        console.note(
            "neither file says how its texts were written ('normalizer'): they are compared as "
            "they stand"
        )
    for name, error in failed.items():
        console.say(f"{name}: not counted: {error}")
    result = compared(*(side.without(failed) for side in sides))
    if settings := difference_of(*(side.normalizer for side in sides)):
        console.note(f"the two were scored with different settings ({settings})")
    if html is not None:
        title = f"{first.stem} and {second.stem}"
        sounds = Sounds(html_audio, html, round(html_limit * 1e6))
        write_atomic(html, comparison_page(result, (first.stem, second.stem), title, sounds))
    if as_json:
        console.print(strict_json(result.to_dict(), indent=2) + "\n")
    else:
        console.print(_table(result, first, second, show))
    return SOME_FAILED if failed else DONE


def _measured(
    console: Console,
    model: Path,
    utterances: list[ReferenceUtterance],
    device: str,
    normalizer: ScoringName,
    failed: dict[str, str],
) -> Results:
    """What a model gets wrong; ids whose audio cannot be used go to `failed`, with the reason."""
    from asr.evaluate.corpus import total_seconds
    from asr.evaluate.evaluation import evaluate, scoring_of
    from asr.evaluate.results import Results
    from asr.transcribe.options import TranscribeOptions

    recognizer = open_model(console, model, device)
    scoring = scoring_of(recognizer, utterances, TranscribeOptions(), normalizer)
    with progress(None, total_seconds(utterances), console.quiet) as bar:
        evaluation = evaluate(recognizer, utterances, scoring=scoring, progress=bar.decoded)
    failed.update(evaluation.failed)
    return Results(evaluation.scored, evaluation.normalizer)


def _table(result: Comparison, first: Path, second: Path, show: int) -> str:
    places = [f"A: {first}", f"B: {second}"]
    width = max(*map(len, places), 10) + 2
    intervals = result.intervals()
    words = number_of(result.first.length, "word")
    lines = [f"{'utterances':{width}}{len(result.pairs):,}, {words}"]
    both = (result.first, result.second)
    for place, counts, interval in zip(places, both, intervals, strict=True):
        lines.append(f"{place:{width}}WER {percent(counts.rate)}{_spread(interval)}")
    values = result.to_dict()
    if values["difference"] is not None:
        change = f"{100 * values['difference']:+.2f} points"
        spread = _spread(result.difference).replace(" %, 95", " points, 95")
        lines.append(f"{'B - A':{width}}{change}{spread}")
    lines += [f"{'test':{width}}{_verdict(result)}", ""]
    better, worse = result.better, result.worse
    lines.append(
        f"Of {number_of(len(result.pairs), 'utterance')} B has fewer errors in {len(better)}, "
        f"more in {len(worse)}, and as many but others in {result.rephrased}."
    )
    folder = common_folder(pair.first.id for pair in (*better[:show], *worse[:show]))
    if folder:
        lines.append(f"All that are shown are below {folder}")
    for name, pairs in (("fewer", better[:show]), ("more", worse[:show])):
        if pairs:
            lines.append(f"\nWhere B has {name} errors:")
        for pair in pairs:
            lines += ["", *_changed(pair, pair.first.id.removeprefix(folder))]
    return "\n".join(lines) + "\n"


def _spread(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"  ({between(interval.low, interval.high)}, 95 %, bootstrap over {interval.units})"


def _verdict(result: Comparison) -> str:
    from asr.evaluate.comparison import FEWEST_SEGMENTS, LEVEL

    test = result.test
    side = "B is better" if test.mean < 0 else "A is better"
    verdict = side if test.significant else f"no significant difference at {LEVEL:g}"
    few = "; too few segments to rely on" if test.segments < FEWEST_SEGMENTS else ""
    return f"{verdict}: MAPSSWE p = {test.p:.3g} (z = {test.z:.2f}, {test.segments} segments{few})"


def _changed(pair: Pair, name: str) -> list[str]:
    """Reference and both hypotheses, one word below the other."""
    from asr.evaluate.comparison import side_by_side

    errors = number_of(pair.first.words.errors, "error")
    lines = [f"{name}: {errors} in A, {pair.second.words.errors} in B"]
    for block in _blocks(side_by_side(pair), shutil.get_terminal_size((WIDTH, 24)).columns - 8):
        widths = [max(map(len, column)) for column in block]
        for row, who in enumerate(("said", "A", "B")):
            cells = (column[row].ljust(width) for column, width in zip(block, widths, strict=True))
            lines.append(f"  {who:6}{' '.join(cells)}".rstrip())
    return lines


def _blocks(columns: list[tuple[str, str, str]], width: int) -> list[list[tuple[str, str, str]]]:
    """Columns in lines of at most `width`."""
    blocks: list[list[tuple[str, str, str]]] = []
    taken = width
    for column in columns:
        size = max(map(len, column)) + 1
        if taken + size > width:
            blocks.append([])
            taken = 0
        blocks[-1].append(column)
        taken += size
    return blocks
