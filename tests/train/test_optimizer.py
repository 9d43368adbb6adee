from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from asr.errors import ConfigError
from asr.train.optimizer import (
    SCHEDULES,
    Constant,
    Cosine,
    Noam,
    OptimizerConfig,
    WarmupStableDecay,
    build_optimizer,
)


@given(
    st.sampled_from(sorted(SCHEDULES)),
    st.integers(0, 50),
    st.integers(1, 2000),
    st.floats(0, 1),
)
def test_a_factor_is_above_zero_and_at_most_one(
    name: str, warmup: int, step: int, progress: float
) -> None:
    schedule = SCHEDULES[name](type=name, warmup_steps=warmup)
    assert 0 < schedule.factor(step, progress) <= 1


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_warm_up_is_linear_and_ends_at_one(name: str) -> None:
    schedule = SCHEDULES[name](type=name, warmup_steps=4)
    assert [schedule.factor(step, 0.0) for step in (1, 2, 3, 4)] == [0.25, 0.5, 0.75, 1.0]


def test_shapes() -> None:
    assert Noam(warmup_steps=100).factor(400, 0.0) == 0.5
    cosine = Cosine(warmup_steps=0, floor=0.0)
    assert [round(cosine.factor(9, at), 6) for at in (0.0, 0.5, 1.0)] == [1.0, 0.5, 0.0]
    wsd = WarmupStableDecay(warmup_steps=0, decay=0.25, floor=0.0)
    assert [wsd.factor(9, at) for at in (0.5, 0.75, 0.875, 1.0)] == [1.0, 1.0, 0.5, 0.0]
    assert Constant(warmup_steps=0).factor(9, 0.9) == 1.0


def test_a_part_of_the_model_has_a_learning_rate_of_its_own() -> None:
    model = nn.ModuleDict({"encoder": nn.Linear(2, 2), "ctc": nn.Linear(2, 3)})
    optimizer = build_optimizer(model, OptimizerConfig(factors={"ctc": 10}))
    factors = {
        id(weight): group["factor"]
        for group in optimizer.param_groups
        for weight in group["params"]
    }
    assert [factors[id(weight)] for weight in model["encoder"].parameters()] == [1, 1]
    assert [factors[id(weight)] for weight in model["ctc"].parameters()] == [10, 10]


def test_a_factor_for_no_part_of_the_model_is_refused() -> None:
    model = nn.ModuleDict({"encoder": nn.Linear(2, 2)})
    with pytest.raises(ConfigError, match=r"optimizer\.factors: the model has no part 'ctc'"):
        build_optimizer(model, OptimizerConfig(factors={"ctc": 10}))
