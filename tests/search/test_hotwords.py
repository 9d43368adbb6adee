"""Phrases: the machine against the plain definition, and the scorer in a search."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.search import SearchConfig, all_scorers, search
from asr.search.attention import AttentionScorer
from asr.search.ctc import CachedCTCScorer
from asr.search.forced_prefix import prefix_rows, start_with_prefix
from asr.search.hotwords import MOST_BEHIND, SUPPORTED, HotwordScorer
from asr.search.phrases import PhraseTree
from asr.search.shared import SharedScorer
from asr.text.special_labels import BLANK, LABELS
from tests.search.models import GRUDecoder, Head, TableDecoder, memory_of, written

#: Labels 3 to 10: pieces that cut the same texts in many ways.
PIECES = ["", "", "", "▁a", "▁b", "a", "b", "ab", "▁ab", "▁", "ba"]
TEXTS = st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=2).map(" ".join)


def worth(tree: PhraseTree, labels: list[int]) -> float:
    """What a text of labels is worth, from its start to its end."""
    node, total = tree.start, 0.0
    for label in labels:
        gains, after = tree.rows([node])
        total, node = total + gains[0, label].item(), int(after[0, label])
    return total + tree.broken(node, True)


def text_of(labels: list[int]) -> str:
    return " ".join("".join(PIECES[label] for label in labels).replace("▁", " ").split())


@given(
    labels=st.lists(st.integers(3, 10), max_size=7), phrase=TEXTS, weight=st.sampled_from([1, 2])
)
def test_one_phrase_is_worth_its_letters_each_time_it_is_said(
    labels: list[int], phrase: str, weight: int
):
    words, wanted = text_of(labels).split(), phrase.split()
    count = at = 0
    while at < len(words):  # those that overlap are counted as the machine has them: all
        count += words[at : at + len(wanted)] == wanted
        at += 1
    tree = PhraseTree({phrase: weight}, PIECES)
    if len(wanted) == 2 and wanted[0] == wanted[1]:
        return  # "a a" in "a a a": once or twice is a matter of taste
    if any(piece == "▁" for piece in (PIECES[label] for label in labels)):
        return  # spaces in a row, see below
    assert worth(tree, labels) == pytest.approx(weight * len(phrase) * count)


def test_every_way_to_cut_a_phrase_is_worth_the_same():
    tree = PhraseTree({"abba ab": 1.5}, PIECES)
    ways = 0
    for labels in itertools.product(range(3, 11), repeat=5):
        if "".join(PIECES[label] for label in labels) == "▁abba▁ab":
            ways += 1
            assert worth(tree, list(labels)) == pytest.approx(1.5 * len("abba ab"))
    assert ways > 3


@pytest.mark.parametrize(
    ("phrases", "text", "expected"),
    [
        ({"ab": 1}, "abba ab", 2),  # not inside another word
        ({"ab": 1}, "ba aab bab", 0),
        ({"ab": 1, "ab ba": 1}, "ab ba", 5),  # the longer one, once
        ({"ab": 1, "ab ba": 1}, "ab bb", 2),  # the longer one breaks off, the shorter stays
        ({"a b a": 1, "b b": 3}, "a b b", 9),  # the end of one begins another
        ({"a b": 1, "b a": 1}, "a b a", 6),
        ({"a ab b": 1, "ab": 1, "ab a": 2}, "a ab a", 8),  # what was complete is counted once
        ({"a ab b": 1, "ab": 1, "ab a": 2}, "a ab bb", 2),
        ({"a b": 1, "b b": 1, "a b b a b a": 1}, "a b b a b b", 6),  # and both of it
        ({"ba": 0.5, "baa": 2}, "ba", 1),  # lent by the other, taken back
        ({"ab": 1}, "", 0),
    ],
)
def test_phrases_together(phrases: dict[str, float], text: str, expected: float):
    tree = PhraseTree(phrases, PIECES)
    labels = [PIECES.index(letter) for letter in text.replace(" ", "▁")]
    assert worth(tree, labels) == pytest.approx(
        expected
    )  # a space by itself, as characters have it
    assert worth(tree, [PIECES.index("▁"), *labels]) == pytest.approx(expected)


def test_what_is_lent_is_seen_at_once_and_taken_back():
    tree = PhraseTree({"abba": 1.0}, PIECES)
    gains, after = tree.rows([tree.start])
    assert gains[0, PIECES.index("▁ab")] == 2.0
    node = int(after[0, PIECES.index("▁ab")])
    again, _ = tree.rows([node])
    assert again[0, PIECES.index("ba")] == 2.0
    assert again[0, PIECES.index("▁b")] == -2.0
    assert tree.broken(node, word_ends=True) == -2.0
    assert tree.credits[node] == 2.0


V = len(PIECES)


def hot(frames: list[list[int]], phrases: dict[str, float], weight: float = 1.0, sure: float = 0.9):
    memory, lengths = written(frames, V, sure)
    model = SimpleNamespace(decoder=None, ctc=1, ctc_log_probs=lambda one: one.log_softmax(-1))
    config = SearchConfig(beam=6, ctc_weight=1.0, hotword_weight=weight)
    tree = PhraseTree(phrases, PIECES)
    return search(all_scorers(model, LABELS, config, None, tree), memory, lengths, LABELS, config)


def test_a_phrase_that_is_nearly_heard_is_written():
    frames = [[3, 0, 8, 0, 6, 0]]
    [[plain]] = hot(frames, {"abab": 2.0}, weight=0.0)
    assert text_of(list(plain.tokens)) == "a abb"
    [[boosted]] = hot(frames, {"aba": 2.0})
    assert text_of(list(boosted.tokens)).split().count("aba") * 6 == boosted.scores["hotwords"] > 0
    assert boosted.score == pytest.approx(boosted.scores["ctc"] + boosted.scores["hotwords"])
    [[absent]] = hot(frames, {"bbaa": 0.5})
    assert (absent.tokens, absent.scores["hotwords"]) == (plain.tokens, 0.0)


def test_no_weight_brings_a_phrase_where_ctc_is_blank_or_deaf():
    assert hot([[0] * 12], {"a": 100.0, "b": 100.0}, sure=0.99999)[0][0].tokens == ()
    [[got]] = hot([[3, 0, 0, 0]], {"a ba": 100.0}, sure=0.99999)
    assert got.tokens == (3,)


@given(
    seed=st.integers(0, 10),
    prefixes=st.lists(st.lists(st.integers(3, V - 1), max_size=5), min_size=3, max_size=3),
)
def test_starting_behind_labels_is_stepping_through_them(seed: int, prefixes: list[list[int]]):
    memory, lengths = memory_of(seed, [9, 7, 8])
    head, tree = Head(seed, V, sharp=4.0), PhraseTree({"ab a": 1.0, "ba": 2.0}, PIECES)
    _, tokens, counts = prefix_rows([[tuple(one)] for one in prefixes], memory.device)
    scorer = HotwordScorer(tree, CachedCTCScorer(head, BLANK))
    scores, state = start_with_prefix(scorer, memory, lengths, tokens, counts)
    for row, prefix in enumerate(prefixes):
        one = HotwordScorer(tree, CachedCTCScorer(head, BLANK))
        stepped = one.start(memory[row : row + 1], lengths[row : row + 1])
        total = 0.0
        for label in prefix:
            token = torch.tensor([label])
            total += one.score(stepped, token[None])[0, 0].item()
            stepped = one.advance(stepped, torch.tensor([0]), token)
        assert scores[row].item() == pytest.approx(total)
        assert state.places[row] == stepped.places[0]


def test_a_label_that_ctc_does_not_hear_is_part_of_no_phrase():
    memory, lengths = written([[3, 0, 4, 0]], V, sure=0.99999)
    ctc = CachedCTCScorer(lambda one: one.log_softmax(-1), BLANK)
    deaf, hears = HotwordScorer(PhraseTree({"b a": 1.0}, PIECES), ctc), None
    state = deaf.start(memory, lengths)
    labels = torch.tensor([[3, 4]])
    assert ctc.score(state.ctc, labels)[0, 1] < SUPPORTED + 5  # "b" comes second
    hears = HotwordScorer(deaf.tree, None)
    assert hears.score(hears.start(memory, lengths), labels).tolist() == [[0.0, 1.0]]
    after = deaf.advance(state, torch.tensor([0]), torch.tensor([3]))
    assert deaf.score(after, torch.tensor([[4, 7]])).tolist() == [[1.0, 0.0]]
    late = deaf.advance(after, torch.tensor([0]), torch.tensor([4]))
    assert deaf.score(late, torch.tensor([[3]])).tolist() == [[-1.0]]  # nothing is left to hear


@given(seed=st.integers(0, 20), ctc_weight=st.sampled_from([0.0, 0.3, 1.0]))
def test_utterances_and_padding_do_not_matter(seed: int, ctc_weight: float):
    head, decoder = Head(seed, V, sharp=3.0), TableDecoder(seed, V)
    model = SimpleNamespace(decoder=decoder, ctc=head, ctc_log_probs=head)
    memory, lengths = memory_of(seed, [9, 4])
    config = SearchConfig(beam=3, ctc_weight=ctc_weight)
    tree = PhraseTree({"ab": 2.0, "b a": 1.0}, PIECES)
    together = search(
        all_scorers(model, LABELS, config, None, tree), memory, lengths, LABELS, config
    )
    for row, length in enumerate(lengths.tolist()):
        part = memory[row : row + 1, :length]
        scorers = all_scorers(model, LABELS, config, None, tree)
        [[alone]] = search(scorers, part, lengths[row : row + 1], LABELS, config)
        assert together[row][0].tokens == alone.tokens
        assert together[row][0].score == pytest.approx(alone.score)


def test_scores_are_those_of_the_text_and_weight_0_removes_it():
    decoder, head = GRUDecoder(3, V), Head(3, V)
    model = SimpleNamespace(decoder=decoder, ctc=head, ctc_log_probs=head)
    memory, lengths = memory_of(3, [8])
    tree = PhraseTree({"ab": 1.0, "a b": 1.0, "b": 0.5}, PIECES)
    config = SearchConfig(beam=5, nbest=5)
    for one in search(
        all_scorers(model, LABELS, config, None, tree), memory, lengths, LABELS, config
    )[0]:
        free = HotwordScorer(tree, None)
        assert one.scores["hotwords"] <= worth(free.tree, list(one.tokens)) + 1e-9
    off = config.model_copy(update={"hotword_weight": 0.0})
    names = [one.name for one in all_scorers(model, LABELS, off, None, tree)]
    assert names == ["attention", "ctc"]


def piece_of(content: bytes) -> str:
    """As the tokenizer of Whisper writes labels: bytes that are no whole characters one by one."""
    try:
        return content.decode().replace(" ", "▁")
    except UnicodeDecodeError:
        return "".join(chr(byte) if byte < 128 else f"<0x{byte:02X}>" for byte in content)


@pytest.mark.parametrize(
    ("phrase", "text", "letters"),
    [
        ("café", " Un café, s'il vous plaît", 4),
        ("plaît", "un café, s’il vous plaît…", 5),
        ("s'il", "s’il", 4),
        ("Зимний дворец", " «Зимний дворец».", 13),
        ("東京", "私は東京に住む。", 3),  # each character is a word, and a space counts
        ("東京", "京に東", 0),
        ("naïve 🙂", " naïve 🙂!", 7),
        ("Jean-Luc Picard", " (Jean Luc Picard)", 15),
        ("AT&T", "AT&T's", 0),  # of another word
        ("ï", "naïve", 0),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_however_bytes_are_cut_into_labels(phrase: str, text: str, letters: int, seed: int):
    """Also within characters, as byte-level tokenizers do."""
    content, generator = text.encode(), torch.Generator().manual_seed(seed)
    cuts = (torch.rand(len(content) - 1, generator=generator) < seed / 2).nonzero().flatten() + 1
    borders = [0, *cuts.tolist(), len(content)]
    pieces = [piece_of(content[a:b]) for a, b in itertools.pairwise(borders)]
    tree = PhraseTree({phrase: 1.0, "zzz": 3.0}, pieces)
    place, total = tree.start, 0.0
    for label in range(len(pieces)):
        gains, after = tree.pairs(torch.tensor([place, tree.start]), torch.tensor([[label]] * 2))
        rows, places = tree.rows([place])
        assert (rows[0, label], places[0, label]) == (gains[0, 0], after[0, 0])
        total, place = total + gains[0, 0].item(), int(after[0, 0])
    assert total + tree.broken(place % tree.size, True) == letters


def test_bytes_that_are_no_character_are_part_of_no_phrase():
    tree = PhraseTree({"aé": 1.0}, ["▁a", "<0xC3>", "<0xA9>", "b"])
    assert worth_of(tree, [0, 1, 2]) == 2
    for labels in ([0, 2], [0, 1], [0, 1, 1, 2], [0, 1, 3], [1, 0, 2]):
        assert worth_of(tree, labels) == 0


def worth_of(tree: PhraseTree, labels: list[int]) -> float:
    place, total = tree.start, 0.0
    for label in labels:
        gains, after = tree.rows([place])
        total, place = total + gains[0, label].item(), int(after[0, label])
    return total + tree.broken(place % tree.size, True)


def without_ctc(decoder: TableDecoder | GRUDecoder) -> SimpleNamespace:
    return SimpleNamespace(decoder=decoder, ctc=None, vocabulary=V)


def best_log_probs(decoder: TableDecoder, tokens: list[int], memory, lengths) -> torch.Tensor:
    """Log probabilities (U + 1, V) of the decoder, of what may be written and the end."""
    fed = torch.tensor([[LABELS.end, *tokens]])
    log_probs = decoder(fed, memory, lengths).log_softmax(-1)[0]
    for label, piece in enumerate(PIECES):
        if not piece and label != LABELS.end:
            log_probs[:, label] = -torch.inf
    return log_probs


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weight", [0.5, 5.0, 500.0])
def test_without_ctc_no_text_scores_more_than_the_best_labels(seed: int, weight: float):
    """So no weight makes it worth while to write on where attention has come to the end."""
    decoder = TableDecoder(seed, V)
    decoder.table *= 2
    memory, lengths = memory_of(seed, [9, 6])
    config = SearchConfig(beam=4, nbest=4, ctc_weight=0.0, hotword_weight=weight)
    tree = PhraseTree({"ab": 1.0, "ba a": 2.0, "a b": 1.0}, PIECES)
    scorers = all_scorers(without_ctc(decoder), LABELS, config, None, tree)
    boosted = 0
    for row, found in enumerate(search(scorers, memory, lengths, LABELS, config)):
        for one in found:
            log_probs = best_log_probs(
                decoder, list(one.tokens), memory[row : row + 1], lengths[row : row + 1]
            )
            most = log_probs.amax(1)
            assert one.score <= most.sum().item() + 1e-5
            assert one.scores["hotwords"] <= worth(tree, list(one.tokens)) + 1e-9
            boosted += one.scores["hotwords"] > 0
    assert boosted


def test_without_ctc_a_boost_makes_up_for_what_labels_are_behind():
    decoder = TableDecoder(5, V)
    memory, lengths = memory_of(5, [9])
    attention = AttentionScorer(decoder, LABELS)
    log_probs = attention.score(attention.start(memory, lengths), None)[0]
    behind = best_log_probs(decoder, [], memory, lengths)[0].max() - log_probs[3:]
    supported = behind <= MOST_BEHIND
    assert 1 < supported.sum() < len(behind)
    tree = PhraseTree({piece.replace("▁", ""): 9.0 for piece in PIECES[3:] if piece != "▁"}, PIECES)
    scorer = HotwordScorer(tree, None, SharedScorer(attention), 0.5)
    labels = torch.arange(3, V)[None]
    worth_of_labels = scorer.score(scorer.start(memory, lengths), labels)[0]
    free = HotwordScorer(tree, None)
    full = free.score(free.start(memory, lengths), labels)[0]
    expected = torch.minimum(full, behind.double() / 0.5).where(supported, torch.zeros_like(full))
    torch.testing.assert_close(worth_of_labels, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("seed", range(2))
def test_without_ctc_what_was_lent_is_taken_back(seed: int):
    """Whatever attention allowed of it: a text without a phrase is worth nothing in the end."""
    decoder = TableDecoder(seed, V)
    memory, lengths = memory_of(seed, [9])
    tree = PhraseTree({"abab": 1.0, "ba ba": 3.0}, PIECES)
    lent = 0
    for labels in itertools.product(range(3, V), repeat=3):
        scorer = HotwordScorer(tree, None, SharedScorer(AttentionScorer(decoder, LABELS)), 0.3)
        state, total = scorer.start(memory, lengths), 0.0
        for label in labels:
            token = torch.tensor([label])
            gain = scorer.score(state, token[None])[0, 0].item()
            lent += gain > 0
            total += gain
            state = scorer.advance(state, torch.tensor([0]), token)
        total += scorer.finish(state)[0].item()
        words = text_of(list(labels)).split()
        if "abab" not in words and "ba ba" not in " ".join(words):
            assert total == pytest.approx(0.0, abs=1e-9)
        else:
            assert total >= -1e-9
    assert lent
