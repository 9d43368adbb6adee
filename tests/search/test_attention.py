"""The attention scorer around the real Transformer decoder, and the choice of candidates."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import ModelError
from asr.model.transformer_decoder import TransformerDecoder, TransformerDecoderConfig
from asr.search import AttentionScorer, SearchConfig, WeightedScorer, continue_search, search
from asr.search.beam import _best
from asr.text.special_labels import LABELS
from asr.text.tokenizer import Labels
from tests.search import oracles
from tests.search.models import Counting, Head, memory_of
from tests.search.test_beam import attention, ctc, same

exact = settings(derandomize=True, deadline=None, max_examples=15)


def transformer(vocabulary):
    torch.manual_seed(3)
    config = TransformerDecoderConfig(layers=2, dim=8, heads=2, ff=16)
    decoder = TransformerDecoder(config, vocabulary, memory_dim=4).double().eval()
    decoder.to_logits.weight.data *= 8
    return decoder


@exact
@given(seed=st.integers(0, 10_000), frames=st.integers(1, 4))
def test_the_transformer_decoder_equals_brute_force(seed, frames):
    decoder, head = transformer(6), Head(seed, 6, sharp=2.0)
    memory, lengths = memory_of(seed, [frames])
    config = SearchConfig(beam=200, nbest=5, pre_beam=10)
    (got,) = search([attention(decoder, 0.7), ctc(head, 0.3)], memory, lengths, LABELS, config)
    scores = {
        "attention": (0.7, oracles.attention_score(decoder, memory[0])),
        "ctc": (0.3, oracles.ctc_score(head, memory[0])),
    }
    expected = oracles.brute_force(scores, 6, frames)[:5]
    assert [one.tokens for one in got] == [tokens for _, tokens, _ in expected]
    assert torch.allclose(
        torch.tensor([one.score for one in got]),
        torch.tensor([score for score, _, _ in expected]),
        rtol=0,
        atol=1e-9,
    )


@exact
@given(seed=st.integers(0, 10_000), lengths=st.lists(st.integers(1, 30), min_size=2, max_size=5))
def test_a_batch_through_the_transformer_decoder_equals_one_by_one(seed, lengths):
    scorers = [attention(transformer(20), 0.7), ctc(Head(seed, 20, sharp=2.0), 0.3)]
    memory, counts = memory_of(seed, lengths)
    config = SearchConfig(beam=4, nbest=2)
    together = search(scorers, memory, counts, LABELS, config)
    assert len(together) == len(lengths)
    for place, got in enumerate(together):
        alone = memory[place : place + 1, : lengths[place]]
        (expected,) = search(scorers, alone, counts[place : place + 1], LABELS, config)
        assert expected
        same(got, expected)


def test_ending_costs_no_step_of_the_decoder():
    decoder = transformer(8)
    calls = []
    step = decoder.step
    decoder.step = lambda *args: calls.append(1) or step(*args)
    counting = Counting(AttentionScorer(decoder, LABELS))
    memory, lengths = memory_of(1, [6])
    search(
        [WeightedScorer("attention", counting, 1.0)], memory, lengths, LABELS, SearchConfig(beam=3)
    )
    assert len(calls) == counting.steps + 1


@exact
@given(values=st.lists(st.integers(0, 4), min_size=5, max_size=20), count=st.integers(1, 25))
def test_of_equal_candidates_the_first_are_taken(values, count):
    scores = torch.tensor([values, values[::-1]], dtype=torch.float32)
    for row, got in zip(scores.tolist(), _best(scores, count).tolist(), strict=True):
        ranked = sorted(range(len(row)), key=lambda place: (-row[place], place))
        assert got == sorted(ranked[:count])


@pytest.mark.parametrize("prompt", [(3,), (7, 5, 5, 4, 6, 3)])
def test_a_prompt_is_what_the_decoder_is_fed_before_the_start(prompt):
    """As one long start would be, but its labels may stand in hypotheses."""
    decoder = transformer(12)
    memory, lengths = memory_of(len(prompt), [5, 3])
    config = SearchConfig(beam=4, nbest=2)
    labels = Labels(blank=0, unknown=1, end=2, start=(9, 10))
    prompted = WeightedScorer("attention", AttentionScorer(decoder, labels, prompt), 1.0)
    same_start = AttentionScorer(decoder, labels)
    same_start.fed = (*prompt, 9, 10)
    started = WeightedScorer("attention", same_start, 1.0)
    for prefixes in ([[()], [()]], [[(3, 4), (4, 3)], [(5, 5)]]):
        got = continue_search([prompted], memory, lengths, labels, config, prefixes)
        expected = continue_search([started], memory, lengths, labels, config, prefixes)
        for one, other in zip(got, expected, strict=True):
            same(one.hypotheses, other.hypotheses)
    [[best, *_], _] = search([prompted], memory, lengths, labels, config)
    fed = torch.tensor([[*prompt, 9, 10, *best.tokens]])
    said = decoder(fed, memory[:1], lengths[:1]).log_softmax(-1)[0, len(prompt) + 1 :]
    score = sum(row[label] for row, label in zip(said, (*best.tokens, 2), strict=True))
    assert best.score == pytest.approx(score.item())


def test_a_prompt_takes_room():
    decoder = transformer(12)
    decoder.max_labels = 8
    labels = Labels(blank=0, unknown=1, end=2, start=(9, 10))
    memory, lengths = memory_of(1, [7])
    scorer = AttentionScorer(decoder, labels, (3, 4, 5))
    assert scorer.max_labels == 3
    [[best]] = search([WeightedScorer("attention", scorer, 1.0)], memory, lengths, labels)
    assert len(best.tokens) <= 3
    with pytest.raises(ModelError, match="at most 8 labels, and prompt and start have 8"):
        AttentionScorer(decoder, labels, range(3, 9))
