"""Every case of the list of faults has a test that is named after it, on the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_faults_*.py"))
NAMED = {int(number) for number in re.findall(r"^def test_a(\d+)_", TESTS, re.MULTILINE)}


@pytest.mark.parametrize("case", range(1, 23))
def test_case_a_has_a_test(case: int) -> None:
    assert case in NAMED


def test_there_is_no_other_case() -> None:
    assert set(range(1, 23)) == NAMED
