"""Lengths of time as people write and read them: `90s`, `20m`, `1h30m`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_WRITTEN = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+")


def seconds_of(text: str) -> float:
    """`1h30m` to 5400.0; a bare number counts as seconds.

    Raises:
        ValueError: it is written in no such way.
    """
    compact = text.replace(" ", "").lower()
    if re.fullmatch(r"\d+(\.\d+)?", compact):
        return float(compact)
    if not _WRITTEN.fullmatch(compact):
        raise ValueError(f"'{text}' is no length of time; write 90s, 20m or 1h30m")
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", compact)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """5400.0 to `1:30:00`, 75 to `1:15`."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _parsed(value: Any) -> Any:
    return seconds_of(value) if isinstance(value, str) else value


#: A key of a configuration that is seconds, or text such as `20m`.
Duration = Annotated[float, BeforeValidator(_parsed)]
