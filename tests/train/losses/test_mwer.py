"""Expected word errors and their gradient, against enumeration, one hypothesis at a time."""

from __future__ import annotations

import math
from itertools import product

import jiwer
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from asr.errors import ConfigError
from asr.model import ModelConfig, SpeechModel
from asr.search import SearchConfig, joint_scorers, search
from asr.text.characters import CharacterTokenizer
from asr.text.special_labels import END, LABELS
from asr.train.losses.mwer import (
    MwerConfig,
    NBestBatch,
    expected_errors,
    log_probs,
    mwer_loss,
    nbest_lists,
    word_errors,
)

#: Every sequence of at most two of the labels 3 (a space) and 4 (a).
ALL = [labels for size in range(3) for labels in product((3, 4), repeat=size)]
TEXTS = ("a", "")
LENGTHS = torch.tensor([6, 4])


@pytest.fixture
def tokenizer() -> CharacterTokenizer:
    return CharacterTokenizer([" ", "a"])


def tiny(decoder: bool = True, ctc: bool = True, dropout: float = 0.0) -> SpeechModel:
    torch.manual_seed(1)
    encoder = {"type": "conformer", "layers": 1, "dim": 8, "heads": 2, "ff": 8, "kernel": 3}
    attention = {"layers": 1, "dim": 8, "heads": 2, "ff": 8, "dropout": dropout}
    config = ModelConfig.model_validate(
        {
            "encoder": encoder,
            "decoder": {"type": "transformer", **attention} if decoder else None,
            "ctc": ctc,
        }
    )
    return SpeechModel(config, 5)


def some_memory() -> Tensor:
    return torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(2)).requires_grad_()


def alone(
    model: SpeechModel, memory: Tensor, size: int, labels: tuple[int, ...], weight: float
) -> Tensor:
    """Log probability of one hypothesis of one utterance (1, M, D), without any padding."""
    memory, sizes, total = memory[:, :size], torch.tensor([size]), torch.zeros(())
    if weight < 1:
        assert model.decoder is not None
        logits = model.decoder(torch.tensor([[END, *labels]]), memory, sizes)[0]
        said = logits.log_softmax(-1)[torch.arange(len(labels) + 1), [*labels, END]]
        total = total + (1 - weight) * said.sum()
    if weight > 0:
        posteriors = model.ctc_log_probs(memory).transpose(0, 1)
        tokens = torch.tensor([labels], dtype=torch.long)
        count = torch.tensor([len(labels)])
        path = torch.nn.functional.ctc_loss(posteriors, tokens, sizes, count, reduction="sum")
        total = total - weight * path
    return total


def enumerated(model: SpeechModel, memory: Tensor, weight: float) -> Tensor:
    """The expected errors over all sequences of at most two labels."""
    total = torch.zeros(())
    for row, (text, size) in enumerate(zip(TEXTS, LENGTHS.tolist(), strict=True)):
        scores = [alone(model, memory[row : row + 1], size, one, weight) for one in ALL]
        written = ["".join({3: " ", 4: "a"}[label] for label in one).split() for one in ALL]
        wrong = [_edits(text.split(), words) for words in written]
        total = total + (torch.stack(scores).softmax(0) * torch.tensor(wrong)).sum()
    return total


def _edits(one: list[str], other: list[str]) -> int:
    """Levenshtein distance by its definition."""
    if not one or not other:
        return len(one) + len(other)
    kept = _edits(one[1:], other[1:]) + (one[0] != other[0])
    return min(kept, 1 + _edits(one[1:], other), 1 + _edits(one, other[1:]))


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_list_of_everything_gives_the_expectation_and_its_gradient(
    tokenizer: CharacterTokenizer, weight: float
) -> None:
    model, memory = tiny(), some_memory()
    # 64: every hypothesis stays open, whatever it scores
    config = MwerConfig(nbest=64, beam=64, ctc_weight=weight, max_labels=2)
    lists = nbest_lists(model, memory, LENGTHS, LABELS, config.search)
    assert [sorted(found) for found in lists] == [sorted(ALL)] * 2
    found = mwer_loss(model, memory, LENGTHS, TEXTS, tokenizer, config)
    expected = enumerated(model, memory, weight)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    weights = [one for one in model.parameters() if one.requires_grad]
    gradients = torch.autograd.grad(found, [memory, *weights], allow_unused=True)
    theirs = torch.autograd.grad(expected, [memory, *weights], allow_unused=True)
    used = 0
    for one, other in zip(gradients, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert torch.allclose(one, other, atol=1e-5)
            used += 1
    assert used > 2
    assert not gradients[0][1, 4:].any()  # beyond the second utterance's end


def test_the_gradient_is_the_slope(tokenizer: CharacterTokenizer) -> None:
    model, memory = tiny(), some_memory()
    config = MwerConfig(nbest=64, beam=64, max_labels=2)
    direction = torch.randn(memory.shape, generator=torch.Generator().manual_seed(3))

    def at(step: float) -> Tensor:
        moved = memory + step * direction
        return mwer_loss(model, moved, LENGTHS, TEXTS, tokenizer, config)

    (gradient,) = torch.autograd.grad(at(0.0), memory)
    slope = (at(0.01) - at(-0.01)).item() / 0.02
    assert abs(slope) > 0.001
    assert (gradient * direction).sum().item() == pytest.approx(slope, rel=0.02)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    st.lists(
        st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 9)), min_size=1, max_size=4),
        min_size=1,
        max_size=3,
    )
)
def test_expected_errors_of_any_lists(lists: list[list[tuple[float, int]]]) -> None:
    rows = NBestBatch.of([[(3,)] * len(found) for found in lists], torch.device("cpu"))
    flat = [pair for found in lists for pair in found]
    scores = torch.tensor([one for one, _ in flat], dtype=torch.float64, requires_grad=True)
    errors = torch.tensor([one for _, one in flat], dtype=torch.float64)
    expected = expected_errors(scores, errors, rows, len(lists))
    for found, value in zip(lists, expected.tolist(), strict=True):
        weights = [math.exp(score) for score, _ in found]
        mean = sum(w * n for w, (_, n) in zip(weights, found, strict=True)) / sum(weights)
        assert value == pytest.approx(mean, abs=1e-9)
    assert torch.autograd.gradcheck(lambda x: expected_errors(x, errors, rows, len(lists)), scores)
    # subtracting each list's mean number of errors, as the paper does, changes no gradient
    means = [sum(n for _, n in found) / len(found) for found in lists]
    less = errors - torch.tensor(means, dtype=torch.float64)[rows.utterance]
    ours, theirs = (
        torch.autograd.grad(expected_errors(scores, one, rows, len(lists)).sum(), scores)[0]
        for one in (errors, less)
    )
    assert torch.allclose(ours, theirs, atol=1e-12)


def test_it_falls_until_the_right_words_are_likeliest(tokenizer: CharacterTokenizer) -> None:
    model, memory = tiny().train(), some_memory().detach()
    config, texts = MwerConfig(nbest=16, beam=16, max_labels=3), ("a a", "a")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    values = []
    for _ in range(80):
        loss = mwer_loss(model, memory, LENGTHS, texts, tokenizer, config)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[0] > 1
    assert values[-1] < 0.1
    best = nbest_lists(model, memory, LENGTHS, LABELS, config.search)
    assert tuple(tokenizer.decode(found[0]).strip() for found in best) == texts


def test_lists_are_those_of_transcription_and_nothing_is_drawn() -> None:
    model, memory = tiny(dropout=0.5).train(), some_memory()
    wanted = SearchConfig(beam=4, nbest=3)
    before = torch.get_rng_state()
    found = nbest_lists(model, memory, LENGTHS, LABELS, wanted)
    assert torch.equal(before, torch.get_rng_state())
    assert model.decoder is not None
    assert all(module.training for module in model.decoder.modules())
    model.eval()
    heard = search(joint_scorers(model, LABELS, 0.3), memory.detach(), LENGTHS, LABELS, wanted)
    assert found == [[one.tokens for one in hypotheses] for hypotheses in heard]
    assert all(len(one) == 3 for one in found)


@pytest.mark.parametrize(("decoder", "ctc"), [(True, False), (False, True)])
def test_models_with_one_half_use_it(
    tokenizer: CharacterTokenizer, decoder: bool, ctc: bool
) -> None:
    model, memory = tiny(decoder, ctc), some_memory()
    config = MwerConfig(nbest=64, beam=64, max_labels=2)
    found = mwer_loss(model, memory, LENGTHS, TEXTS, tokenizer, config)
    expected = enumerated(model, memory, 0.0 if decoder else 1.0)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


def test_utterances_without_a_frame_and_bfloat16(tokenizer: CharacterTokenizer) -> None:
    model, memory = tiny(), some_memory()
    config = MwerConfig(max_labels=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = mwer_loss(model, memory, torch.tensor([6, 0]), TEXTS, tokenizer, config)
    assert loss.dtype == torch.float32
    loss.backward()
    assert memory.grad is not None
    assert memory.grad[0].any()
    assert not memory.grad[1].any()
    exact = mwer_loss(model, memory, torch.tensor([6, 0]), TEXTS, tokenizer, config)
    assert loss.item() == pytest.approx(exact.item(), rel=0.05)


def test_memory_that_is_not_finite_makes_a_loss_that_training_skips(
    tokenizer: CharacterTokenizer,
) -> None:
    memory = some_memory().detach().clone()
    memory[0, 0, 0] = math.nan
    assert math.isnan(mwer_loss(tiny(), memory, LENGTHS, TEXTS, tokenizer, MwerConfig()))


WORDS = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=4).map(" ".join)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(WORDS, st.lists(WORDS, min_size=1, max_size=3))
def test_errors_are_counted_as_jiwer_does(text: str, found: list[str]) -> None:
    counted = word_errors([text, "x"], [found, ["x", "y z"]])
    for one, errors in zip(found, counted, strict=False):
        if text:
            done = jiwer.process_words(text, one)
            assert errors == done.substitutions + done.deletions + done.insertions
        else:
            assert errors == len(one.split())
    assert counted[-2:] == [0, 2]


def test_hypotheses_in_rows() -> None:
    rows = NBestBatch.of([[(3, 4), ()], [(5,)]], torch.device("cpu"))
    assert rows.tokens[:, :2].tolist() == [[3, 4], [0, 0], [5, 0]]
    assert rows.token_lengths.tolist() == [2, 0, 1]
    assert rows.utterance.tolist() == [0, 0, 1]
    assert rows.rank.tolist() == [0, 1, 0]
    model, memory = tiny(), some_memory()
    found = log_probs(model, memory, LENGTHS, NBestBatch.of([ALL, ALL], memory.device), LABELS, 0.3)
    for place, (row, labels) in enumerate(product(range(2), ALL)):
        size = int(LENGTHS[row])
        assert found[place].item() == pytest.approx(
            alone(model, memory[row : row + 1], size, labels, 0.3).item(), rel=1e-4
        )


def test_a_list_longer_than_the_beam_is_refused() -> None:
    from asr.config import parse

    with pytest.raises(ConfigError, match=r"nbest \(8\) is more than beam \(4\): raise beam"):
        parse(MwerConfig, {"nbest": 8}, "loss.mwer")
