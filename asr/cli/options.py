"""Options that several commands have, with one meaning and one help text."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from asr.cli.console import Console
from asr.cli.option_types import KeyNumber
from asr.errors import ConfigError, TrainingError

if TYPE_CHECKING:
    from asr.transcribe.options import TranscribeOptions

F = TypeVar("F", bound=Callable[..., Any])


def not_empty(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
    """Refuses an empty path, which would mean the current folder: nobody types one on purpose."""
    if value == "":
        raise click.BadParameter("it is empty; name a path, or leave the option out")
    return value


def path(context: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    """Turns an option's text into a path."""
    text = not_empty(context, parameter, value)
    return None if text is None else Path(text)


def a_file(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Has the shell complete the name of a file."""
    return [CompletionItem(incomplete, type="file")]


def a_folder(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Has the shell complete the name of a folder."""
    return [CompletionItem(incomplete, type="dir")]


def _a_device(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    known = ("auto", "cpu", "cuda")
    return [CompletionItem(name) for name in known if name.startswith(incomplete)]


def _known_device(context: click.Context, _: click.Parameter, value: str) -> str:
    from asr.transcribe.devices import check_device

    check_device(value)
    return value


def _readable_hotwords(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    if not_empty(context, parameter, value) is not None:
        from asr.transcribe.hotwords import check_hotwords

        check_hotwords(str(value))
    return value


def _quiet(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.ensure_object(Console).quiet = value


def _a_checkpoint(context: click.Context, _: click.Parameter, value: str) -> str:
    if value not in ("auto", "never") and not os.path.exists(value):
        raise TrainingError(
            f"--resume {value}: no such file or folder; name a checkpoint or a run's folder"
        )
    return value


def _columns(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> dict[str, str]:
    from asr.data.columns import parse_columns

    try:
        return {} if text is None else parse_columns(text)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from None


def _a_time(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        from asr.config import seconds_of

        try:
            seconds_of(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return value


model = click.option(
    "-m",
    "--model",
    callback=not_empty,
    shell_complete=a_folder,
    metavar="FOLDER|NAME",
    help="Model folder, Whisper checkpoint, or the name of a published model, which is fetched "
    "(asr models lists them).  [default: the model that ships]",
)
device = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="auto|cpu|cuda",
    callback=_known_device,
    shell_complete=_a_device,
    help="auto takes the GPU where there is one.",
)
beam = click.option(
    "--beam",
    # Past the upper end memory runs out long before the text gets better.
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Hypotheses kept by the search; 1 is greedy.  [default: the model's]",
)
ctc_weight = click.option(
    "--ctc-weight",
    type=click.FloatRange(0, 1),
    metavar="W",
    help="Share of CTC in the score; attention has the rest.  [default: the model's]",
)
lm = click.option(
    "--lm",
    callback=not_empty,
    shell_complete=a_folder,
    metavar="FOLDER",
    help="Language model.  [default: the one inside the model folder, if any]",
)
no_lm = click.option("--no-lm", is_flag=True, help="Use no language model.")
lm_weight = click.option(
    "--lm-weight",
    type=click.FloatRange(min=0),
    metavar="W",
    help="How much the language model counts.  [default: that saved with it, or 0.3]",
)
ilm_weight = click.option(
    "--ilm-weight",
    type=click.FloatRange(min=0),
    metavar="W",
    help="How much of the decoder's own idea of the language is taken out.  [default: saved, or 0]",
)
length_reward = click.option(
    "--length-reward",
    type=click.FloatRange(min=0),
    metavar="R",
    help="Added to the score for each label.  [default: saved, or 0]",
)

#: What --fast and --accurate stand for; measured in docs/transcribing.md.
PRESETS: dict[str, dict[str, Any]] = {"fast": {"beam": 4}, "accurate": {"beam": 30}}


def _preset(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    """Makes a preset's values the defaults, so that options that are given stand over them."""
    if not given:
        return
    if context.default_map:
        raise click.UsageError("--fast and --accurate do not go together; give one of them")
    context.default_map = PRESETS[str(parameter.name)]


def _preset_option(name: str, search: str) -> Callable[[F], F]:
    return click.option(
        f"--{name}",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_preset,
        help=f"A {search} search: --beam {PRESETS[name]['beam']}.",
    )


fast = _preset_option("fast", "narrower")
accurate = _preset_option("accurate", "wider")
html_audio = click.option(
    "--html-audio",
    type=click.Choice(["embed", "link", "none"]),
    default="embed",
    show_default=True,
    help="Sound of the page: inside of it, links to the files, or none.",
)
html_limit = click.option(
    "--html-limit",
    type=click.FloatRange(min=0),
    default=20.0,
    show_default=True,
    metavar="MB",
    help="Most sound inside of the page, what has most errors first; the rest is linked.",
)
normalizer = click.option(
    "--normalizer",
    type=click.Choice(["asr", "whisper"]),
    default="asr",
    show_default=True,
    help="Rules that both sides are scored with: small letters and words only, or those that error "
    "rates of Whisper are published with (asr[scoring]).",
)
hotwords = click.option(
    "--hotwords",
    callback=_readable_hotwords,
    metavar="FILE|LIST",
    help="Phrases that are likely to be said: a file with one a line, or a list with commas; "
    "'phrase : 2' counts twice as much.",
)
hotword_weight = click.option(
    "--hotword-weight",
    type=click.FloatRange(min=0),
    metavar="W",
    help="Added to the score for each letter of a hotword.  [default: saved, or 0.5]",
)
language = click.option(
    "--language",
    metavar="CODE|auto",
    help="What is spoken, as fr; auto detects it for each segment.  [default: auto for models that "
    "know several languages]",
)
task = click.option(
    "--task",
    type=click.Choice(["transcribe", "translate"]),
    help="translate: the text is English, whatever is spoken, where the model can.  "
    "[default: transcribe]",
)
prompt = click.option(
    "--prompt",
    metavar="TEXT",
    help="Text that each segment is to follow, for names and style; Whisper models only.",
)
timestamps = click.option(
    "--timestamps",
    is_flag=True,
    default=None,
    help="Cut segments where the model writes times, and take them; Whisper models only.",
)


def _fields(_: click.Context, __: click.Parameter, values: Sequence[str]) -> Any:
    """The values of --field by name; None where it is not given."""
    fields: dict[str, str] = {}
    for value in values:
        name, equals, chosen = value.partition("=")
        if not (name and equals and chosen):
            raise click.BadParameter(f"'{value}' is not NAME=VALUE, as style=plain")
        if name in fields:
            raise click.BadParameter(f"'{name}' is given twice; give it one value")
        fields[name] = chosen
    return fields or None


fields = click.option(
    "--field",
    "fields",
    multiple=True,
    callback=_fields,
    metavar="NAME=VALUE",
    help="A prompt field of the model, as style=plain; may be repeated.  [default: the model's]",
)
columns = click.option(
    "--columns",
    callback=_columns,
    metavar="FIELD=COLUMN,...",
    help="Columns of a table that are called otherwise: audio_filepath=clips/{path},text=sentence.",
)
max_time = click.option(
    "--max-time", metavar="TIME", callback=_a_time, help="Stop cleanly after 90s, 20m or 1h30m."
)
resume = click.option(
    "--resume",
    callback=_a_checkpoint,
    default="auto",
    show_default=True,
    metavar="auto|never|PATH",
    help="Go on from the output folder's last checkpoint, or not, or from another one.",
)
quiet = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_quiet,
    help="Only errors on standard error: no progress, no notes.",
)
batch_seconds = click.option(
    "--batch-seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    help="Seconds of sound decoded together.  [default: suits the device]",
)


def model_options(command: F) -> F:
    """Adds what decides how a model is run: which one, where, for which language, how."""
    words = (hotword_weight, hotwords, length_reward, ilm_weight, lm_weight, no_lm, lm)
    asked = (timestamps, prompt, fields, task, language)
    for option in (*words, ctc_weight, beam, *asked, device, model):
        command = option(command)
    return command


def search_options(command: F) -> F:
    """Adds `model_options`, presets of them, and how much is decoded together."""
    return model_options(fast(accurate(batch_seconds(command))))


def lm_argument(lm: str | None, no_lm: bool) -> str | bool | None:
    """What --lm and --no-lm mean to `load_model`."""
    if lm is not None and no_lm:
        raise click.UsageError("--lm and --no-lm do not go together; give one of them")
    return False if no_lm else lm


def transcribe_options(choices: dict[str, Any], no_lm: bool) -> TranscribeOptions:
    """Takes what decides the decoding out of a command's parameters.

    Raises:
        ConfigError: an option is out of range or needs another one.
        click.UsageError: --no-lm is given with a weight of the language model.
    """
    from asr.transcribe.options import TranscribeOptions

    names = [name for name in choices if name in TranscribeOptions.model_fields]
    options = TranscribeOptions.of(**{name: choices.pop(name) for name in names})
    weights = [name for name in ("lm_weight", "ilm_weight") if options.given.get(name)]
    if no_lm and weights:
        option = f"--{weights[0].replace('_', '-')}"
        raise click.UsageError(f"--no-lm and {option} do not go together; give one of them")
    return options


def endpoint_rules(context: click.Context, _: click.Parameter, values: Any) -> Any:
    """The rules that --endpoint gives; None where it is not given."""
    if not values:
        return None
    from asr.config import parse
    from asr.transcribe.streams.endpoint import EndpointConfig

    return parse(EndpointConfig, dict(values), "--endpoint")


endpoint = click.option(
    "--endpoint",
    type=KeyNumber("silence_seconds=0.5"),
    multiple=True,
    callback=endpoint_rules,
    metavar="KEY=VALUE",
    help="Where segments end, as silence_seconds=0.5 or max_segment_seconds=10; may be repeated. "
    "The keys are in docs/streaming.md.",
)
left_ms = click.option(
    "--left-ms",
    type=click.FloatRange(min=0),
    metavar="MS",
    help="What a chunk sees of the past.  [default: about 5000]",
)


def output_folder(help: str) -> Callable[[F], F]:
    """-o, of commands that cannot do without it."""
    return click.option(
        "-o",
        "--output",
        required=True,
        callback=path,
        shell_complete=a_folder,
        metavar="FOLDER",
        help=help,
    )


def chunk_ms(default: float | None, usual: str) -> Callable[[F], F]:
    """--chunk-ms, with what it is where it is not given."""
    return click.option(
        "--chunk-ms",
        type=click.FloatRange(min=0, min_open=True),
        default=default,
        metavar="MS",
        help="How much sound the encoder sees at once: longer is cheaper, and better; shorter is "
        "sooner. Models that cannot stream, such as Whisper's, encode the segment so far anew each "
        f"time, which takes longer.  [default: {usual}]",
    )


def refuse(names: Collection[str], because: str) -> None:
    """Refuses a call that gives options, by the names of their parameters, that have no effect.

    Raises:
        click.UsageError: one is given.
    """
    context = click.get_current_context()
    given = [
        one.opts[-1]
        for one in context.command.params
        if one.name in names
        and context.get_parameter_source(one.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{because}: leave out {', '.join(given)}")


def leave_cores_free() -> None:
    """Has torch use half of the cores, unless OMP_NUM_THREADS says how many.

    The threads of one operation wait for the slowest: with one core of four kept busy by another
    program, four threads took 70 times as long as two (docs/performance.md).
    """
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))
