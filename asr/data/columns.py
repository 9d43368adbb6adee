"""Names of the columns of a table, or of the keys of JSON lines, that are not ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from asr.errors import ConfigError, ManifestError

#: Which column has a field: `{"text": "sentence"}`, or text with columns in it:
#: `{"audio_filepath": "clips/{path}"}`.
Columns = Mapping[str, str]
AS_THEY_ARE: Columns = {}
_IN_TEXT = re.compile(r"\{([^{}]+)\}")


def parse_columns(text: str) -> dict[str, str]:
    """Columns as the command line has them: `audio_filepath=clips/{path},text=sentence`.

    Raises:
        ConfigError: they are written in another way.
    """
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name.strip() and column.strip() for name, _, column in pairs):
        raise ConfigError(
            f"columns '{text}': write FIELD=COLUMN, with commas between several, as "
            "audio_filepath=path,text=sentence"
        )
    return {name.strip(): column.strip() for name, _, column in pairs}


def renamed(values: Mapping[str, Any], columns: Columns, where: str) -> dict[str, Any]:
    """A line with our names of its fields; other columns keep theirs.

    Raises:
        ManifestError: a column is not there.
    """
    own = dict(values)
    for name, column in columns.items():
        parts = _IN_TEXT.findall(column)
        for part in parts or [column]:
            if part not in values:
                raise ManifestError(
                    f"{where}: no column '{part}', which is named for '{name}' (there are: "
                    f"{', '.join(map(str, values))}); correct the columns"
                )
        if parts:
            own[name] = _IN_TEXT.sub(lambda found: str(values[found[1]]), column)
        else:
            own[name] = values[column]
            if column not in columns:
                own.pop(column, None)
    return own
