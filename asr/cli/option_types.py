"""Types of option values that click does not have."""

from __future__ import annotations

import difflib
from typing import Any

import click
from click.shell_completion import CompletionItem


class KeyNumber(click.ParamType):
    """`key=value` of a configuration of numbers, as `example`."""

    name = "key=value"

    def __init__(self, example: str) -> None:
        self.example = example

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, float]:
        """The key and its value, a number; which keys there are is checked for all together."""
        if isinstance(value, tuple):
            return value
        key, equals, number = value.partition("=")
        try:
            return key.strip(), float(number)
        except ValueError:
            self.fail(
                f"'{value}': write key=number, as {self.example}"
                if not equals
                else f"'{value}': '{number}' is no number",
                param,
                ctx,
            )


class NameList(click.ParamType):
    """Names from a fixed set, in any case, separated by commas; `all` is all of them."""

    name = "names"

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self.allowed = allowed

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        """The names, each once, in the order given."""
        if isinstance(value, tuple):
            return value
        known = {name.casefold(): name for name in self.allowed}
        given = [part.strip() for part in value.split(",") if part.strip()]
        names = tuple(dict.fromkeys(known.get(name.casefold(), name) for name in given))
        for name in names:
            if name not in self.allowed and name.casefold() != "all":
                near = difflib.get_close_matches(name, self.allowed, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"known: {','.join(self.allowed)}"
                self.fail(f"'{name}' is not known; {hint}", param, ctx)
        if not names:
            self.fail(f"no name given; known: {','.join(self.allowed)}", param, ctx)
        return self.allowed if any(name.casefold() == "all" for name in names) else names

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that the last one may become, behind those before it."""
        before, comma, begun = incomplete.rpartition(",")
        taken = before.split(",")
        names = [name for name in self.allowed if name not in taken]
        names += [] if comma else ["all"]
        return [
            CompletionItem(f"{before}{comma}{name}") for name in names if name.startswith(begun)
        ]
