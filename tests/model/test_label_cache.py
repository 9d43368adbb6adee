"""The tree of labels: a beam equals the same hypotheses decoded one by one; states are values."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.model.label_cache import LabelCache
from asr.model.transformer_decoder import TransformerDecoder, TransformerDecoderConfig
from asr.text.special_labels import END

VOCABULARY = 11


def decoder_and_memory(utterances: int) -> tuple[TransformerDecoder, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    config = TransformerDecoderConfig(layers=2, dim=8, heads=2, ff=16)
    memory = torch.randn(utterances, 6, 8, dtype=torch.float64)
    lengths = torch.tensor([6, 4, 5])[:utterances]
    return TransformerDecoder(config, VOCABULARY, 8).double().eval(), memory, lengths


def check_rows(decoder, memory, lengths, utterances, prefixes, log_probs):  # type: ignore[no-untyped-def]
    """Each row says what teacher forcing says after its own prefix."""
    tokens = torch.tensor([[END, *prefix] for prefix in prefixes])
    expected = decoder(tokens, memory[utterances], lengths[utterances])[:, -1].log_softmax(-1)
    torch.testing.assert_close(log_probs, expected, rtol=0, atol=1e-10)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(data=st.data())
def test_any_beam_equals_teacher_forcing(data: st.DataObject) -> None:
    """Rows follow random parents for many steps, widths change, utterances leave."""
    decoder, memory, lengths = decoder_and_memory(3)
    left, rows = [0, 1, 2], 1
    prefixes: list[list[int]] = [[], [], []]
    with torch.inference_mode():
        state = decoder.initial_state(memory, lengths)
        log_probs, state = decoder.step(torch.full((3,), END), state)
        for _ in range(data.draw(st.integers(1, 40))):
            width = data.draw(st.integers(1, 4))
            stay = data.draw(st.lists(st.booleans(), min_size=len(left), max_size=len(left)))
            places = [n for n, keep in enumerate(stay) if keep] or list(range(len(left)))
            one = st.integers(0, rows - 1)
            parents = [p * rows + data.draw(one) for p in places for _ in range(width)]
            tokens = [data.draw(st.integers(3, VOCABULARY - 1)) for _ in parents]
            prefixes = [[*prefixes[p], t] for p, t in zip(parents, tokens, strict=True)]
            left, rows = [left[p] for p in places], width
            state = decoder.reorder(state, torch.tensor(parents))
            log_probs, state = decoder.step(torch.tensor(tokens), state)
            utterances = [n for n in left for _ in range(width)]
            check_rows(decoder, memory, lengths, utterances, prefixes, log_probs)


def test_a_state_can_be_continued_twice() -> None:
    """Each of two continuations keeps its own past, whether or not there was room behind both."""
    decoder, memory, lengths = decoder_and_memory(1)
    with torch.inference_mode():
        _, start = decoder.step(torch.tensor([END]), decoder.initial_state(memory, lengths))
        said: list[int] = []
        for _ in range(6):
            _, first = decoder.step(torch.tensor([3]), start)
            _, second = decoder.step(torch.tensor([4]), start)
            for state, label in ((first, 3), (second, 4)):
                log_probs, _ = decoder.step(torch.tensor([5]), state)
                check_rows(decoder, memory, lengths, [0], [[*said, label, 5]], log_probs)
            start, said = first, [*said, 3]


@pytest.mark.parametrize("rows", [1, 8])
def test_what_nobody_needs_is_removed(rows: int) -> None:
    """All rows always continue the first: few nodes are needed, and not many more are kept."""
    cache = LabelCache.empty(1, 2, 1, torch.zeros(1), 2)
    for step in range(200):
        width = rows if step else 1
        cache = cache.extended()
        first = torch.arange(2) * width
        cache = cache.reordered(first.repeat_interleave(rows), None)
    assert cache.labels == 200
    assert bool((cache.past.sum(2) == 200).all())
    assert cache.size <= 2 * 200 + 16 * rows
