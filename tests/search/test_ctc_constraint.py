"""What CTC does not hear is not written, whatever the decoder says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from asr.search import AttentionScorer, CTCPrefixScorer, SearchConfig, all_scorers, search
from asr.search.ctc import CachedCTCScorer
from asr.search.ctc_constraint import (
    REPEATED,
    SOUND,
    SPEECH,
    STRETCH,
    UNSUPPORTED,
    CTCConstrainedScorer,
)
from asr.search.decoding import continue_search
from asr.search.forced_prefix import prefix_rows, start_with_prefix
from asr.search.hotwords import HotwordScorer
from asr.search.phrases import PhraseTree
from asr.text.special_labels import BLANK, LABELS
from tests.search.models import GRUDecoder, Head, LoopingDecoder, TableDecoder, memory_of, written

V = 14


def made(decoder: nn.Module) -> SimpleNamespace:
    """A model that reads its CTC posteriors off the memory of `written`."""
    return SimpleNamespace(
        decoder=decoder, ctc=1, ctc_log_probs=lambda memory: memory.log_softmax(-1)
    )


def best(model: SimpleNamespace, frames: list[list[int]], **options: object) -> list[list[int]]:
    memory, lengths = written(frames, V)
    config = SearchConfig(**{"beam": 4, **options})
    return [
        list(one.tokens)
        for one, *_ in search(all_scorers(model, LABELS, config), memory, lengths, LABELS, config)
    ]


SILENCE = [0] * 20
CYCLE = list(range(3, 13))


@pytest.mark.parametrize("ctc_weight", [0.0, 0.005, 0.3])
def test_nothing_is_written_where_there_is_no_speech(ctc_weight: float):
    model = made(LoopingDecoder([3, 4], V))
    assert best(model, [SILENCE, SILENCE[:3]], ctc_weight=ctc_weight) == [[], []]
    free = best(model, [SILENCE], ctc_weight=0.0, heard_only=False)
    assert len(free[0]) == 20  # it would have been written


@pytest.mark.parametrize("ctc_weight", [0.0, 0.005])
def test_text_does_not_run_past_the_speech(ctc_weight: float):
    model = made(LoopingDecoder(CYCLE, V))
    speech = [0, 3, 0, 4, 4, 0, 5, 0]
    assert best(model, [speech + SILENCE], ctc_weight=ctc_weight) == [[3, 4, 5]]
    assert len(best(model, [speech + SILENCE], ctc_weight=ctc_weight, heard_only=False)[0]) == 28


@pytest.mark.parametrize("ctc_weight", [0.0, 0.005])
def test_a_loop_is_cut_where_other_speech_follows(ctc_weight: float):
    model = made(LoopingDecoder([3, 4], V))
    frames = [[3, 0, 4, 0, *[9, 0, 10, 0, 11, 0, 12, 0] * 3]]
    heard = best(model, frames, ctc_weight=ctc_weight)[0]
    assert heard[:2] == [3, 4]
    assert not any(heard[at : at + 4] == [3, 4, 3, 4] for at in range(len(heard)))
    free = best(model, frames, ctc_weight=ctc_weight, heard_only=False)[0]
    assert free[:6] == [3, 4] * 3


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3])
def test_what_is_said_twice_is_written_twice(ctc_weight: float):
    model = made(LoopingDecoder([3, 4], V))
    assert best(model, [[3, 0, 4] * 4 + SILENCE], ctc_weight=ctc_weight) == [[3, 4] * 4]
    assert best(made(LoopingDecoder([3], V)), [[3, 0] * 3], ctc_weight=ctc_weight) == [[3] * 3]


def test_a_decoder_that_goes_back_is_not_followed():
    """It reads ten labels, jumps back to the first and reads them again, where others follow."""
    model = made(LoopingDecoder(CYCLE, V))
    frames = [frame for label in CYCLE for frame in (label, 0)] + [13, 0] * 10
    free = best(model, [frames], ctc_weight=0.0, heard_only=False)[0]
    assert free[:20] == CYCLE * 2
    heard = best(model, [frames], ctc_weight=0.0)[0]
    assert heard[:10] == CYCLE
    assert heard[10:20] != CYCLE


@given(labels=st.lists(st.integers(3, 6), max_size=12), seed=st.integers(0, 20))
def test_the_rules_are_those_that_are_written_down(labels: list[int], seed: int):
    memory, lengths = memory_of(seed, [15])
    log_probs = Head(seed, 7, sharp=5.0)
    ctc = CTCPrefixScorer(log_probs, BLANK)
    scorer = CTCConstrainedScorer(
        CachedCTCScorer(log_probs, BLANK), CachedCTCScorer(log_probs, BLANK)
    )
    plain, state = ctc.start(memory, lengths), scorer.start(memory, lengths)
    psi = [0.0]
    spoken = 1 - log_probs(memory)[0, :, 0].exp()
    for label in labels:
        token, parent = torch.tensor([label]), torch.tensor([0])
        plain, state = ctc.advance(plain, parent, token), scorer.advance(state, parent, token)
        psi.append(plain.psi.item())
    if psi[-1] == -math.inf:
        return
    begins = ((plain.phi[0, :-1] - psi[-1]).exp() * spoken).max()
    goes_on = begins >= (SOUND if labels else SPEECH)
    expected = ctc.score(plain, None)[0]
    for label in range(3, 7):
        after, said = psi[-1] + expected[label].item(), [*labels, label]
        denied = not goes_on or after - psi[max(0, len(psi) - STRETCH)] < UNSUPPORTED
        for n in range(1, len(said) // 2 + 1):
            again = said[-n:] == said[-2 * n : -n]
            denied |= again and after - psi[len(psi) - n] < REPEATED
        if denied:
            expected[label] = -math.inf
    got = scorer.score(state, None)[0]
    candidates = torch.tensor([[3, 4, 5, 6]])
    torch.testing.assert_close(got[3:], expected[3:])
    torch.testing.assert_close(scorer.score(state, candidates)[0], expected[3:])


@pytest.mark.parametrize("alone", [True, False])
def test_starting_behind_labels_is_stepping_through_them(alone: bool):
    memory, lengths = memory_of(4, [12, 9, 11])
    head = Head(5, 8, sharp=3.0)

    def fresh() -> CTCConstrainedScorer:
        ctc = CachedCTCScorer(head, BLANK)
        return CTCConstrainedScorer(
            ctc if alone else AttentionScorer(GRUDecoder(2, 8), LABELS), ctc
        )

    prefixes = [(3, 4, 3, 4), (), (5, 5)]
    _, tokens, counts = prefix_rows([[prefix] for prefix in prefixes], memory.device)
    scores, state = start_with_prefix(fresh(), memory, lengths, tokens, counts)
    said = fresh().score(state, None) if alone else None
    for row, prefix in enumerate(prefixes):
        one, total = fresh(), 0.0
        stepped = one.start(memory[row : row + 1], lengths[row : row + 1])
        for label in prefix:
            token = torch.tensor([label])
            inner = one.scorer.score(stepped.inner, token[None])
            total += inner[0, 0].item()
            stepped = one.advance(stepped, torch.tensor([0]), token)
        assert scores[row].item() == pytest.approx(total)
        assert torch.equal(state.history[row], stepped.history[0])
        torch.testing.assert_close(state.psi[row], stepped.psi[0])
        if said is not None:
            torch.testing.assert_close(said[row], one.score(stepped, None)[0])


@given(seed=st.integers(0, 30), ctc_weight=st.sampled_from([0.0, 0.3, 1.0]))
def test_utterances_and_padding_do_not_matter(seed: int, ctc_weight: float):
    head = Head(seed, 8, sharp=6.0)
    model = SimpleNamespace(decoder=TableDecoder(seed, 8), ctc=head, ctc_log_probs=head)
    memory, lengths = memory_of(seed, [11, 4, 8])
    config = SearchConfig(beam=3, ctc_weight=ctc_weight)
    together = search(all_scorers(model, LABELS, config), memory, lengths, LABELS, config)
    for row, length in enumerate(lengths.tolist()):
        part = memory[row : row + 1, :length]
        [[alone]] = search(
            all_scorers(model, LABELS, config), part, lengths[row : row + 1], LABELS, config
        )
        assert together[row][0].tokens == alone.tokens
        assert together[row][0].score == pytest.approx(alone.score)


def test_shared_ctc_computes_once_and_says_the_same():
    head = Head(1, 8)
    calls = []
    shared = CachedCTCScorer(lambda memory: calls.append(1) or head(memory), BLANK)
    plain = CTCPrefixScorer(head, BLANK)
    memory, lengths = memory_of(1, [7, 5])
    states = [shared.start(memory, lengths), shared.start(memory, lengths)]
    assert states[0] is states[1]
    assert len(calls) == 1
    candidates, parents = torch.tensor([[3, 4], [5, 3]]), torch.tensor([1, 0])
    first, again = (shared.score(one, candidates) for one in states)
    assert first is again
    assert torch.equal(first, plain.score(plain.start(memory, lengths), candidates))
    labels = candidates[:, 0]
    longer = [shared.advance(one, parents, labels) for one in states]
    assert longer[0] is longer[1]
    other = shared.advance(states[0], parents.flip(0), labels)  # another question
    assert not torch.equal(other.psi, longer[0].psi)
    tokens, counts = torch.tensor([[3, 4], [5, 0]]), torch.tensor([2, 1])
    psi, state = shared.trace(memory, lengths, tokens, counts)
    assert shared.trace(memory, lengths, tokens, counts)[1] is state
    assert torch.equal(shared.trace(memory, lengths, tokens.clone(), counts)[0], psi)
    torch.testing.assert_close(
        plain.start_with_prefix(memory, lengths, tokens, counts)[0],
        psi.gather(1, counts[:, None])[:, 0],
    )


@pytest.mark.parametrize("begun", [(), (3,)])
def test_in_a_search_all_ask_ctc_with_the_same_objects(
    begun: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
):
    """What was asked is told by identity, which waits for no device: a copy would cost twice."""
    computed: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for kind, counts in ((CTCPrefixScorer, computed), (CachedCTCScorer, asked)):
        for name in ("trace", "score"):
            monkeypatch.setattr(kind, name, counted(getattr(kind, name), counts))
    tree = PhraseTree({"b": 1.0}, ["", "", "", *"▁ab▁cdefghi"])
    config = SearchConfig(beam=4, ctc_weight=0.3)
    scorers = all_scorers(made(LoopingDecoder(CYCLE, V)), LABELS, config, hotwords=tree)
    memory, lengths = written([[0, 3, 0, 4, 0, 5], [0, 3, 3, 0]], V)
    continue_search(scorers, memory, lengths, LABELS, config, [[begun]] * 2)
    assert computed["score"] > 1
    assert computed["trace"] == len(begun)
    assert asked == {name: 2 * count for name, count in computed.items()}


def counted(method: Callable[..., Any], counts: Counter[str]) -> Callable[..., Any]:
    def count(*args: Any) -> Any:
        counts[method.__name__] += 1
        return method(*args)

    return count


def test_several_prefixes_of_an_utterance_are_several_rows():
    head, tree = Head(1, 8), PhraseTree({"b": 1.0}, ["", "", "", "▁a", "▁b", "b", "a", "▁"])
    memory, lengths = memory_of(1, [9, 7])
    tokens, counts = torch.tensor([[3, 4], [4, 3], [5, 0], [3, 0]]), torch.tensor([2, 1])
    each, each_length = memory.repeat_interleave(2, 0), lengths.repeat_interleave(2)
    for make in (
        lambda: CTCConstrainedScorer(one := CachedCTCScorer(head, BLANK), one),
        lambda: HotwordScorer(tree, CachedCTCScorer(head, BLANK)),
        lambda: CachedCTCScorer(head, BLANK),
    ):
        scores, state = make().start_with_prefix(memory, lengths, tokens, counts)
        wanted, alone = make().start_with_prefix(
            each, each_length, tokens, counts.repeat_interleave(2)
        )
        torch.testing.assert_close(scores, wanted)
        torch.testing.assert_close(make().score(state, None), make().score(alone, None))
