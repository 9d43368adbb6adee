from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from asr.evaluate.error_rate import Counts
from asr.evaluate.scoring import build_normalizer, scoring_for
from asr.text import NormalizerConfig
from asr.train.report import validation
from asr.train.report.validation import Decoded, Validator


def test_the_error_rate_of_dev_does_not_count_case_and_punctuation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model that writes them is measured as `asr evaluate` measures it; the sample keeps them."""
    texts = {0: "Mr. Smith, 21.", 1: "the cat"}

    def decoder(*_: object) -> Any:
        return lambda samples: [(SimpleNamespace(tokens=n),) for n, _ in enumerate(samples)]

    monkeypatch.setattr(validation, "SegmentDecoder", decoder)
    monkeypatch.setattr(validation, "fitting", lambda config, _: config)
    tokenizer: Any = SimpleNamespace(labels=None, decode=texts.__getitem__)
    batch: Any = SimpleNamespace(
        ids=("one", "two"),
        texts=("mister Smith twenty-one", "The hat!"),
        samples=torch.zeros(2, 4),
        lengths=torch.tensor([4, 4]),
        starts=None,
    )
    written = NormalizerConfig(
        lowercase=False, numbers=False, symbols=False, abbreviations=False, punctuation=False
    )
    validator = Validator([], [batch], tokenizer, build_normalizer(scoring_for(written)))
    decoded, counts = validator._decode(SimpleNamespace(model=None))  # type: ignore[arg-type]
    assert decoded == [
        Decoded("one", "mister Smith twenty-one", "Mr. Smith, 21."),
        Decoded("two", "The hat!", "the cat"),
    ]
    assert counts == Counts(substitutions=1, length=6)
