"""`asr completion`: what a shell needs to complete commands, options, formats and files."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from asr.cli.console import DONE, Console
from asr.errors import DependencyError

#: What the shells ask the program through; click's name for a program called asr.
VARIABLE = "_ASR_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print what makes SHELL complete commands, options, formats and files after `asr`.

    \b
    bash  asr completion bash > ~/.local/share/bash-completion/completions/asr
    zsh   asr completion zsh > ~/.zfunc/_asr, with ~/.zfunc in fpath before compinit
    fish  asr completion fish > ~/.config/fish/completions/asr.fish

    It works in shells that are started after that. bash must be 4.4 or newer.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    try:
        script = kind(context.find_root().command, {}, "asr", VARIABLE).source()
    except RuntimeError as error:  # click asks bash how old it is
        raise DependencyError(f"{shell}: {error}") from error
    console: Console = context.obj
    console.print(script)
    return DONE
