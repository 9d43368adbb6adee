"""`asr evaluate`: the error rate of a model on a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asr.cli import options
from asr.cli.console import DONE, SOME_FAILED, Console
from asr.cli.load import check_model, note_chunks, open_model
from asr.cli.progress import progress
from asr.strict_json import strict_json
from asr.transcribe.files.jobs import check_output

if TYPE_CHECKING:
    from asr.evaluate.classes import Known
    from asr.evaluate.corpus import ReferenceUtterance
    from asr.evaluate.report.sound import Mode
    from asr.evaluate.scoring import Scoring, ScoringName


@click.command()
@click.argument("manifest", type=click.Path(path_type=Path))
@options.search_options
@click.option(
    "--chunk-ms",
    type=click.FloatRange(min=0, min_open=True),
    metavar="C",
    help="Let the encoder see chunks of so many milliseconds, as in a stream; models that cannot "
    "stream are slower so.  [default: whole utterances]",
)
@click.option(
    "--manifest-fields",
    is_flag=True,
    help="Decode each utterance with the language and the prompt fields that the manifest names; "
    "--language and --field override them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "-o",
    "--output",
    callback=options.path,
    metavar="FILE",
    help="Write each utterance with its errors to this file, as JSON lines (asr compare).",
)
@click.option(
    "--vocabulary",
    callback=options.path,
    metavar="FILE",
    help="A training text or manifest: words that are not in it are counted apart.",
)
@click.option(
    "--html",
    callback=options.path,
    metavar="FILE",
    help="Write a page with aligned errors, charts and players to this file.",
)
@options.html_audio
@options.html_limit
@options.normalizer
@options.quiet
@click.pass_obj
def evaluate(
    console: Console,
    manifest: Path,
    model: str | None,
    device: str,
    manifest_fields: bool,
    as_json: bool,
    output: Path | None,
    vocabulary: Path | None,
    html: Path | None,
    html_audio: Mode,
    html_limit: float,
    normalizer: ScoringName,
    lm: str | None,
    no_lm: bool,
    batch_seconds: float | None,
    **choices: Any,
) -> int:
    """Measure the error rate of a model on a manifest.

    MANIFEST has a line of JSON for each recording: {"audio_filepath": "a.wav", "text": "hello"};
    other forms of corpora are read where asr[train] is installed. References and hypotheses go
    through one normaliser before they are compared, so case, punctuation and digits do not count;
    where a model writes them, the error rates of the text as written are given too. Rates in JSON
    are fractions. What the figures mean is in docs/evaluation.md.

    Exit status: 0 done, 1 some audio could not be used (it is listed, and in no count), 2 the call
    is wrong, 130 interrupted.
    """
    asked = options.transcribe_options(choices, no_lm)
    check_model(model, lm, no_lm)
    for option, path in (("-o", output), ("--html", html)):
        check_output(option, path)
    from asr.atomic import write_atomic
    from asr.cli.evaluation_tables import summary
    from asr.evaluate.breakdown import breakdown
    from asr.evaluate.corpus import total_seconds
    from asr.evaluate.evaluation import evaluate as measure
    from asr.evaluate.evaluation import scoring_of
    from asr.evaluate.report.page import evaluation_page
    from asr.evaluate.report.sound import Sounds
    from asr.evaluate.results import Results, result_lines

    utterances = _utterances(console, manifest, normalizer, vocabulary)
    recognizer = open_model(console, model, device, lm, no_lm)
    note_chunks(console, recognizer, asked)
    scoring = scoring_of(recognizer, utterances, asked, normalizer)
    known = _known(scoring, vocabulary)
    with progress(None, total_seconds(utterances), console.quiet) as shown:
        evaluation = measure(
            recognizer,
            utterances,
            scoring=scoring,
            manifest_fields=manifest_fields,
            batch_seconds=batch_seconds,
            progress=shown.decoded,
            options=asked,
        )
    for name, error in evaluation.failed.items():
        console.say(f"{name}: not counted: {error}")
    parts = breakdown(evaluation.scored, known)
    try:
        if output is not None:
            write_atomic(output, result_lines(Results(evaluation.scored, evaluation.normalizer)))
        if html is not None:
            title = f"{recognizer.name} on {manifest.stem}"
            sounds = Sounds(html_audio, html, round(html_limit * 1e6))
            write_atomic(html, evaluation_page(evaluation, parts, known, title, sounds))
    finally:  # a disk that is full by now must not cost the result as well
        if as_json:
            values = evaluation.to_dict() | parts.to_dict()
            console.print(strict_json(values, indent=2) + "\n")
        else:
            console.print(summary(evaluation, parts, recognizer.name))
    return SOME_FAILED if evaluation.failed else DONE


def _utterances(
    console: Console, manifest: Path, normalizer: ScoringName, vocabulary: Path | None
) -> list[ReferenceUtterance]:
    """Reads the manifest; checks before it what else can be wrong with the call."""
    from asr.evaluate.corpus import read_utterances
    from asr.evaluate.scoring import check_scoring
    from asr.evaluate.vocabulary import check_vocabulary

    check_scoring(normalizer)
    if vocabulary is not None:
        check_vocabulary(vocabulary)
    with console.working(f"reading {manifest}"):
        return read_utterances(manifest)


def _known(scoring: Scoring, vocabulary: Path | None) -> Known:
    """What is known of words, such as those of the vocabulary, to tell kinds of errors by."""
    from asr.evaluate.classes import Known
    from asr.evaluate.scoring import build_normalizer
    from asr.evaluate.vocabulary import read_vocabulary

    words = read_vocabulary(vocabulary, build_normalizer(scoring)) if vocabulary else None
    return Known.of(scoring.language, words)
