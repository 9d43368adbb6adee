"""Every path that a GPU takes, in a minute: `pytest -m gpu tests/test_gpu.py`.

Skipped without a CUDA device; ASR_GPU_TESTS=cpu runs them on the processor, to test the tests.
"""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from asr.data.device_sound import in_rooms, louder, with_noise
from asr.data.specaugment import SpecAugment
from asr.frontend import KaldiConfig, KaldiLogMel
from asr.model import FULL_CONTEXT, ChunkContext, ModelConfig, SpeechModel
from asr.search import SearchConfig, joint_scorers, search
from asr.text.special_labels import BLANK, LABELS
from asr.train.devices import compile_parts
from asr.train.losses.joint import attention_loss, ctc_loss, teacher_forcing
from asr.train.recipe import Recipe
from asr.train.run import train
from tests.train.conftest import corpus, recipe, recipe_file  # noqa: F401

WANTED = os.environ.get("ASR_GPU_TESTS", "cuda")
DEVICE = torch.device(WANTED)
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        WANTED == "cuda" and not torch.cuda.is_available(), reason="no CUDA device is visible"
    ),
]
CONTEXTS = [FULL_CONTEXT, ChunkContext(8, 16)]


def small_model() -> SpeechModel:
    """Two layers with heads as wide as those of a real model."""
    torch.manual_seed(1)
    encoder = {"type": "conformer", "layers": 2, "dim": 128, "heads": 2, "ff": 128}
    decoder = {"type": "transformer", "layers": 1, "dim": 128, "heads": 2, "ff": 128}
    values = {"encoder": encoder, "decoder": decoder, "intermediate_ctc": [1]}
    return SpeechModel(ModelConfig.model_validate(values), 40)


def sound() -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of noise, the last of which is padding alone."""
    samples = torch.randn(4, 32000, generator=torch.Generator().manual_seed(2)) * 0.1
    lengths = torch.tensor([32000, 20000, 9000, 0])
    return samples * (torch.arange(32000) < lengths[:, None]), lengths


def test_features_are_those_of_the_processor() -> None:
    samples, lengths = sound()
    frontend = KaldiLogMel(KaldiConfig())
    here, frames = frontend(samples, lengths)
    there, frames_there = frontend.to(DEVICE)(samples.to(DEVICE), lengths.to(DEVICE))
    assert torch.equal(frames, frames_there.cpu())
    torch.testing.assert_close(here, there.cpu(), atol=1e-3, rtol=1e-4)


def test_masks_lie_within_the_rows() -> None:
    features = torch.randn(3, 200, 80, device=DEVICE)
    lengths = torch.tensor([200, 120, 0], device=DEVICE)
    masked = SpecAugment().train()(features, lengths)
    assert not torch.equal(masked, features)
    assert torch.equal(masked[1, 120:], features[1, 120:])
    assert torch.equal(masked[2], features[2])


def test_augmented_sound_is_that_of_the_processor() -> None:
    samples, count = sound()
    responses = torch.randn(2, 3000) * torch.exp(-torch.arange(3000) / 400)
    rooms, snr = torch.tensor([0, 1, -1, 0]), torch.tensor([5.0, 20.0, 0.0, 3.0])
    gains, noise = torch.tensor([0.1, 3.0, 40.0, 1.0]), torch.randn(4, 32000)

    def heard(device: torch.device) -> torch.Tensor:
        rows, sizes = samples.to(device), count.clamp(min=1).to(device)
        inside = torch.arange(rows.shape[1], device=device) < count.to(device)[:, None]
        rows = in_rooms(rows, sizes, inside, responses.to(device), rooms.to(device))
        rows = with_noise(rows, noise.to(device) * inside, sizes, snr.to(device))
        return louder(rows, gains.to(device)).cpu()

    torch.testing.assert_close(heard(DEVICE), heard(torch.device("cpu")), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("context", CONTEXTS, ids=["full", "chunked"])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_a_batch_with_padding_has_finite_gradients(context: ChunkContext, compiled: bool) -> None:
    model = small_model().to(DEVICE).train()
    if compiled:
        told: list[str] = []
        assert compile_parts(model, DEVICE, True, told.append), told
    loss = loss_of(model, context, bf16=True)
    loss.backward()
    assert torch.isfinite(loss)
    for name, one in model.named_parameters():
        assert one.grad is not None, name
        assert torch.isfinite(one.grad).all(), name


@pytest.mark.parametrize("context", CONTEXTS, ids=["full", "chunked"])
def test_the_loss_is_that_of_the_processor(context: ChunkContext) -> None:
    model = small_model().eval()
    here = loss_of(model, context, bf16=False)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        there = loss_of(model.to(DEVICE), context, bf16=False)
    finally:
        torch.set_float32_matmul_precision(before)
    torch.testing.assert_close(here, there.cpu(), rtol=2e-3, atol=0)


def loss_of(model: SpeechModel, context: ChunkContext, bf16: bool) -> torch.Tensor:
    """CTC, intermediate CTC and attention, on the device that the model is on."""
    device = model.norm.mean.device
    samples, lengths = (one.to(device) for one in sound())
    tokens = torch.randint(3, 40, (4, 16), generator=torch.Generator().manual_seed(3)).to(device)
    token_lengths = torch.tensor([10, 7, 3, 0], device=device)
    features, frames = model.features(samples, lengths)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        memory, frames, taps = model.encode_tapped(features, frames, context)
        inputs, targets = teacher_forcing(tokens, token_lengths, 3, labels=LABELS)
        assert model.decoder is not None
        total, _ = attention_loss(model.decoder(inputs, memory, frames), targets, 0.1)
        for heard in (memory, *taps):
            log_probs = model.ctc_log_probs(heard)
            total = total + ctc_loss(log_probs, frames, tokens, token_lengths, BLANK, True)
    return total


def test_the_search_finds_what_it_finds_on_the_processor() -> None:
    model = small_model().eval()
    samples, lengths = (one[:3] for one in sound())

    def found(device: torch.device) -> list[tuple[int, ...]]:
        model.to(device)
        with torch.inference_mode():
            features, frames = model.features(samples.to(device), lengths.to(device))
            memory, frames = model.encode(features, frames)
            config = SearchConfig(beam=4, ctc_weight=0.3)
            best = search(
                joint_scorers(model, LABELS, config.ctc_weight), memory, frames, LABELS, config
            )
        return [hypotheses[0].tokens for hypotheses in best]

    here = found(torch.device("cpu"))
    same = sum(a == b for a, b in zip(here, found(DEVICE), strict=True))
    assert same >= 2, "random weights may tie, but not in two of three rows"


def test_training_goes_on_where_it_stopped(
    recipe: Callable[..., Recipe],  # noqa: F811
    tmp_path: Path,
) -> None:
    values = (
        "data.cache=device",
        "data.workers=2",
        "training.precision=bf16",
        "checkpoint.steps=2",
    )
    values += (f"training.accelerator={'cuda' if DEVICE.type == 'cuda' else 'cpu'}",)
    train(recipe(*values, "training.max_steps=3"), tmp_path / "run")
    train(recipe(*values, "training.max_steps=6", "training.compile=true"), tmp_path / "run")
    rows = [r for r in csv.DictReader((tmp_path / "run/training/log.csv").open()) if r["lr"]]
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all(float(row["loss"]) > 0 for row in rows)
    if DEVICE.type == "cuda":
        assert float(rows[-1]["gpu_gib"]) > 0


def test_putting_batches_together_waits_for_nothing() -> None:
    if DEVICE.type != "cuda":
        pytest.skip("only CUDA tells who waits")
    samples, count = (one.to(DEVICE) for one in sound())
    inside = torch.arange(samples.shape[1], device=DEVICE) < count[:, None]
    responses, rooms = torch.randn(2, 3000, device=DEVICE), torch.zeros_like(count)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            rows = in_rooms(samples, count.clamp(min=1), inside, responses, rooms)
            rows = with_noise(rows, rows, count.clamp(min=1), torch.ones(4, device=DEVICE))
            louder(rows, torch.ones(4, device=DEVICE))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert not [one for one in said if "synchron" in str(one.message)]
