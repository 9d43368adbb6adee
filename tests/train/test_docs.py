"""What the pages for users say of recipes can be put into one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from asr.train.recipe import make_recipe

DOCS = Path(__file__).parents[2] / "docs"
SECTIONS = "data|loss|training|model|spec_augment|optimizer|schedule|chunks|checkpoint|tokenizer"
PAGES = ("recurrent.md", "training.md")


def fits(values: dict[str, Any], overrides: list[str]) -> None:
    make_recipe({"data": {}, "training": {"epochs": 1}, **values}, overrides, "page", Path("/"))


@pytest.mark.parametrize("page", PAGES)
def test_recipes_of_the_docs_are_recipes(page: str) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        fits(yaml.safe_load(block), [])


@pytest.mark.parametrize("page", PAGES)
def test_keys_of_the_docs_are_keys(page: str) -> None:
    """Those in `key=value`; several in one stand together."""
    found = re.findall(rf"`((?:{SECTIONS})[\w.]*=[^`]+)`", (DOCS / page).read_text())
    assert len(found) > 5
    for one in found:
        if "N" not in one and "..." not in one:
            fits({}, re.findall(r"[\w.]+=(?:\{.*?\}|\S+)", one))
