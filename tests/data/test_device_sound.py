"""Batches that are put together on the device are those that the host makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.config import parse
from asr.data.augment import add_noise, add_room, change_volume
from asr.data.config import DataConfig
from asr.data.corpus import load_corpus
from asr.data.dataset import Batch
from asr.data.device_batches import DeviceBatches
from asr.data.device_sound import fast_size, in_rooms, louder, with_noise
from asr.data.loader import training_batches
from asr.errors import ConfigError
from tests.data.sound import RATE, corpus, lines, tone, write

CPU = torch.device("cpu")
#: The corpus is rounded to 16 bits after a change of speed, not only before it.
ROUNDING = 1.0 / 32768


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of a dozen tones, two clips of noise and two rooms."""
    folder = tmp_path_factory.mktemp("device")
    corpus(folder / "train", [0.4 + 0.13 * n for n in range(12)])
    draw = np.random.default_rng(0)
    entries = []
    for name, seconds in (("long", 3.0), ("short", 0.3)):
        write(folder / "noise" / f"{name}.wav", seconds, 700)
        entries.append({"id": name, "audio_filepath": f"{name}.wav", "duration": seconds})
    lines(folder / "noise" / "manifest.jsonl", entries)
    for name in ("a", "b"):
        decay = np.exp(-np.arange(4000) / 600) * draw.standard_normal(4000)
        (folder / "rooms").mkdir(exist_ok=True)
        import soundfile

        soundfile.write(folder / "rooms" / f"{name}.wav", decay / np.abs(decay).max(), RATE)
    return folder


def config_of(place: Path, cache: str, **changes: Any) -> DataConfig:
    values: dict[str, Any] = {
        "train": str(place / "train" / "manifest.jsonl"),
        "batch_seconds": 6,
        "max_seconds": 4,
        "workers": 0,
        "cache": cache,
        "augment": {
            "speed": {"factors": [0.9, 1.0, 1.1]},
            "room": {"folder": str(place / "rooms"), "probability": 0.5},
            "noise": {
                "manifest": str(place / "noise" / "manifest.jsonl"),
                "probability": 0.6,
                "snr_db": [0, 20],
            },
            "volume": {"probability": 0.7, "gain_db": [-20, 20]},
        },
    }
    return parse(DataConfig, {**values, **changes}, "test")


def rendered(config: DataConfig, epochs: int, **named: Any) -> list[Batch]:
    cuts = load_corpus(config.train, config, training=True).cuts
    batches = DeviceBatches(cuts, config, device=CPU, seed=3, **named)
    return [batches.sound.render(batch) for batch in batches.loader(epochs)]


def heard(config: DataConfig, epochs: int) -> list[Batch]:
    cuts = load_corpus(config.train, config, training=True).cuts
    loader, sampler = training_batches(cuts, config, seed=3)
    found = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        found += list(loader)
    return found


@pytest.mark.parametrize("changes", [{}, {"augment": {}}], ids=["augmented", "plain"])
def test_the_device_makes_the_batches_of_the_host(place: Path, changes: dict[str, Any]) -> None:
    ours = rendered(config_of(place, "device", **changes), 2)
    host = heard(config_of(place, "memory", **changes), 2)
    assert [batch.ids for batch in ours] == [batch.ids for batch in host]
    for one, other in zip(ours, host, strict=True):
        assert (one.epoch, one.index, one.render_plan) == (other.epoch, other.index, None)
        assert torch.equal(one.lengths, other.lengths)
        assert one.samples.shape == other.samples.shape
        loudest = float(other.samples.abs().max())
        # rooms and noise multiply what was rounded by less than four
        torch.testing.assert_close(
            one.samples, other.samples, atol=10 * ROUNDING * max(1.0, loudest), rtol=1e-3
        )
    assert any(float(batch.samples.abs().max()) > 0.1 for batch in ours)


def test_joined_utterances_follow_each_other(place: Path) -> None:
    changes: dict[str, Any] = {"concatenate_seconds": 4.0, "augment": {}}
    ours = rendered(config_of(place, "device", **changes), 1)
    host = heard(config_of(place, "memory", **changes), 1)
    assert any("+" in name for batch in ours for name in batch.ids)
    for one, other in zip(ours, host, strict=True):
        torch.testing.assert_close(one.samples, other.samples, atol=ROUNDING / 2, rtol=0)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(place: Path, workers: int) -> None:
    alone = rendered(config_of(place, "device"), 2)
    helped = rendered(config_of(place, "device", workers=workers), 2)
    assert [(b.epoch, b.index, b.ids) for b in alone] == [(b.epoch, b.index, b.ids) for b in helped]
    assert all(torch.equal(a.samples, b.samples) for a, b in zip(alone, helped, strict=True))


def test_it_goes_on_in_the_middle_of_an_epoch(place: Path) -> None:
    config = config_of(place, "device")
    whole = rendered(config, 2)
    cuts = load_corpus(config.train, config, training=True).cuts
    batches = DeviceBatches(cuts, config, device=CPU, seed=3)
    at = next(batch for batch in whole if batch.index == 1)
    batches.sampler.done(at.epoch, at.index)
    rest = [batches.sound.render(batch) for batch in batches.loader(2)]
    assert [batch.ids for batch in rest] == [batch.ids for batch in whole[2:]]
    assert all(torch.equal(a.samples, b.samples) for a, b in zip(rest, whole[2:], strict=True))


def test_the_sound_travels_as_a_few_numbers(place: Path) -> None:
    config = config_of(place, "device")
    cuts = load_corpus(config.train, config, training=True).cuts
    batch = next(iter(DeviceBatches(cuts, config, device=CPU).loader(1)))
    assert batch.samples.numel() == 0
    assert batch.render_plan is not None
    assert batch.to("cpu").render_plan is not None
    assert sum(getattr(batch.render_plan, n).nbytes for n in ("starts", "sizes", "clips")) < 1000


def test_what_is_computed_on_the_processor_alone_is_refused(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"cache: device does not go with augment\.telephone"):
        config_of(place, "device", augment={"codec": {}})


def test_a_lazy_corpus_is_refused(place: Path) -> None:
    with pytest.raises(ConfigError, match="needs a corpus that is listed"):
        DeviceBatches(iter([]), config_of(place, "device"), device=CPU)


def rows(*lengths: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Different tones as rows (B, N), their lengths and what is inside them."""
    samples = torch.zeros(len(lengths), max(lengths))
    for row, length in zip(samples, lengths, strict=True):
        row[:length] = torch.from_numpy(tone(length / RATE, 150 + length / 7)[:length])
    count = torch.tensor(lengths)
    return samples, count, torch.arange(max(lengths)) < count[:, None]


@given(st.lists(st.floats(-40, 40), min_size=3, max_size=3))
def test_volume_is_that_of_the_host(gains_db: list[float]) -> None:
    samples, _, _ = rows(500, 800, 300)
    ours = louder(samples, torch.tensor([10 ** (gain / 20) for gain in gains_db]))
    for one, row, gain in zip(ours, samples, gains_db, strict=True):
        np.testing.assert_allclose(one, change_volume(row.numpy(), gain), atol=1e-6)


@given(st.lists(st.floats(-20, 40), min_size=3, max_size=3))
def test_noise_is_that_of_the_host(snr_db: list[float]) -> None:
    samples, count, inside = rows(500, 800, 300)
    samples[2] = 0  # silence gets no noise
    noise = torch.randn(3, 800, generator=torch.Generator().manual_seed(1)) * inside
    ours = with_noise(samples, noise, count, torch.tensor(snr_db))
    for n, snr in enumerate(snr_db):
        size = int(count[n])
        host = add_noise(samples[n, :size].numpy(), noise[n, :size].numpy(), snr)
        np.testing.assert_allclose(ours[n, :size], host, atol=2e-5)
        assert not ours[n, size:].any()


def test_rooms_are_those_of_the_host() -> None:
    samples, count, inside = rows(9000, 5000, 700)
    draw = np.random.default_rng(2)
    responses = torch.zeros(2, 3000)
    for row, length in zip(responses, (3000, 1200), strict=True):
        row[:length] = torch.from_numpy(
            (draw.standard_normal(length) * np.exp(-np.arange(length) / 300)).astype(np.float32)
        )
    ours = in_rooms(samples, count, inside, responses, torch.tensor([1, 0, -1]))
    for n, response in enumerate((responses[1, :1200], responses[0])):
        size = int(count[n])
        host = add_room(samples[n, :size].numpy(), response.numpy())
        np.testing.assert_allclose(ours[n, :size], host, atol=1e-5)
    assert torch.equal(ours[2], samples[2])
    assert not (ours * ~inside).any()


@given(st.integers(1, 10**6))
def test_transforms_have_lengths_of_small_factors(least: int) -> None:
    size = fast_size(least)
    assert least <= size < 1.34 * least + 4
    while size % 2 == 0:
        size //= 2
    assert size in (1, 3, 5)


def test_a_batch_without_cues_stays(place: Path) -> None:
    config = config_of(place, "device")
    cuts = load_corpus(config.train, config, training=True).cuts
    batches = DeviceBatches(cuts, config, device=CPU)
    batch = batches.sound.render(next(iter(batches.loader(1))))
    assert batches.sound.render(batch) is batch
    assert replace(batch, epoch=1).samples is batch.samples
