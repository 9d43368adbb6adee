"""`asr compare`: two systems on the same utterances."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asr.cli import options
from asr.cli.console import DONE, SOME_FAILED, Console
from asr.cli.progress import progress
from asr.cli.tables import WIDTH, between
from asr.errors import OutputError
from asr.evaluate.error_rate import percent

if TYPE_CHECKING:
    from asr.evaluate.comparison import Comparison, Pair
    from asr.evaluate.interval import Interval
    from asr.evaluate.report.sound import Mode
    from asr.evaluate.results import Results

#: Utterances of each kind that are shown.
SHOWN = 5


@click.command()
@click.argument("first", type=click.Path(path_type=Path), metavar="A")
@click.argument("second", type=click.Path(path_type=Path), metavar="B")
@click.option(
    "--manifest",
    callback=options.path,
    metavar="FILE",
    help="Where A or B is a model folder: what to measure it on.",
)
@options.device
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--show",
    type=click.IntRange(min=0),
    default=SHOWN,
    show_default=True,
    metavar="N",
    help="Utterances of each kind, better and worse, that are shown.",
)
@click.option(
    "--html",
    callback=options.path,
    metavar="FILE",
    help="Write a page with what changed to this file.",
)
@options.html_audio
@options.html_limit
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
) -> int:
    """Tell whether one of two systems is better, how sure that is, and what changed.

    A and B are what asr evaluate -o wrote, of the same manifest; or model folders, with
    --manifest. The test is the matched-pairs sentence-segment word error test (MAPSSWE, Gillick and
    Cox 1989); the interval of the difference is by bootstrap over speakers.

    Exit status: 0 done, whatever is better, 1 the two are not of the same utterances or not of one
    language, or some audio could not be used (it is listed, and in no count), 2 the call is wrong,
    130 interrupted.
    """
    from asr.evaluate.comparison import compare as compared
    from asr.evaluate.report.page import comparison_page
    from asr.evaluate.report.sound import Sounds
    from asr.whole import check_writable, write_whole

    if html is not None:
        if html.is_dir():
            raise OutputError(f"{html}: a folder; name a file with --html")
        check_writable(html.parent)

    if manifest is None and (first.is_dir() or second.is_dir()):
        raise click.UsageError("a model folder needs --manifest, to be measured on")
    if manifest is not None and not (first.is_dir() or second.is_dir()):
        raise click.UsageError("--manifest is for model folders, and neither A nor B is one")
    failed: dict[str, str] = {}
    sides = [_results(place, manifest, device, failed) for place in (first, second)]
    for name, error in failed.items():
        console.say(f"{name}: not counted: {error}")
    found = compared(*(one.without(failed) for one in sides))
    if html is not None:
        title = f"{first.stem} and {second.stem}"
        sounds = Sounds(html_audio, html, round(html_limit * 1e6))
        write_whole(html, comparison_page(found, (first.stem, second.stem), title, sounds))
    if as_json:
        console.print(json.dumps(found.to_dict(), ensure_ascii=False, indent=2) + "\n")
    else:
        console.print(_table(found, first, second, show))
    return SOME_FAILED if failed else DONE


def _results(place: Path, manifest: Path | None, device: str, failed: dict[str, str]) -> Results:
    """What stands in a file, or what a model gets wrong on the manifest.

    `failed` is told the ids whose audio cannot be used, and why.
    """
    from asr.evaluate.results import Results, read_results

    if not place.is_dir():
        return read_results(place)
    from asr.evaluate.corpus import read_utterances
    from asr.evaluate.evaluation import evaluate
    from asr.transcribe.recognizer import load_model

    assert manifest is not None
    utterances = read_utterances(manifest)
    options.leave_cores_free()
    recognizer = load_model(place, device)
    with progress(None) as shown:
        found = evaluate(recognizer, utterances, progress=shown.heard)
    failed.update(found.failed)
    return Results(found.scored, found.normalizer)


def _table(found: Comparison, first: Path, second: Path, show: int) -> str:
    width = max(len(str(first)), len(str(second)), 10) + 2
    intervals = found.intervals()
    lines = [f"{'utterances':{width}}{len(found.pairs)}, {found.first.length} words"]
    for place, counts, interval in zip(
        (first, second), (found.first, found.second), intervals, strict=True
    ):
        lines.append(f"{place!s:{width}}WER {percent(counts.rate)}{_spread(interval)}")
    values = found.to_dict()
    if values["difference"] is not None:
        change = f"{100 * values['difference']:+.2f} points"
        spread = _spread(found.difference).replace(" %, 95", " points, 95")
        lines.append(f"{'difference':{width}}{change}{spread}")
    lines += [f"{'test':{width}}{_verdict(found)}", ""]
    better, worse = found.better, found.worse
    lines.append(
        f"{len(better)} utterances are better in B, {len(worse)} worse, {found.rephrased} differ "
        "and have as many errors."
    )
    for name, pairs in (("better", better[:show]), ("worse", worse[:show])):
        if pairs:
            lines.append(f"\nThe {len(pairs)} that became {name} the most:")
        for pair in pairs:
            lines += ["", *_changed(pair)]
    return "\n".join(lines) + "\n"


def _spread(one: Interval | None) -> str:
    if one is None:
        return ""
    return f"  ({between(one.low, one.high)}, 95 %, bootstrap over {one.units})"


def _verdict(found: Comparison) -> str:
    from asr.evaluate.comparison import FEWEST_SEGMENTS, LEVEL

    test = found.test
    side = "B is better" if test.mean < 0 else "A is better"
    said = side if test.significant else f"no significant difference at {LEVEL:g}"
    few = "; too few segments to rely on" if test.segments < FEWEST_SEGMENTS else ""
    return f"{said}: MAPSSWE p = {test.p:.3g} (z = {test.z:.2f}, {test.segments} segments{few})"


def _changed(pair: Pair) -> list[str]:
    """Reference and both hypotheses, one word below the other."""
    from asr.evaluate.comparison import side_by_side

    lines = [f"{pair.first.id}: {pair.first.words.errors} errors, now {pair.second.words.errors}"]
    for block in _blocks(side_by_side(pair), shutil.get_terminal_size((WIDTH, 24)).columns - 8):
        widths = [max(map(len, column)) for column in block]
        for row, name in enumerate(("said", "A", "B")):
            cells = (column[row].ljust(width) for column, width in zip(block, widths, strict=True))
            lines.append(f"  {name:6}{' '.join(cells)}".rstrip())
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
