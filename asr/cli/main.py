"""The `asr` program: finds the command, runs it, and turns errors into a line and an exit status.

Commands are imported when they run, so that `asr --help` loads nothing heavy.
"""

from __future__ import annotations

import difflib
import errno
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

import asr
from asr.cli.console import DONE, INTERRUPTED, SOME_FAILED, WRONG_CALL, Console, status_of
from asr.cli.foreign_options import advice_for
from asr.errors import AsrError
from asr.interrupts import ignore_interrupts, interruptible

#: name: (where the command is, what the list of commands says about it)
COMMANDS = {
    "transcribe": ("asr.cli.transcribe:transcribe", "Write what recordings say."),
    "stream": ("asr.cli.stream:stream", "Write what is being said, while it is said."),
    "evaluate": ("asr.cli.evaluate:evaluate", "Measure the error rate of a model on a manifest."),
    "compare": ("asr.cli.compare:compare", "Tell whether one of two models is better."),
    "calibrate": ("asr.cli.calibrate:calibrate", "Fit how sure a model is of its words."),
    "models": ("asr.cli.models:models", "List the published models that can be had by name."),
    "import": ("asr.cli.import_model:import_model", "Write a model in another format as a folder."),
    "info": ("asr.cli.info:info", "Tell what a model is, and what it runs on here."),
    "doctor": ("asr.cli.doctor:doctor", "Tell what works here, and what is missing for what."),
    "train": ("asr.cli.train:train", "Train a model from a recipe."),
    "lm": ("asr.cli.lm:lm", "Train a language model from texts."),
    "finetune": ("asr.cli.finetune:finetune", "Adapt a model to your own recordings."),
    "tokenizer": ("asr.cli.tokenizer:tokenizer", "Train a tokenizer from texts."),
    "attention": ("asr.cli.attention:attention", "Draw where a model looks while it writes."),
    "validate": ("asr.cli.validate:validate", "Check a corpus: every line and every recording."),
    "completion": ("asr.cli.completion:completion", "Have the shell complete commands."),
}


class _InterruptedError(Exception):
    """Ctrl-C or SIGTERM came while a command ran."""


def _set_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Console).debug = True


def _debug_option() -> click.Option:
    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set_debug,
        help="Add the traceback to error messages.",
    )


class Program(click.Group):
    """The group of all commands; the only place where exceptions become exit statuses."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command `cmd_name`."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), name)
        if not any(parameter.name == "debug" for parameter in command.params):
            command.params.append(_debug_option())
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands from the table: none of them is imported for that."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command that the first argument names, or says which one is near."""
        name = args[0]
        if name not in COMMANDS and _is_path(name):
            command = "train" if name.endswith((".yaml", ".yml")) else "transcribe"
            raise click.UsageError(
                f"'{name}' is no command; did you mean 'asr {command} {shlex.quote(name)}'?", ctx
            )
        if name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
            known = f"the commands are {', '.join(COMMANDS)}"
            hint = f"did you mean '{near[0]}'?" if near else known
            raise click.UsageError(f"there is no command '{name}'; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; Ctrl-C passes click, which would print an empty line for it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _InterruptedError from None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs the program and exits with its status (0, 1, 2 or 130)."""
        console = Console()
        extra.setdefault("obj", console)
        run = super().main
        with interruptible():
            status = _status(
                lambda: run(args, prog_name or "asr", complete_var, standalone_mode=False, **extra),
                console,
            )
        sys.exit(status)


def _is_path(name: str) -> bool:
    """Whether what stands in place of a command is a recording, a recipe or a URL."""
    return name == "-" or "." in name or "/" in name or os.path.exists(name)


def _status(run: Any, console: Console) -> int:
    """Calls `run`, prints what went wrong as one line, and returns the exit status."""
    try:
        result = run()
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.UsageError as error:
        _say_usage(error, console)
        return WRONG_CALL
    except click.ClickException as error:
        console.say(error.format_message())
        return error.exit_code
    except (_InterruptedError, KeyboardInterrupt, click.Abort):
        console.say("interrupted")
        return INTERRUPTED
    except AsrError as error:
        console.problem(error)
        return status_of(error)
    except OSError as error:
        if error.errno == errno.EPIPE:
            return _reader_has_gone()
        console.problem(error)
        return SOME_FAILED
    except SystemExit as error:  # click ends so when it has met a broken pipe itself
        return _reader_has_gone() if error.code == 1 else int(error.code or DONE)
    except Exception as error:
        console.problem(error)
        return SOME_FAILED
    return result if isinstance(result, int) else DONE


def _say_usage(error: click.UsageError, console: Console) -> None:
    message = error.format_message().rstrip(".")
    if isinstance(error, click.NoSuchOption) and (advice := advice_for(error)):
        message = f"no such option '{error.option_name}'; {advice}"
    if "\n" in message:  # no arguments at all: click's message is the whole help
        click.echo(message, err=True)
        return
    path = error.ctx.command_path if error.ctx else "asr"
    joint = " " if message.endswith("?") else "; "
    if not message[1:2].isupper():  # not FOLDER
        message = f"{message[:1].lower()}{message[1:]}"
    console.say(f"{message}{joint}see '{path} --help'")


def _reader_has_gone() -> int:
    """Ends quietly: Python would complain once more when it flushes stdout at exit."""
    with suppress(OSError, ValueError):  # stdout may be no file (a test's buffer)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return SOME_FAILED


@click.command(
    "asr",
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.version_option(asr.__version__, message="asr %(version)s")
def program() -> None:
    """Speech to text with attention encoder-decoder models.

    asr transcribe talk.mp3 prints what the recording says.
    """


program.params.append(_debug_option())


def main() -> None:
    """The console command `asr`."""
    try:
        program.main()
    finally:
        ignore_interrupts()
