"""JSON without infinity and NaN."""

from __future__ import annotations

import json
import math

from asr.strict_json import strict_json


def test_infinity_and_nan_are_null_wherever_they_are() -> None:
    values = {"é": [1, (2.5, math.nan)], "b": {"c": -math.inf}, "d": math.inf, "e": True}
    written = strict_json(values)
    assert written == '{"é": [1, [2.5, null]], "b": {"c": null}, "d": null, "e": true}'


def test_everything_else_is_as_json_writes_it() -> None:
    values = {"text": "\N{SNOWMAN}", "n": -1e-9, "none": None, "empty": [], "yes": False}
    assert strict_json(values, indent=2) == json.dumps(values, ensure_ascii=False, indent=2)
