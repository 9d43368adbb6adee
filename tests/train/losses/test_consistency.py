"""Two views of an utterance, and what draws them together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from asr.data.dataset import Batch
from asr.data.specaugment import SpecAugmentConfig
from asr.errors import ConfigError
from asr.model import ChunkContext
from asr.train.losses.consistency import consistency_loss, widened
from asr.train.module import SUMS, SpeechTraining
from asr.train.recipe import Recipe
from tests.train.test_module import batch, build  # noqa: F401 (fixtures)

LENGTHS = torch.tensor([3, 2, 3, 2])
NO_MASKS = "spec_augment={frequency_masks: 0, time_masks: 0}"


def logits(seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(seed))
    return drawn.requires_grad_()


def test_divergence_by_hand_and_padding_counts_for_nothing() -> None:
    found = logits().detach().log_softmax(-1)
    total = 0.0
    for row, frames in enumerate((3, 2)):
        for frame in range(frames):
            one, other = found[row, frame].exp(), found[row + 2, frame].exp()
            total += 0.5 * float((one * (one / other).log()).sum())
            total += 0.5 * float((other * (other / one).log()).sum())
    assert consistency_loss(found, LENGTHS).item() == pytest.approx(total, rel=1e-5)


def test_each_view_is_drawn_to_the_other_which_stands_still() -> None:
    given = logits()
    consistency_loss(given.log_softmax(-1), LENGTHS).backward()
    probs = given.detach().softmax(-1)
    difference = probs - torch.cat(probs.chunk(2)[::-1])
    difference[[1, 3], 2] = 0  # beyond their ends
    assert given.grad is not None
    assert torch.allclose(given.grad, 0.5 * difference, atol=1e-6)


def test_equal_views_agree() -> None:
    twice = torch.cat([logits()[:2]] * 2).log_softmax(-1)
    assert consistency_loss(twice, LENGTHS).item() == 0


def test_masks_over_time_grow() -> None:
    wide = widened(SpecAugmentConfig(time_masks=4, time_share=0.2), 2.5)
    assert (wide.time_masks, wide.time_share) == (10, 0.5)
    assert wide.frequency_masks == SpecAugmentConfig().frequency_masks


def sums(module: SpeechTraining, one: Batch, context: ChunkContext) -> dict[str, float]:
    torch.manual_seed(0)
    values = module.losses(one, context, augment=True)
    return dict(zip(SUMS, values.tolist(), strict=True))


@pytest.mark.parametrize("context", [ChunkContext(), ChunkContext(3, 4)])
def test_views_that_are_alike_are_one(
    build: Callable[..., SpeechTraining],  # noqa: F811
    batch: Batch,  # noqa: F811
    context: ChunkContext,
) -> None:
    """Losses are means over the views, labels and seconds count once."""
    extra = ("model.intermediate_ctc=[1]", NO_MASKS, "loss.mwer={nbest: 2, beam: 2}")
    padded = replace(
        batch,
        samples=torch.cat((batch.samples, torch.zeros_like(batch.samples[:1]))),
        lengths=torch.cat((batch.lengths, batch.lengths.new_zeros(1))),
        tokens=torch.cat((batch.tokens, batch.tokens[:1])),  # type: ignore[arg-type, index]
        token_lengths=torch.cat((batch.token_lengths, batch.lengths.new_zeros(1))),  # type: ignore[arg-type]
    )
    plain = sums(build(*extra), batch, context)
    views = sums(build(*extra, "loss.consistency_weight=0.2"), padded, context)
    assert views["consistency"] == pytest.approx(0, abs=1e-3)
    for name in set(SUMS) - {"consistency", "loss"}:
        assert views[name] == pytest.approx(plain[name], rel=1e-4), name
    assert views["labels"] > 0
    assert views["list_words"] > 0


def test_the_divergence_is_part_of_the_ctc_loss(
    build: Callable[..., SpeechTraining],  # noqa: F811
    batch: Batch,  # noqa: F811
) -> None:
    masks = "spec_augment={time_width: 5}"
    weights = ("loss.ctc_weight=0.4", "loss.consistency_weight=0.5")
    found = sums(build(*weights, masks), batch, ChunkContext())
    assert found["consistency"] > 0.01
    ctc = found["ctc"] + 0.5 * found["consistency"]
    assert found["loss"] == pytest.approx(0.4 * ctc + 0.6 * found["attention"], rel=1e-5)
    module = build(*weights, masks)
    assert sums(module, batch, ChunkContext()) == found
    dev = dict(zip(SUMS, module.losses(batch).tolist(), strict=True))
    assert dev["consistency"] == 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("loss.ctc_weight=0",), "set loss.ctc_weight above 0"),
        (("spec_augment=null",), "compares two views: set spec_augment"),
        (("loss.consistency_masking=4",), "makes spec_augment.time_share 1.2, which is above 1"),
        (("spec_augment.time_masks=900",), "spec_augment.time_masks 1125, which is above 1000"),
    ],
)
def test_what_does_not_go_together_is_refused(
    recipe: Callable[..., Recipe], overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe("loss.consistency_weight=0.2", *overrides)
