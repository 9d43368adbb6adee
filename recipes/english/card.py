"""The shipped model's card: what it is, what it can do and not, its figures, its sources."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from measure import Interval, Measured, Report

from asr import load_model
from asr.evaluate.error_rate import percent
from asr.model.folder import load_model_folder

#: corpus and licence of each set, by the beginning of its name
SOURCES = {
    "librispeech": ("LibriSpeech (Panayotov et al. 2015)", "CC BY 4.0"),
    "commonvoice": ("Common Voice (Ardila et al. 2020)", "CC0"),
    "speechocean762": ("speechocean762 (Zhang et al. 2021)", "free, commercial use included"),
    "an4": ("CMU AN4", "free (CMU AN4 licence)"),
    "ljspeech": ("LJ Speech (Ito and Johnson 2017)", "public domain"),
    "vctk": ("VCTK (Yamagishi et al. 2019)", "CC BY 4.0"),
    "synthetic": ("tools/synthesise.py (docs/synthetic-speech.md)", "see there"),
    "noise": ("ESC-10 (Piczak 2015), Speech Commands backgrounds (Warden 2018)", "CC BY, CC0"),
}


def card(folder: Path, data: Path, report: Report) -> str:
    """The card of the model folder `folder` as Markdown; `data` is what prepare.py wrote."""
    config = load_model_folder(folder).config
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    found = hours_by_set(folder, data)
    streamed = report.streamed
    paragraphs = [
        "# english",
        f"English speech to text: a Conformer encoder and a Transformer decoder with CTC, "
        f"{config.facts['parameters'] / 1e6:.1f} million parameters in 16 bits "
        f"({size / 1e6:.0f} MB with everything), {config.vocabulary} labels, 16 kHz. "
        "It writes lower case without punctuation, numbers in words.",
        "## What it can do, and what not",
        f"It was trained on {hours(found):.0f} hours of read speech, which is little, and that "
        "shows: see the figures. It spells words by ear that it has not met. It has heard no "
        "conversation and knows no language but English; loud noise and far microphones "
        "make it much worse. Do not rely on it where errors do harm.",
        "To do better with your own recordings, adapt it (docs/finetuning.md); to do better "
        "altogether, train on more speech: recipes/librispeech is made for 100 and 960 hours.",
        "## Figures",
        "Word error rates with 95 % intervals (bootstrap over speakers where they are known, over "
        "utterances elsewhere). Dev sets that nothing was trained on; no speaker who is known by "
        "name is in both. Measured on this folder by `python recipes/english/ship.py`; `asr "
        "evaluate` gives the same:",
        table("set", report.sets),
        f"Search: {settings(load_model(folder).search.model_dump())}.",
        *without_lm(report),
        "dev/librispeech, by the length of utterances:",
        table("length", report.lengths),
        f"{report.noisy[0].utterances} of its utterances with environmental noise over all of "
        "the utterance, by the ratio of speech to noise:",
        table("speech to noise", report.noisy),
        f"The same {streamed.utterances} without noise: {percent(report.whole.wer, 1)}; streamed "
        f"in chunks of {streamed.name}: {percent(streamed.wer, 1)}.",
        "\n".join(
            f"Noise without speech, {name}: {one.silent} of {one.clips} clips give no text."
            for name, one in report.silence.items()
        ),
        *confidence(report),
        *training(found, config.facts),
    ]
    return "\n\n".join(paragraphs) + "\n"


def confidence(report: Report) -> list[str]:
    """How far the confidence of words can be believed."""
    told = [
        f"{name.replace('_lm', ' the language model')} {one.judged.ece:.3f} "
        f"(AUC {one.judged.auc or 0:.3f})"
        for name, one in report.confidence.items()
    ]
    one = next(iter(report.confidence.values()))
    return [
        f"Confidence of words: fitted on {one.fitted} words of half of the dev speakers; on "
        f"{one.judged.words} words of the other half the expected calibration error (15 bins) is "
        f"{', '.join(told)}."
    ]


def without_lm(report: Report) -> list[str]:
    """The figures without the language model, where there is one."""
    if not report.plain:
        return []
    return [
        "These are with the language model in lm/. Without it (`--no-lm`), which is faster:",
        table("set", report.plain),
    ]


def table(first: str, rows: tuple[Measured, ...]) -> str:
    """Error rates as a Markdown table."""
    head = (
        f"| {first} | utterances | hours | word error rate | 95 % interval | character error rate |"
    )
    lines = [head, "|---|---:|---:|---:|---:|---:|"]
    for one in rows:
        cells = [one.name, one.utterances, f"{one.hours:.2f}", percent(one.wer, 1)]
        cells += [between(one.interval), percent(one.cer, 1)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def between(interval: Interval | None) -> str:
    """An interval in per cent."""
    if interval is None:
        return "-"
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %"


def settings(search: dict[str, object]) -> str:
    """Search settings in words."""
    told = {name: value for name, value in search.items() if value is not None}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in told.items())


def training(found: dict[str, float], facts: dict[str, object]) -> list[str]:
    """The part of the card about the data and the run."""
    rows = [f"| {name} | {found[name]:.2f} | {' | '.join(source(name))} |" for name in found]
    head = ["| set | hours | corpus | licence |", "|---|---:|---|---|"]
    return [
        "## Training",
        "The commands are in recipes/english/RESULTS.md; the resolved recipe of the last run is in "
        "training/recipe.yaml.",
        f"{facts['steps']} steps in the last run; the weights are the {facts['weights']}. "
        "Utterances that say a dev sentence were left out. The weights are under the licence of "
        "this package; the recordings are not part of it.",
        "\n".join(head + rows),
        "The language model has read 7.9 million words of 100 English novels of the 19th and early "
        "20th century (public domain) and the transcripts of the sets above; sentences that share "
        "seven words in a row with a dev transcript were left out. It favours the words of books.",
    ]


def hours(found: dict[str, float]) -> float:
    """Hours of recorded speech that were trained on."""
    return sum(one for name, one in found.items() if name not in ("noise", "synthetic"))


def hours_by_set(folder: Path, data: Path) -> dict[str, float]:
    """Hours of each set in the corpora that the last run's recipe names."""
    recipe = yaml.safe_load((folder / "training" / "recipe.yaml").read_text(encoding="utf-8"))
    found: dict[str, float] = {}
    for corpus in recipe["data"]["train"]:
        manifest = data / Path(corpus["manifest"]).name
        for line in manifest.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            found[entry["set"]] = found.get(entry["set"], 0.0) + entry["duration"] / 3600
    return found


def source(name: str) -> tuple[str, str]:
    """Corpus and licence of a set."""
    return next(value for prefix, value in SOURCES.items() if name.startswith(prefix))
