"""`asr calibrate`: fits the maps of word confidence of a model."""

from __future__ import annotations

from pathlib import Path

import click

from asr.cli import options
from asr.cli.console import DONE, SOME_FAILED, Console
from asr.cli.load import check_model, local_model
from asr.cli.progress import progress
from asr.folders import CONFIG
from asr.strict_json import strict_json


@click.command()
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option(
    "-m",
    "--model",
    required=True,
    callback=options.path,
    metavar="FOLDER",
    help="Model folder; its config.yaml gets the map.",
)
@options.device
@options.batch_seconds
@options.quiet
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def calibrate(
    console: Console,
    manifest: Path,
    model: Path,
    device: str,
    batch_seconds: float | None,
    as_json: bool,
) -> int:
    """Fit how sure a model is of its words, so that they have a confidence.

    MANIFEST is speech with transcripts that the model was not trained on, as asr evaluate takes
    it; a few hundred words at least. One half of its speakers is fitted on, the other half is
    what the printed calibration error is measured on. A model that carries a language model is
    measured with it and without it.

    Exit status: 0 done, 1 there is too little speech, or some audio could not be used (it is
    listed, the map was fitted on the others), 2 the call is wrong, 130 interrupted.
    """
    folder = local_model(model)
    check_model(folder)
    from asr.evaluate.corpus import read_utterances, total_seconds

    with console.working(f"reading {manifest}"):
        utterances = read_utterances(manifest)
    with console.working("loading libraries"):
        from asr.evaluate.calibration import calibrate_model, keep_maps

        options.leave_cores_free()
    seconds = total_seconds(utterances)
    if seconds is not None and (folder / "lm" / CONFIG).is_file():
        seconds *= 2  # decoded with it, and without
    with progress(None, seconds, console.quiet) as bar:
        result = calibrate_model(
            folder, utterances, device, batch_seconds=batch_seconds, progress=bar.decoded
        )
    keep_maps(folder, result.maps)
    for name, error in result.failed.items():
        console.say(f"{name}: left out: {error}")
    status = SOME_FAILED if result.failed else DONE
    if as_json:
        values = {
            name: {**fit.map.facts, "groups": fit.groups} for name, fit in result.maps.items()
        }
        console.print(strict_json(values, indent=2) + "\n")
        return status
    for name, fit in result.maps.items():
        judged = fit.judged
        auc = "" if judged.auc is None else f", AUC {judged.auc:.3f}"
        console.print(
            f"{name.replace('_lm', ' language model')}: fitted on {fit.fitted} words; on "
            f"{judged.words} of other {fit.groups}, {judged.right:.1%} of them right, the "
            f"calibration error is {judged.ece:.3f}{auc}\n"
        )
    return status
