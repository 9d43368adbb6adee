"""Every decoder: step equals forward, rows are independent, reorder follows parents."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from asr.errors import ConfigError, ModelError
from asr.model import Decoder, ModelConfig, SpeechModel
from asr.model.registry import decoder_config
from asr.text.special_labels import END
from tests.model import gru_pair  # noqa: F401 (registers test-gru)

TOLERANCE = {"rtol": 0, "atol": 1e-5}
KINDS: dict[str, dict[str, Any]] = {
    "transformer": {"type": "transformer", "layers": 2, "dim": 16, "heads": 2, "ff": 32},
    "tied": {
        "type": "transformer", "layers": 1, "dim": 16, "heads": 2, "ff": 8, "tie_embedding": True
    },
    "whisper": {
        "type": "whisper", "layers": 2, "dim": 16, "heads": 2, "ff": 32, "positions": 12
    },
    "test-gru": {"type": "test-gru"},
    **{
        f"{cell}-{attention}": {
            "type": cell, "layers": 1 + (cell == "gru"), "dim": 12, "attention": attention,
            "attention_dim": 6, "filters": 3, "kernel": 5, "heads": 3,
        }
        for cell in ("lstm", "gru")
        for attention in ("none", "additive", "dot", "general", "location", "multihead")
    },
    "lstm-unfed": {
        "type": "lstm", "dim": 12, "input_feeding": False, "tie_embedding": True, "kernel": 3
    },
}  # fmt: skip
RECURRENT = [kind for kind in KINDS if kind.startswith(("lstm", "gru"))]
VOCABULARY = 9


def decoder(kind: str) -> Decoder:
    torch.manual_seed(5)
    config = ModelConfig.model_validate({"decoder": KINDS[kind], "encoder": {"type": "test-gru"}})
    module = SpeechModel(config, VOCABULARY).decoder
    assert module is not None
    return module.eval()


def example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    memory = torch.randn(3, 11, 16, generator=generator)
    tokens = torch.randint(3, VOCABULARY, (3, 6), generator=generator)
    tokens[:, 0] = END
    return tokens, memory, torch.tensor([11, 4, 7])


@pytest.mark.parametrize("kind", KINDS)
def test_step_equals_forward(kind: str) -> None:
    module, (tokens, memory, lengths) = decoder(kind), example()
    with torch.inference_mode():
        expected = module(tokens, memory, lengths).log_softmax(dim=-1)
        state = module.initial_state(memory, lengths)
        for place in range(tokens.shape[1]):
            log_probs, state = module.step(tokens[:, place], state)
            torch.testing.assert_close(log_probs, expected[:, place], **TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind: str) -> None:
    module, (tokens, memory, lengths) = decoder(kind), example()
    with torch.inference_mode():
        whole = module(tokens, memory, lengths)
        for row, length in enumerate(lengths.tolist()):
            alone = module(tokens[row : row + 1], memory[row : row + 1, :length], lengths[row:][:1])
            torch.testing.assert_close(whole[row : row + 1], alone, **TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_follow_their_parents(kind: str) -> None:
    """Grow 1 row to 3 an utterance, mix them, let the middle utterance leave."""
    module, (_, memory, lengths) = decoder(kind), example()
    with torch.inference_mode():
        state = module.initial_state(memory, lengths)
        _, state = module.step(torch.full((3,), END), state)
        state = module.reorder(state, torch.arange(3).repeat_interleave(3))
        _, state = module.step(torch.tensor([3, 4, 5] * 3), state)
        state = module.reorder(state, torch.tensor([2, 0, 0, 7, 8, 8]))
        log_probs, _ = module.step(torch.tensor([6, 7, 8, 3, 4, 5]), state)
    histories = [(0, [5, 6]), (0, [3, 7]), (0, [3, 8]), (2, [4, 3]), (2, [5, 4]), (2, [5, 5])]
    for row, (utterance, labels) in enumerate(histories):
        tokens = torch.tensor([[END, *labels]])
        with torch.inference_mode():
            logits = module(tokens, memory[utterance : utterance + 1], lengths[utterance:][:1])
        expected = logits[0, -1].log_softmax(dim=-1)
        torch.testing.assert_close(log_probs[row], expected, **TOLERANCE)


@pytest.mark.parametrize("kind", ["transformer", "whisper"])
def test_attention_weights_are_those_of_forward(kind: str) -> None:
    module, (tokens, memory, lengths) = decoder(kind), example()
    with torch.inference_mode():
        weights = module.attention(tokens, memory, lengths)
    assert weights.shape == (3, 2, 2, 6, 11)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 2, 2, 6))
    assert weights[1, ..., 4:].abs().max() == 0


@pytest.mark.parametrize("kind", ["transformer", "whisper", *RECURRENT])
def test_an_empty_memory_gives_finite_predictions(kind: str) -> None:
    module = decoder(kind)
    with torch.inference_mode():
        state = module.initial_state(torch.zeros(2, 0, 16), torch.tensor([0, 0]))
        log_probs, _ = module.step(torch.full((2,), END), state)
    assert log_probs.isfinite().all()


@pytest.mark.parametrize("kind", ["tied", "lstm-unfed"])
def test_tied_embedding_is_one_matrix(kind: str) -> None:
    module = decoder(kind)
    assert module.to_logits.weight is module.embedding.weight


@pytest.mark.parametrize("kind", KINDS)
def test_priming_equals_stepping(kind: str) -> None:
    """Rows with different numbers of labels, which then go on as a beam."""
    module, (tokens, memory, lengths) = decoder(kind), example()
    counts = torch.tensor([6, 1, 3])
    with torch.inference_mode():
        expected = module(tokens, memory, lengths).log_softmax(dim=-1)
        log_probs, state = module.prime(tokens, counts, memory, lengths)
        for row, count in enumerate(counts.tolist()):
            torch.testing.assert_close(log_probs[row, :count], expected[row, :count], **TOLERANCE)
        _, state = module.step(torch.tensor([3, 4, 5]), state)
        state = module.reorder(state, torch.tensor([0, 0, 1, 1, 2, 2]))
        log_probs, _ = module.step(torch.tensor([6, 7, 6, 7, 6, 7]), state)
        for row, count in enumerate(counts.tolist()):
            for label in (6, 7):
                said = torch.tensor([[*tokens[row, :count].tolist(), 3 + row, label]])
                alone = module(said, memory[row : row + 1], lengths[row : row + 1])
                torch.testing.assert_close(
                    log_probs[2 * row + label - 6], alone[0, -1].log_softmax(-1), **TOLERANCE
                )


@pytest.mark.parametrize("kind", KINDS)
def test_priming_leaves_out_log_probs_that_are_not_asked_for(kind: str) -> None:
    module, (tokens, memory, lengths) = decoder(kind), example()
    counts = torch.tensor([6, 3, 4])
    with torch.inference_mode():
        whole, _ = module.prime(tokens, counts, memory, lengths)
        log_probs, state = module.prime(tokens, counts, memory, lengths, since=2)
        for row, count in enumerate(counts.tolist()):
            torch.testing.assert_close(log_probs[row, : count - 2], whole[row, 2:count])
        assert log_probs.shape[1] == tokens.shape[1] - 2
        log_probs, _ = module.step(torch.tensor([3, 4, 5]), state)
    assert log_probs.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_one_utterance_are_primed_as_if_each_had_its_own(kind: str) -> None:
    module, (tokens, memory, lengths) = decoder(kind), example()
    counts = torch.tensor([6, 1, 3])
    rows = torch.stack((tokens, tokens.flip(1).clamp(min=3)), dim=1).flatten(0, 1)
    rows[:, 0] = END
    labels = torch.arange(3, 9)
    with torch.inference_mode():
        said, state = module.prime(rows, counts, memory, lengths)
        apart = (counts.repeat_interleave(2), memory.repeat_interleave(2, 0))
        expected, alone = module.prime(rows, *apart, lengths.repeat_interleave(2))
        for row, count in enumerate(apart[0].tolist()):
            torch.testing.assert_close(said[row, :count], expected[row, :count], **TOLERANCE)
        following, state = module.step(labels, state)
        torch.testing.assert_close(following, module.step(labels, alone)[0], **TOLERANCE)
        state = module.reorder(state, torch.tensor([1, 0, 1, 4, 4, 5]))  # the second one is done
        after, _ = module.step(labels, state)
        assert after.isfinite().all()


@pytest.mark.parametrize("kind", [kind for kind in RECURRENT if not kind.endswith("none")])
def test_recurrent_attention_looks_at_real_frames_only(kind: str) -> None:
    module, (tokens, memory, lengths) = decoder(kind), example()
    with torch.inference_mode():
        weights = module.attention(tokens, memory, lengths)
    heads = 3 if kind.endswith("multihead") else 1
    assert weights.shape == (3, 1, heads, 6, 11)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 1, heads, 6))
    assert weights[1, ..., 4:].abs().max() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_forward_with_attention_to_align_by(kind: str) -> None:
    module, (tokens, memory, lengths) = decoder(kind), example()
    with torch.inference_mode():
        logits, weights = module.forward_attended(tokens, memory, lengths)
        torch.testing.assert_close(logits, module(tokens, memory, lengths), **TOLERANCE)
    if kind.endswith("none") or kind == "test-gru":
        assert weights is None
        return
    assert weights is not None
    every = module.attention(tokens, memory, lengths)
    torch.testing.assert_close(weights, every[:, every.shape[1] // 2 :].flatten(1, 2))


def test_without_attention_there_is_nothing_to_look_at() -> None:
    module, (tokens, memory, lengths) = decoder("lstm-none"), example()
    with pytest.raises(ModelError, match="attention: none has no attention weights"):
        module.attention(tokens, memory, lengths)
    with torch.inference_mode():  # it knows the first and the last frame, and no other
        changed = memory.clone()
        changed[0, 1:10] += 1.0
        assert torch.equal(module(tokens, changed, lengths)[0], module(tokens, memory, lengths)[0])
        changed[0, 10] += 1.0
        assert not torch.equal(
            module(tokens, changed, lengths)[0], module(tokens, memory, lengths)[0]
        )


@pytest.mark.parametrize("kind", RECURRENT)
def test_the_memory_is_kept_once_for_all_hypotheses_of_an_utterance(kind: str) -> None:
    module, (_, memory, lengths) = decoder(kind), example()
    with torch.inference_mode():
        state = module.initial_state(memory, lengths)
        before = state.memory
        state = module.reorder(state, torch.arange(3).repeat_interleave(4))
        assert state.memory is before
        _, state = module.step(torch.full((12,), END), state)
        state = module.reorder(state, torch.tensor([1, 1, 8, 11]))
    assert len(state.memory.keys) == len(state.memory.values) == 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kernel": 4}, "kernel 4 must be odd"),
        ({"attention": "multihead", "dim": 10, "heads": 4}, "dim 10 must be a multiple of heads"),
    ],
)
def test_recurrent_settings_that_do_not_fit(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        decoder_config({"type": "gru", **values})
