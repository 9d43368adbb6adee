"""Every encoder: stepped equals parallel, padding changes nothing, contexts are honoured."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from asr.errors import ConfigError, ModelError
from asr.model import FULL_CONTEXT, ChunkContext, Encoder, ModelConfig, SpeechModel
from asr.model.registry import encoder_config
from asr.model.self_attending import SelfAttendingEncoder
from tests.model import gru_pair  # noqa: F401 (registers test-gru)

# float32 sums in another order: convolutions and attention differ by a few 1e-6 between shapes
TOLERANCE = {"rtol": 0, "atol": 1e-5}
EXACT = settings(deadline=None, derandomize=True, max_examples=25)
SMALL: dict[str, Any] = {
    "layers": 2,
    "dim": 16,
    "heads": 2,
    "ff": 32,
    "kernel": 5,
    "type": "conformer",
}
KINDS: dict[str, dict[str, Any]] = {
    "conformer-4": {**SMALL, "subsampling": {"factor": 4, "channels": 4}},
    "conformer-8": {**SMALL, "subsampling": {"factor": 8, "channels": 4}},
    "test-gru": {"type": "test-gru"},
    "lstm-backwards": {
        "type": "lstm", "layers": 2, "dim": 8, "backwards": True, "pyramid": 1,
        "subsampling": {"channels": 4},
    },
    "transformer": {
        "type": "transformer", "layers": 2, "dim": 16, "heads": 2, "ff": 32,
        "subsampling": {"channels": 4},
    },
    "whisper": {
        "type": "whisper", "layers": 2, "dim": 16, "heads": 2, "ff": 32, "positions": 46,
        "circular_positions": True,
    },
    **{
        f"{cell}{'-both' if both else ''}-{time}": {
            "type": cell, "layers": 2, "dim": 8, "bidirectional": both, **shape
        }
        for cell in ("lstm", "gru")
        for both in (False, True)
        for time, shape in {
            "4": {"subsampling": {"channels": 4}, "projection": 6},
            "pyramid-2": {"subsampling": None, "pyramid": 1, "layer_norm": False},
            "pyramid-16": {"subsampling": {"channels": 4}, "pyramid": 2},
        }.items()
    },
}  # fmt: skip


@cache
def encoder(kind: str) -> Encoder:
    torch.manual_seed(3)
    config = ModelConfig.model_validate({"encoder": KINDS[kind], "frontend": {"mels": 12}})
    return SpeechModel(config, 7).encoder.eval()


def contexts(kind: str) -> Sequence[ChunkContext]:
    if kind == "test-gru":
        return [FULL_CONTEXT, ChunkContext(4, 0)]
    if kind == "lstm-backwards":
        return [FULL_CONTEXT]
    return [FULL_CONTEXT, ChunkContext(1, 0), ChunkContext(3, 2), ChunkContext(4, 9)]


def stepped(
    module: Encoder, features: Tensor, cuts: Sequence[int], context: ChunkContext
) -> Tensor:
    state, memory = module.initial_state(len(features), context), []
    edges = [0, *sorted(cuts), features.shape[1]]
    for number, (start, end) in enumerate(pairwise(edges)):
        final = number == len(edges) - 2
        frames, state = module.step(features[:, start:end], state, final)
        memory.append(frames)
    return torch.cat(memory, dim=1)


@pytest.mark.parametrize("kind", KINDS)
@EXACT
@given(data=st.data())
def test_stepped_equals_parallel(kind: str, data: st.DataObject) -> None:
    module = encoder(kind)
    frames = data.draw(st.integers(0, 90))
    cuts = data.draw(st.lists(st.integers(0, frames), max_size=6))
    context = data.draw(st.sampled_from(contexts(kind)))
    features = torch.randn(2, frames, 12, generator=torch.Generator().manual_seed(frames))
    with torch.inference_mode():
        whole, lengths = module(features, torch.tensor([frames, frames]), context)
        parts = stepped(module, features, cuts, context)
    assert lengths.tolist() == [whole.shape[1]] * 2
    torch.testing.assert_close(parts, whole, **TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
@EXACT
@given(data=st.data())
def test_padding_and_neighbours_change_nothing(kind: str, data: st.DataObject) -> None:
    module = encoder(kind)
    short, long = data.draw(st.integers(0, 50)), data.draw(st.integers(51, 90))
    context = data.draw(st.sampled_from(contexts(kind)))
    features = torch.randn(2, long, 12, generator=torch.Generator().manual_seed(long))
    with torch.inference_mode():
        alone, length = module(features[:1, :short], torch.tensor([short]), context)
        both, lengths = module(features, torch.tensor([short, long]), context)
    assert lengths[0] == length[0] == alone.shape[1]
    torch.testing.assert_close(both[:1, : alone.shape[1]], alone, **TOLERANCE)


@pytest.mark.parametrize("kind", ["conformer-4", "conformer-8"])
def test_a_chunk_sees_itself_and_left_and_nothing_else(kind: str) -> None:
    """One layer, so that the reach of a frame is that of its context, not of stacked ones."""
    torch.manual_seed(3)
    values = {**KINDS[kind], "layers": 1, "kernel": 1}
    module = SpeechModel(
        ModelConfig.model_validate({"encoder": values, "frontend": {"mels": 12}}), 7
    ).encoder.eval()
    context, factor = ChunkContext(4, 2), module.subsampling.factor
    features = torch.randn(1, 16 * factor, 12, requires_grad=True)
    memory, _ = module(features, torch.tensor([16 * factor]), context)
    # frame 9 is in chunk 8..11; it sees frames 6..11 (a plain sum of a normed frame is constant)
    (memory[0, 9] * torch.randn(16)).sum().backward()
    assert features.grad is not None
    touched = features.grad[0].abs().sum(dim=1).nonzero().flatten().tolist()
    assert min(touched) == 6 * factor
    assert max(touched) == 11 * factor + module.subsampling.window - 1


def test_full_context_needs_the_end() -> None:
    module = encoder("conformer-4")
    state = module.initial_state(1, FULL_CONTEXT)
    memory, state = module.step(torch.randn(1, 50, 12), state, final=False)
    assert memory.shape == (1, 0, 16)
    memory, _ = module.step(torch.randn(1, 0, 12), state, final=True)
    assert memory.shape == (1, 13, 16)


def test_a_state_can_be_pickled_and_shared() -> None:
    module = encoder("conformer-8")
    features = torch.randn(1, 80, 12)
    with torch.inference_mode():
        _, state = module.step(features, module.initial_state(1, ChunkContext(2, 4)), False)
        copied = pickle.loads(pickle.dumps(state))
        first, _ = module.step(features, state, True)
        second, _ = module.step(features, copied, True)
        third, _ = module.step(features, state, True)  # stepping did not change the state
    assert torch.equal(first, second)
    assert torch.equal(first, third)


def test_taps_are_the_normed_layers() -> None:
    module = encoder("conformer-4")
    features, lengths = torch.randn(1, 40, 12), torch.tensor([40])
    with torch.inference_mode():
        memory, _, taps = module.forward_tapped(features, lengths, FULL_CONTEXT, (1, 2))
    assert len(taps) == 2
    assert torch.equal(taps[1], memory)
    assert not torch.allclose(taps[0], memory)


def test_layer_drop_skips_layers_in_training_only() -> None:
    values = {**KINDS["conformer-4"], "layer_drop": 0.9, "dropout": 0.0}
    config = ModelConfig.model_validate({"encoder": values, "frontend": {"mels": 12}})
    module = SpeechModel(config, 7).encoder
    features, lengths = torch.randn(1, 40, 12), torch.tensor([40])
    torch.manual_seed(0)
    drawn = {module(features, lengths)[0].sum().item() for _ in range(40)}
    assert 1 < len(drawn) <= 4  # two layers: each is there or not
    module.eval()
    assert torch.equal(module(features, lengths)[0], module(features, lengths)[0])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith(("lstm-4", "gru-pyr"))])
def test_one_direction_hears_the_same_in_chunks_of_any_size(kind: str) -> None:
    """What it says of a frame depends on nothing that follows, so streams are exact."""
    module = encoder(kind)
    features, lengths = torch.randn(1, 90, 12), torch.tensor([90])
    with torch.inference_mode():
        whole, _ = module(features, lengths)
        for context in (FULL_CONTEXT, ChunkContext(1, 0), ChunkContext(7, 3)):
            torch.testing.assert_close(module(features, lengths, context)[0], whole, **TOLERANCE)
            parts = stepped(module, features, [20, 31, 77], context)
            torch.testing.assert_close(parts, whole, **TOLERANCE)


def test_both_directions_see_their_chunk_and_all_before_it() -> None:
    module = encoder("lstm-both-4")
    features = torch.randn(1, 48, 12, requires_grad=True)
    memory, _ = module(features, torch.tensor([48]), ChunkContext(4, 0))
    (memory[0, 5] * torch.randn(memory.shape[2])).sum().backward()
    assert features.grad is not None
    touched = features.grad[0].abs().sum(dim=1).nonzero().flatten().tolist()
    assert min(touched) == 0
    assert max(touched) == 7 * 4 + 6  # frame 7 is the last of the chunk of frame 5


def test_backwards_reads_from_the_end_and_refuses_chunks() -> None:
    module = encoder("lstm-backwards")
    features = torch.randn(1, 64, 12, requires_grad=True)
    memory, _ = module(features, torch.tensor([64]))
    (memory[0, 3] * torch.randn(8)).sum().backward()
    assert features.grad is not None
    touched = features.grad[0].abs().sum(dim=1).nonzero().flatten().tolist()
    assert (min(touched), max(touched)) == (3 * 8, 63)
    with pytest.raises(ModelError, match="needs the whole utterance"):
        module.initial_state(1, ChunkContext(4, 0))
    with pytest.raises(ModelError, match="train one that reads forwards"):
        module(features, torch.tensor([64]), ChunkContext(4, 0))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pyramid": 3, "layers": 2}, "pyramid 3 must not be above layers 2"),
        ({"backwards": True, "bidirectional": True}, "backwards is for one direction"),
    ],
)
def test_recurrent_settings_that_do_not_go_together(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        encoder_config({"type": "lstm", **values})


@pytest.mark.parametrize("kind", ["conformer-4", "transformer"])
@pytest.mark.parametrize("layers", [2, 3, 4, 7])
def test_a_deeper_encoder_begins_as_the_one_it_grew_from(kind: str, layers: int) -> None:
    torch.manual_seed(0)
    encoder = SpeechModel(ModelConfig.model_validate({"encoder": KINDS[kind]}), 5).encoder.eval()
    assert isinstance(encoder, SelfAttendingEncoder)
    for norm in (one for one in encoder.modules() if isinstance(one, torch.nn.LayerNorm)):
        torch.nn.init.normal_(norm.weight, 1, 0.3)
        torch.nn.init.normal_(norm.bias, 0, 0.3)
    features, lengths = torch.randn(2, 90, 80), torch.tensor([90, 61])
    context = ChunkContext(4, 8)
    with torch.no_grad():
        before, count = encoder(features, lengths, context)
        places = encoder.deepen(layers)
        after, _ = encoder(features, lengths, context)
        stepped, _ = encoder.step(features[:1], encoder.initial_state(1, context), True)
    assert sum(places) == len(encoder.layers) == layers
    # a norm of what is normed already: its epsilon counts again, beside a variance of about 0.1
    torch.testing.assert_close(after, before, rtol=0, atol=1e-3)
    torch.testing.assert_close(stepped, before[:1, : count[0]], rtol=0, atol=1e-3)


def test_all_layers_of_a_deeper_encoder_learn() -> None:
    torch.manual_seed(0)
    config = ModelConfig.model_validate({"encoder": KINDS["conformer-4"]})
    encoder = SpeechModel(config, 5).encoder
    assert isinstance(encoder, SelfAttendingEncoder)
    encoder.deepen(5)
    memory, _ = encoder(torch.randn(1, 90, 80), torch.tensor([90]))
    memory.square().mean().backward()
    for layer in encoder.layers:
        for end in layer.branch_ends():
            assert end.weight.grad is not None
            assert end.weight.grad.abs().max() > 0
