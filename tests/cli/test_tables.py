from __future__ import annotations

import pytest

from asr.cli.tables import common_folder


@pytest.mark.parametrize(
    ("ids", "folder"),
    [
        ([], ""),
        (["/data/one/a", "/data/one/b"], "/data/one/"),
        (["/data/one/a", "/data/two/b"], "/data/"),
        (["/data/one"], "/data/"),
        (["/one", "/two"], ""),
        (["audio/a", "audio/b"], ""),  # short enough
        (["/data/one/a", "b"], ""),
    ],
)
def test_the_folder_of_ids(ids: list[str], folder: str) -> None:
    assert common_folder(ids) == folder
