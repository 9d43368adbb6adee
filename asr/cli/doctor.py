"""`asr doctor`: what works here, what does not, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from asr.cli import options
from asr.cli.console import DONE, SOME_FAILED, Console, printable
from asr.health import HealthCheck, examine


@click.command()
@click.option(
    "-m",
    "--model",
    callback=options.not_empty,
    shell_complete=options.a_folder,
    metavar="FOLDER",
    help="Try this model folder.  [default: the model that ships]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def doctor(console: Console, model: str | None, as_json: bool) -> int:
    """Tell what works here, what does not, and what to do about it.

    Loads every library that transcribing needs, looks for devices, reads a sound in several
    formats, opens the model and lets it hear a second of noise. Nothing is changed.

    Exit status: 0 recordings can be transcribed here, 1 they cannot.
    """
    with console.working("trying everything out"):
        found = list(examine(model))
    works = all(one.status != "wrong" for one in found)
    if as_json:
        values = {"works": works, "findings": [asdict(one) for one in found]}
        console.print(json.dumps(values, ensure_ascii=False, indent=2) + "\n")
    else:
        console.print(_report(found, works))
    return DONE if works else SOME_FAILED


def _report(found: list[HealthCheck], works: bool) -> str:
    """A line for each finding, under the name of its topic."""
    width = max(len(one.name) for one in found)
    lines: list[str] = []
    topic = ""
    for one in found:
        if one.topic != topic:
            lines.append(one.topic)
            topic = one.topic
        status = "WRONG" if one.status == "wrong" else one.status
        lines.append(f"  {status:5}  {one.name:{width}}  {printable(one.told)}")
    wrong = sum(one.status == "wrong" for one in found)
    verdict = (
        "Recordings can be transcribed here."
        if works
        else f"Recordings cannot be transcribed here: see {wrong} marked WRONG above."
    )
    return "\n".join([*lines, "", verdict, ""])
