"""JSON that every program can read."""

from __future__ import annotations

import json
import math
from typing import Any


def strict_json(values: Any, indent: int | None = None) -> str:
    """`values` as JSON by RFC 8259, which has neither infinity nor NaN: both become null.

    Python's own writer would write `-Infinity` and `NaN`, which other programs refuse.
    """
    return json.dumps(_finite(values), ensure_ascii=False, indent=indent, allow_nan=False)


def _finite(values: Any) -> Any:
    if isinstance(values, float):
        return values if math.isfinite(values) else None
    if isinstance(values, dict):
        return {name: _finite(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return values
