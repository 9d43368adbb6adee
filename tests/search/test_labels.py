"""The search where labels have other numbers than ours, and decoders that take only so many."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import ModelError
from asr.lm.lstm import LSTM, LSTMConfig
from asr.model import ModelConfig, SpeechModel
from asr.search import (
    AttentionScorer,
    CTCPrefixScorer,
    SearchConfig,
    WeightedScorer,
    all_scorers,
    continue_search,
    joint_scorers,
    search,
)
from asr.search.protocol import AllowedLabels
from asr.text import Labels
from asr.text.special_labels import LABELS
from asr.types import Hypothesis
from tests.layouts import LAYOUTS, ONE_START, TWO_STARTS, Layouts, without_blank
from tests.search import oracles
from tests.search.models import BigramScorer, GRUDecoder, Head, TableDecoder, memory_of

exact = settings(derandomize=True, deadline=None, max_examples=15)
seeds = st.integers(0, 10_000)
layouts = pytest.mark.parametrize("layout", LAYOUTS, ids=["one start", "two starts"])
#: The whole tree of up to 3 of 6 labels.
WHOLE = SearchConfig(beam=300, nbest=5, pre_beam=10)


def transformer(seed: int, vocabulary: int) -> torch.nn.Module:
    from asr.model.transformer_decoder import TransformerDecoder, TransformerDecoderConfig

    torch.manual_seed(seed)
    config = TransformerDecoderConfig(layers=2, dim=8, heads=2, ff=16)
    return TransformerDecoder(config, vocabulary, 4).double().eval()


DECODERS = {"gru": GRUDecoder, "table": TableDecoder, "transformer": transformer}


@layouts
@exact
@given(
    seed=seeds,
    frames=st.integers(1, 3),
    kind=st.sampled_from(list(DECODERS)),
    prefix=st.lists(st.integers(0, 3), max_size=2),
)
def test_it_equals_brute_force_from_any_prefix(layout, seed, frames, kind, prefix):
    size, labels = layout.vocabulary, layout.other
    prefix = layout.renumber(tuple(layout.writable[place] for place in prefix))
    decoder, head = DECODERS[kind](seed, size), Head(seed + 1, size, sharp=2.0)
    bigram = BigramScorer(seed + 2, size, labels.end)
    memory, lengths = memory_of(seed, [frames])
    scorers = [
        WeightedScorer("attention", AttentionScorer(decoder, labels), 0.7),
        WeightedScorer("ctc", CTCPrefixScorer(head, labels.ctc_blank), 0.3),
        WeightedScorer("bigram", bigram, 0.5),
    ]
    scores = {
        "attention": (0.7, oracles.attention_score(decoder, memory[0], labels)),
        "ctc": (0.3, oracles.ctc_score(head, memory[0], labels)),
        "bigram": (0.5, oracles.bigram_score(bigram.table, labels.end)),
    }
    rated = oracles.brute_force(scores, size, frames, labels)
    expected = [
        Hypothesis(tokens, total, parts)
        for total, tokens, parts in rated
        if tokens[: len(prefix)] == prefix and total > -math.inf
    ]
    [result] = continue_search(scorers, memory, lengths, labels, WHOLE, [[prefix]])
    got = result.hypotheses
    if not expected:
        assert (got[0].tokens, got[0].score) == (prefix, -math.inf)
        return
    same(got, expected[:5])


@layouts
@exact
@given(seed=seeds, frames=st.integers(1, 3), kind=st.sampled_from(list(DECODERS)))
def test_without_ctc_it_equals_brute_force(layout, seed, frames, kind):
    labels = without_blank(layout.other)
    decoder = DECODERS[kind](seed, layout.vocabulary)
    memory, lengths = memory_of(seed, [frames])
    scores = {"attention": (1.0, oracles.attention_score(decoder, memory[0], labels))}
    rated = oracles.brute_force(scores, layout.vocabulary, frames, labels)
    scorers = [WeightedScorer("attention", AttentionScorer(decoder, labels), 1.0)]
    [got] = search(scorers, memory, lengths, labels, WHOLE)
    assert len(got) == min(5, len(rated)) > 0
    same(got, [Hypothesis(tokens, total, parts) for total, tokens, parts in rated[:5]])


@layouts
@exact
@given(
    seed=seeds,
    members=st.lists(
        st.tuples(st.integers(4, 12), st.lists(st.integers(0, 3), max_size=3)),
        min_size=1,
        max_size=3,
    ),
    decoder=st.sampled_from(["transformer", "lstm"]),
    beam=st.integers(1, 5),
    ctc=st.booleans(),
)
def test_other_numbers_change_nothing(layout, seed, members, decoder, beam, ctc):
    """Every scorer there is, with rules against invented text, in a batch, from prefixes."""
    usual, other = model_of(seed, layout, decoder, ctc), model_of(seed, layout, decoder, ctc)
    lms = [lm_of(seed, layout) for _ in range(2)]
    layout.move(other)
    layout.move(lms[1])
    config = SearchConfig(
        beam=beam,
        nbest=beam,
        ctc_weight=0.3 if ctc else 0.0,
        lm_weight=0.5,
        ilm_weight=0.2,
        length_reward=0.3,
    )
    memory, lengths = memory_of(seed, [frames for frames, _ in members])
    prefixes = [tuple(layout.writable[place] for place in prefix) for _, prefix in members]
    results = [
        continue_search(
            all_scorers(model, labels, config, lm), memory, lengths, labels, config, begun
        )
        for model, lm, labels, begun in (
            (usual, lms[0], layout.usual, [[one] for one in prefixes]),
            (other, lms[1], layout.other, [[layout.renumber(one)] for one in prefixes]),
        )
    ]
    for result, again in zip(*results, strict=True):
        expected = [
            Hypothesis(layout.renumber(one.tokens), one.score, one.scores)
            for one in result.hypotheses
        ]
        same(again.hypotheses, expected, 1e-6)  # rotary angles are float32
        assert [len(beam) for beam in again.beams] == [len(beam) for beam in result.beams]


def model_of(seed: int, layout: Layouts, decoder: str, ctc: bool) -> SpeechModel:
    torch.manual_seed(seed)
    values = {
        "encoder": {"type": "lstm", "layers": 1, "dim": 4},
        "decoder": {"type": decoder, "layers": 1, "dim": 8, "attention": "additive"},
        "ctc": ctc,
    }
    if decoder == "transformer":
        values["decoder"] = {"type": decoder, "layers": 1, "dim": 8, "heads": 2, "ff": 8}
    model = SpeechModel(ModelConfig.model_validate(values), layout.vocabulary)
    return sharpened(model.double().eval())


def sharpened(model: SpeechModel) -> SpeechModel:
    """Weights that make labels unequal, so that no two hypotheses are as good by accident."""
    with torch.no_grad():
        for head in (model.ctc, model.decoder.to_logits):
            if head is not None:
                head.weight.copy_(3 * torch.randn_like(head.weight))
    model.ctc_log_probs = lambda memory: model.ctc(memory).log_softmax(-1)  # in float64
    return model


def lm_of(seed: int, layout: Layouts) -> LSTM:
    torch.manual_seed(seed + 1)
    return LSTM(LSTMConfig(layers=1, dim=8, embedding=4), layout.vocabulary).double().eval()


def same(got, expected, tolerance=1e-9):
    assert [one.tokens for one in got] == [one.tokens for one in expected]
    for one, other in zip(got, expected, strict=True):
        assert one.score == pytest.approx(other.score, abs=tolerance)
        assert one.scores == pytest.approx(other.scores, abs=tolerance)


def test_a_start_of_several_labels_is_fed_in_one_pass(monkeypatch):
    decoder = transformer(1, 12)
    calls = []
    for name in ("step", "prime"):
        original = getattr(decoder, name)
        monkeypatch.setattr(
            decoder,
            name,
            lambda *a, f=original, n=name, **k: calls.append((n, a[0])) or f(*a, **k),
        )
    memory, lengths = memory_of(1, [4, 3])
    AttentionScorer(decoder, TWO_STARTS.other).start(memory, lengths)
    [(name, tokens)] = calls
    assert (name, tokens.tolist()) == ("prime", [[9, 4], [9, 4]])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_allowed_labels_are_all_but_the_forbidden(layout):
    scores = torch.randn(3, layout.vocabulary)
    for labels in (layout.usual, layout.other):
        allowed = AllowedLabels.among(layout.vocabulary, labels, scores.device)
        cut = allowed.of(scores)
        full = torch.full_like(scores, -math.inf)
        full[:, allowed.first : allowed.first + allowed.count] = cut
        expected = scores.clone()
        expected[:, sorted(labels.forbidden)] = -math.inf
        assert torch.equal(full, expected)
    usual = AllowedLabels.among(layout.vocabulary, layout.usual, scores.device)
    cut = usual.of(scores)
    assert cut.data_ptr() == scores[:, usual.first :].data_ptr()  # a view: it costs nothing


def test_labels_that_do_not_fit_the_scorers_are_named():
    memory, lengths = memory_of(1, [4])
    decoder = GRUDecoder(1, 7)
    beyond = Labels(blank=None, unknown=None, end=7, start=(2,))
    scorers = [WeightedScorer("attention", AttentionScorer(decoder, beyond), 1.0)]
    with pytest.raises(ModelError, match="end of a text is label 7, but the scorers know 7"):
        search(scorers, memory, lengths, beyond)
    nothing = Labels(blank=0, unknown=1, end=2, start=(2,), never=(6, 3, 5, 4))
    with pytest.raises(ModelError, match="none of the 7 labels may stand in a hypothesis"):
        search(scorers, memory, lengths, nothing)


def test_ctc_without_a_blank_is_refused():
    model = model_of(1, ONE_START, "lstm", ctc=True)
    with pytest.raises(ModelError, match="no blank label"):
        joint_scorers(model, without_blank(ONE_START.usual), 0.3)


class ShortDecoder(TableDecoder):
    """Takes three labels at most, and would never end by itself."""

    max_labels = 3

    def __init__(self, end: int) -> None:
        super().__init__(2, 12, positions=3)
        self.table[:, :, end] = -100.0
        self.longest = 0

    def step(self, tokens, state):
        assert state.position < self.max_labels, "it is fed a fourth label"
        self.longest = max(self.longest, state.position + 1)
        return super().step(tokens, state)


def test_no_hypothesis_is_longer_than_its_decoder_allows():
    memory, lengths = memory_of(2, [9, 1, 5])
    for labels, most in ((LABELS, 2), (TWO_STARTS.other, 1)):
        decoder = ShortDecoder(labels.end)
        attention = WeightedScorer("attention", AttentionScorer(decoder, labels), 0.7)
        ctc = WeightedScorer("ctc", CTCPrefixScorer(Head(1, 12), labels.ctc_blank), 0.3)
        for scorers in ([attention], [attention, ctc]):
            config = SearchConfig(beam=4)
            results = search(scorers, memory, lengths, labels, config)
            assert [len(best.tokens) for best, *_ in results] == [most, 1, most]
            assert decoder.longest == 3
        prefix = TWO_STARTS.renumber((6, 7, 8)[: most + 1]) if most == 1 else (6, 7, 8)
        with pytest.raises(ModelError, match=rf"{most + 1} labels, but scorer 'attention' takes"):
            continue_search(
                [attention], memory[:1], lengths[:1], labels, config, [[prefix[: most + 1]]]
            )
        [[best]] = [
            continue_search(
                [attention], memory[:1], lengths[:1], labels, config, [[prefix[:most]]]
            )[0].hypotheses
        ]
        assert best.tokens == prefix[:most]


def test_a_start_that_fills_the_decoder_is_refused():
    labels = Labels(blank=None, unknown=None, end=0, start=(1, 2, 3))
    with pytest.raises(ModelError, match="at most 3 labels, and the start alone has 3"):
        AttentionScorer(ShortDecoder(0), labels)
