"""Tables: drawn on a terminal, aligned columns elsewhere."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

#: Width where there is no terminal.
WIDTH = 100


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table with a title; the first column is text, the others are aligned to the right.

    A head that ends with `<` has text below it, aligned to the left.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    on_terminal = _on_terminal()
    drawn = Table(box=box.SIMPLE_HEAD if on_terminal else None, pad_edge=False)
    for place, name in enumerate(head):
        text = place == 0 or name.endswith("<")
        drawn.add_column(name.rstrip("<"), justify="left" if text else "right")
    for row in rows:
        drawn.add_row(*(Text(str(cell)) for cell in row))
    buffer = io.StringIO()
    width = shutil.get_terminal_size().columns if on_terminal else WIDTH
    more: dict[str, Any] = {} if on_terminal else {"color_system": None}
    Console(file=buffer, width=width, force_terminal=on_terminal, **more).print(
        Text(title, "bold"), drawn, sep="\n"
    )
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def common_folder(ids: Iterable[str]) -> str:
    """The folder, with the slash behind it, that all of these absolute paths are in; "" for others.

    Utterances without an id are called by their path, and where all of those begin alike a table
    is easier to read without that.
    """
    names = list(ids)
    if not names or not all(name.startswith("/") for name in names):
        return ""
    folder = os.path.commonpath([os.path.dirname(name) for name in names])
    return "" if folder == "/" else f"{folder}/"


def between(low: float, high: float) -> str:
    """An interval in per cent."""
    return f"{100 * low:.2f} to {100 * high:.2f} %"


def _on_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()
