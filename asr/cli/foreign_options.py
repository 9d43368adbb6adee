"""Options of other speech-to-text programs, and what to use here instead.

The nearest spelling is no help for these: `--threads` would be answered with `--hotwords`.
"""

from __future__ import annotations

import click

#: Option of another program: (the option here that the advice needs, if any; the advice).
#: docs/whisper.md has the same as a table.
FOREIGN_OPTIONS: dict[str, tuple[str | None, str]] = {
    "best-of": (None, "nothing is drawn at random; --beam sets the width of the search"),
    "beam-size": ("--beam", "it is --beam N here"),
    "carry-initial-prompt": (None, "--prompt is given before each segment always"),
    "chunk-length": ("--endpoint", "segments end at pauses: --endpoint max_segment_seconds=N"),
    "compression-ratio-threshold": (None, "loops are prevented always; leave it out"),
    "compute-type": (None, "weights are computed in float32; leave it out"),
    "condition-on-previous-text": (None, "no text is carried between segments; leave it out"),
    "cpu-threads": (None, "set the environment variable OMP_NUM_THREADS=N"),
    "file": (None, "files are named without an option: asr transcribe talk.mp3"),
    "fp16": (None, "weights are computed in float32; leave it out"),
    "hallucination-silence-threshold": (None, "silence is left out always; leave it out"),
    "initial-prompt": ("--prompt", "it is --prompt TEXT here"),
    "input": (None, "files are named without an option: asr transcribe talk.mp3"),
    "lang": ("--language", "it is --language CODE here"),
    "logprob-threshold": (None, "segments are decoded once; leave it out"),
    "max-line-count": ("--subtitles", "it is --subtitles lines=N here"),
    "max-line-width": ("--subtitles", "it is --subtitles line_chars=N here"),
    "model-dir": ("--model", "name the folder of the model: -m FOLDER"),
    "model-size": ("--model", "name the model: -m whisper-small ('asr models' lists them)"),
    "no-speech-threshold": (None, "speech is looked for always; leave it out"),
    "output-dir": ("--output", "it is -o DIR here"),
    "output-file": ("--output", "it is -o DIR here, with a file for each recording"),
    "output-format": ("--formats", "it is -f NAME here, with -o DIR for files: -f srt -o texts"),
    "output-json": ("--formats", "it is -f json here"),
    "output-srt": ("--formats", "it is -f srt here"),
    "output-txt": ("--formats", "it is -f txt here"),
    "output-vtt": ("--formats", "it is -f vtt here"),
    "patience": (None, "--beam sets the width of the search"),
    "print-progress": (None, "progress is shown on a terminal always; -q turns it off"),
    "suppress-tokens": (None, "what the model's own folder suppresses is suppressed"),
    "temperature": (None, "nothing is drawn at random; leave it out"),
    "threads": (None, "set the environment variable OMP_NUM_THREADS=N"),
    "translate": ("--task", "it is --task translate here"),
    "vad-filter": (None, "silence is left out always; leave it out"),
    "verbose": (None, "the text is printed always; -q leaves out notes and progress"),
    "without-timestamps": ("--timestamps", "times inside segments come only with --timestamps"),
    "word-timestamps": ("--formats", "words have times always: -f json"),
}


def advice_for(error: click.NoSuchOption) -> str | None:
    """What to use in place of an unknown option.

    Returns:
        the sentence; None where the option is not one of another program, where what it stands for
        is no option of this command, or where the command does not decode speech.
    """
    command = error.ctx.command if error.ctx else None
    if command is None:
        return None
    if isinstance(command, click.Group):
        return "options follow the command: asr transcribe [OPTIONS] PATH..."
    options = {name for parameter in command.params for name in parameter.opts}
    name = error.option_name.lstrip("-").replace("_", "-").lower()
    needed, advice = FOREIGN_OPTIONS.get(name, (None, None))
    if "--beam" not in options or (needed is not None and needed not in options):
        return None
    return advice
