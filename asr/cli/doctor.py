"""`asr doctor`: what works here, what does not, and what to do about it."""

from __future__ import annotations

import click

from asr.cli import options
from asr.cli.console import DONE, SOME_FAILED, Console, printable
from asr.cli.load import local_model
from asr.health import HealthCheck, examine
from asr.strict_json import strict_json


@click.command()
@click.option(
    "-m",
    "--model",
    callback=options.not_empty,
    shell_complete=options.a_folder,
    metavar="FOLDER|NAME",
    help="Try this model.  [default: the model that ships]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def doctor(console: Console, model: str | None, as_json: bool) -> int:
    """Tell what works here, what does not, and what to do about it.

    Loads every library that transcribing needs, looks for devices, reads a sound in several
    formats, opens the model and lets it hear a second of noise. Nothing is changed.

    Exit status: 0 recordings can be transcribed here, 1 they cannot.
    """
    place = None if model is None else str(local_model(model))
    with console.working("trying everything out"):
        checks = list(examine(place))
    works = all(check.status != "wrong" for check in checks)
    if as_json:
        values = {"works": works, "findings": [_values(check) for check in checks]}
        console.print(strict_json(values, indent=2) + "\n")
    else:
        console.print(_report(checks, works))
    return DONE if works else SOME_FAILED


def _values(check: HealthCheck) -> dict[str, str]:
    """A check in JSON."""
    return {
        "topic": check.topic,
        "name": check.name,
        "status": check.status,
        "told": check.message,
    }


def _report(checks: list[HealthCheck], works: bool) -> str:
    """A line for each check, under the name of its topic."""
    width = max(len(check.name) for check in checks)
    lines: list[str] = []
    topic = ""
    for check in checks:
        if check.topic != topic:
            lines.append(check.topic)
            topic = check.topic
        status = "WRONG" if check.status == "wrong" else check.status
        lines.append(f"  {status:5}  {check.name:{width}}  {printable(check.message)}")
    wrong = sum(check.status == "wrong" for check in checks)
    verdict = (
        "Recordings can be transcribed here."
        if works
        else f"Recordings cannot be transcribed here: see {wrong} marked WRONG above."
    )
    return "\n".join([*lines, "", verdict, ""])
