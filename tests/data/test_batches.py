from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data.batches import BatchSampler, bucket_bounds
from asr.data.config import SpeedConfig
from asr.data.epoch import SHARE, EpochItems
from asr.errors import ConfigError, TrainingError


class FakeCut:
    """What the sampler looks at."""

    def __init__(self, name: str, duration: float, custom: dict | None = None) -> None:
        self.id, self.duration, self.custom = name, duration, custom


def fakes(durations):
    return [FakeCut(f"c{i}", duration) for i, duration in enumerate(durations)]


def sampler(cuts, **options):
    values = {"batch_seconds": 60.0, "longest": 30.0, "buckets": 8, **options}
    return BatchSampler(cuts, **values)


def names(plans):
    return [(plan.epoch, plan.index, [item.id for item in plan.items]) for plan in plans]


SPREAD = [0.5 + (i * 37 % 293) / 10 for i in range(400)]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.lists(st.floats(0.1, 30), min_size=1, max_size=200),
    st.floats(30, 300),
    st.integers(1, 5),
    st.integers(1, 50),
)
def test_the_cap_is_never_passed_and_everything_comes_once(durations, cap, world, buckets):
    cuts = fakes(durations)
    seen = []
    counts = set()
    for rank in range(world):
        plans = list(sampler(cuts, batch_seconds=cap, rank=rank, world_size=world, buckets=buckets))
        counts.add(len(plans))
        for plan in plans:
            assert len(plan.items) * max(item.duration for item in plan.items) <= cap + 1e-5
            seen += [item.id for item in plan.items]
    assert len(counts) == 1, "every process has the same number of batches"
    assert set(seen) == {cut.id for cut in cuts}
    if world == 1:
        assert len(seen) == len(cuts)


def test_batches_are_nearly_full_and_hardly_padded():
    plans = list(sampler(fakes([0.5 + i % 290 / 10 for i in range(6000)]), batch_seconds=200))
    padded = sum(len(p.items) * max(i.duration for i in p.items) for p in plans)
    heard = sum(i.duration for p in plans for i in p.items)
    assert heard / padded > 0.93
    assert padded / len(plans) > 0.88 * 200


def test_batches_are_padded_to_few_shapes():
    one = sampler(fakes(SPREAD), batch_seconds=120)
    plans = list(one)
    for plan in plans:
        assert plan.rows * plan.seconds <= 120 + 1e-4
        assert len(plan.items) <= plan.rows < 2 * len(plan.items) + 1
        assert max(item.duration for item in plan.items) <= plan.seconds
    full = {(p.rows, p.seconds) for p in plans if 2 * p.rows > max(one.sizes)}
    assert len(full) <= len(one.bounds)
    assert {plan.seconds for plan in plans} <= set(one.bounds)


def test_row_cap():
    assert max(len(p.items) for p in sampler(fakes([0.5] * 100), batch_items=7)) == 7


def test_epochs_differ_and_repeat_exactly():
    one, other = sampler(fakes(SPREAD)), sampler(fakes(SPREAD))
    first = names(one)
    assert names(one) == first == names(other)
    one.set_epoch(1)
    assert names(one) != first
    assert names(sampler(fakes(SPREAD), seed=1)) != first


@pytest.mark.parametrize("cuts_are", ["planned whole", "large", "lazy"])
@pytest.mark.parametrize("world", [1, 2])
def test_resuming_after_any_batch_gives_the_rest(cuts_are, world, monkeypatch):
    if cuts_are == "large":
        monkeypatch.setattr("asr.data.batches.PLANNED_WHOLE", 100)

    class Lazy:
        def __iter__(self):
            return iter(fakes(SPREAD))

    def make():
        planner = EpochItems(3, SpeedConfig(), 12.0)
        return sampler(
            Lazy() if cuts_are == "lazy" else fakes(SPREAD),
            planner=planner,
            longest=30 / 0.9,
            rank=world - 1,
            world_size=world,
            buffer=150,
        )

    def three_epochs(one):
        for epoch in range(one.epoch, 3):
            one.set_epoch(epoch)
            yield from one

    whole = list(three_epochs(make()))
    for stop in (0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        first = make()
        done = []
        for plan in three_epochs(first):
            if len(done) == stop:
                break
            done.append(plan)
            first.done(plan.epoch, plan.index)
        second = make()
        second.load_state_dict(first.state_dict())
        assert names(done + list(three_epochs(second))) == names(whole)


def test_prefetching_does_not_move_the_position():
    one = sampler(fakes(SPREAD))
    plans = iter(one)
    first = next(plans)
    for _ in range(5):
        next(plans)
    one.done(first.epoch, first.index)
    assert one.state_dict()["done"] == 1


def test_a_state_of_other_batches_is_refused():
    state = sampler(fakes(SPREAD)).state_dict()
    for changed in ({"seed": 5}, {"world_size": 2}, {"batch_seconds": 90.0}):
        with pytest.raises(TrainingError, match="cannot resume in the middle"):
            sampler(fakes(SPREAD), **changed).load_state_dict(state)
    with pytest.raises(TrainingError, match="cuts was 400, is 399"):
        sampler(fakes(SPREAD[:-1]), buckets=1, batch_items=1).load_state_dict(state)


def test_a_cap_below_the_longest_item_is_refused():
    with pytest.raises(ConfigError, match="batch_seconds is 20"):
        sampler(fakes([1.0]), batch_seconds=20)


def test_count_is_the_number_of_batches():
    one = sampler(fakes(SPREAD), world_size=3)
    assert one.count(0) == len(list(one))


def test_processes_take_batches_of_like_length_in_each_step():
    cuts = fakes([0.5 + i % 290 / 10 for i in range(3000)])
    ranks = [list(sampler(cuts, rank=rank, world_size=2)) for rank in range(2)]
    alike = sum(
        max(i.duration for i in a.items) < 1.6 * max(i.duration for i in b.items)
        and max(i.duration for i in b.items) < 1.6 * max(i.duration for i in a.items)
        for a, b in zip(*ranks, strict=True)
    )
    assert alike / len(ranks[0]) > 0.9


def test_bounds_hold_equal_seconds_and_are_never_wide():
    bounds = bucket_bounds(SPREAD, 10, 40.0)
    assert bounds == sorted(bounds)
    assert bounds[-1] == 40.0
    assert all(high / low < 1.26 for low, high in pairwise(bounds))


def test_speed_is_drawn_for_each_epoch_and_changes_the_planned_duration():
    planner = EpochItems(0, SpeedConfig(factors=(0.5, 2.0)), 0)
    items = [list(planner(fakes([4.0] * 200), epoch)) for epoch in (0, 1)]
    assert {(item.speed, item.duration) for item in items[0]} == {(0.5, 8.0), (2.0, 2.0)}
    assert 60 < sum(item.speed == 2.0 for item in items[0]) < 140
    assert [item.speed for item in items[0]] != [item.speed for item in items[1]]


def test_joined_items_stay_below_their_limit_and_lose_nothing():
    items = list(EpochItems(0, None, 10.0)(fakes(SPREAD), 0))
    assert [cut.id for item in items for cut in item.cuts] == [f"c{i}" for i in range(400)]
    assert all(item.duration <= 10 for item in items if len(item.cuts) > 1)
    assert any(len(item.cuts) > 1 for item in items)


def test_a_share_of_the_utterances_is_another_one_each_epoch():
    cuts = [FakeCut(f"c{i}", 1.0, {SHARE: 0.25}) for i in range(1000)]
    planner = EpochItems(0, None, 0)
    heard = [{item.id for item in planner(cuts, epoch)} for epoch in (0, 1)]
    assert all(200 < len(one) < 300 for one in heard)
    assert heard[0] != heard[1]


def test_the_first_epochs_go_from_short_to_long() -> None:
    one = sampler(fakes(SPREAD), short_first=1)
    longest = [max(item.duration for item in plan.items) for plan in one]
    assert longest == sorted(longest)
    one.set_epoch(1)
    longest = [max(item.duration for item in plan.items) for plan in one]
    assert longest != sorted(longest)


def test_a_lazy_corpus_has_no_order_from_short_to_long() -> None:
    with pytest.raises(ConfigError, match="needs a corpus in memory"):
        sampler(iter(fakes(SPREAD)), short_first=1)
