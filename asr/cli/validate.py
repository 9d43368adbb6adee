"""`asr validate`: check a corpus before training on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from asr.cli import options
from asr.cli.console import DONE, SOME_FAILED, WRONG_CALL, Console, printable
from asr.cli.progress import progress
from asr.dependencies import need
from asr.evaluate.error_rate import number_of
from asr.strict_json import strict_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from asr.data.corpus_checks import CorpusFinding
    from asr.data.validate import ValidationReport

#: Findings of a kind that are printed without --all.
_SHOWN = 10


@click.command()
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--tokenizer",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Tokenizer or model folder: check that it can write every text.",
)
@click.option(
    "--no-normalize", is_flag=True, help="Check the texts as they are, without the normaliser."
)
@click.option(
    "--against",
    metavar="MANIFEST",
    type=click.Path(path_type=Path),
    help="Another corpus (the dev set) that must share no audio with this one.",
)
@options.columns
@click.option(
    "--frames-per-second",
    type=click.FloatRange(min=0, min_open=True),
    default=25.0,
    show_default=True,
    metavar="F",
    help="Frames that the encoder gives: a text must not have more labels.",
)
@click.option("--no-speech", is_flag=True, help="Allow empty texts: nobody speaks.")
@click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N", help="Threads.  [default: one for each core]"
)
@options.quiet
@click.option("--all", "everything", is_flag=True, help="List every problem, however many.")
@click.pass_obj
def validate(
    console: Console,
    manifest: Path,
    as_json: bool,
    tokenizer: Path | None,
    no_normalize: bool,
    against: Path | None,
    columns: dict[str, str],
    frames_per_second: float,
    no_speech: bool,
    jobs: int | None,
    everything: bool,
) -> int:
    """Check a corpus: every line, every recording, every text.

    MANIFEST is JSON lines with audio_filepath, text, duration and speaker; a CSV or TSV table with
    these columns; a Kaldi data folder; Lhotse cuts or a Shar folder; or a folder of audio files
    with a .txt beside each. Nothing is changed.

    Exit status: 0 nothing wrong, 1 problems were found, 2 the call is wrong, 130 interrupted.
    """
    for path in (manifest, against):
        if path is not None and not path.exists():
            console.say(f"{path}: no such file or folder; correct the path")
            return WRONG_CALL
    with console.working(f"reading {manifest}"):
        from asr.data.validate import validate_corpus
        from asr.text import load_tokenizer

        need("lhotse", "train")
    with progress(None, quiet=console.quiet) as bar:
        count = 0

        def start(total: int | None) -> None:
            bar.inputs = total
            bar.show()

        def done(seconds: float) -> None:
            nonlocal count
            count += 1
            bar.decoded(seconds)
            bar.input_done()

        report = validate_corpus(
            manifest,
            tokenizer=load_tokenizer(tokenizer) if tokenizer is not None else None,
            normalise=str if no_normalize else _normalizer(tokenizer),
            against=against,
            columns=columns,
            frames_per_second=frames_per_second,
            no_speech=no_speech,
            jobs=jobs,
            start=start,
            progress=done,
        )
    if as_json:
        console.print(strict_json(report.to_dict(), indent=2) + "\n")
    else:
        console.print(_text(report, None if everything else _SHOWN))
    return DONE if report.clean else SOME_FAILED


def _normalizer(folder: Path | None) -> Callable[[str], str]:
    """That of the model folder, where it is one; else the usual one."""
    from asr.text import TextNormalizer

    if folder is not None and (folder / "config.yaml").exists():
        from asr.model.folder import read_folder_config

        return TextNormalizer(read_folder_config(folder).normalizer)
    return TextNormalizer()


def _text(report: ValidationReport, limit: int | None) -> str:
    """The report for people."""
    from asr.data.histogram import histogram

    lines = [
        f"manifest    {printable(report.manifest)}",
        f"utterances  {report.utterances}",
        f"hours       {report.hours:.2f}",
        f"speakers    {report.speakers or 'not named'}",
    ]
    for title, values in (
        ("seconds an utterance", report.seconds),
        ("characters a second", report.rates),
    ):
        if values:
            lines += ["", title, *(f"  {line}" for line in histogram(values))]
    lines += ["", *_findings(report, limit)]
    return "\n".join(lines) + "\n"


def _findings(report: ValidationReport, limit: int | None) -> list[str]:
    from asr.data.corpus_checks import KINDS

    counts = report.counts()
    lines: list[str] = []
    for kind, (title, unfit) in KINDS.items():
        if counts[kind]:
            mark = "problem" if unfit else "look at"
            findings = [finding for finding in report.findings if finding.kind == kind]
            lines += [f"{mark}: {title}: {counts[kind]}", *_rows(findings, limit), ""]
    if not lines:
        return ["nothing wrong"]
    bad = sum(counts[kind] for kind, (_, unfit) in KINDS.items() if unfit)
    others = number_of(sum(counts.values()) - bad, "thing")
    return [*lines, f"{number_of(bad, 'problem')}, {others} to look at"]


def _rows(findings: list[CorpusFinding], limit: int | None) -> list[str]:
    kept = findings if limit is None else findings[:limit]
    wide = min(40, max(len(printable(finding.id)) for finding in kept))
    rows = [
        f"  {printable(finding.id):<{wide}}{'  ' if wide else ''}{printable(finding.detail)}"
        for finding in kept
    ]
    rest = len(findings) - len(kept)
    return [*rows, f"  ... and {rest} more (--all lists them)"] if rest else rows
