from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from asr.text import Tokenizer, TokenizerConfig, load_tokenizer, train_tokenizer
from asr.text.sampling import bpe_sampler, unigram_sampler
from tests.text.test_tokenizer import SIZES, TEXTS

PIECES = {"a": 3, "b": 4, "ab": 5, "ba": 6, "aba": 7}
SCORES = {3: -1.0, 4: -2.0, 5: -1.5, 6: -3.0, 7: -2.5}


def cuts(word: str) -> list[list[str]]:
    """Every way to cut `word` into pieces: the oracle."""
    if not word:
        return [[]]
    return [
        [word[:end], *rest]
        for end in range(1, len(word) + 1)
        if word[:end] in PIECES
        for rest in cuts(word[end:])
    ]


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_unigram_draws_have_the_probability_of_the_model(alpha: float) -> None:
    draw, generator = unigram_sampler(PIECES, SCORES, alpha), random.Random(0)
    count = 20_000
    drawn = Counter(tuple(draw("abab", generator)) for _ in range(count))
    weights = {
        tuple(PIECES[piece] for piece in cut): math.exp(alpha * sum(SCORES[PIECES[p]] for p in cut))
        for cut in cuts("abab")
    }
    total = sum(weights.values())
    assert set(drawn) <= set(weights)
    for cut, weight in weights.items():
        expected = weight / total
        # Five standard deviations of a binomial share.
        bound = 5 * math.sqrt(expected * (1 - expected) / count) + 1e-9
        assert abs(drawn[cut] / count - expected) < bound


def test_a_very_large_alpha_draws_the_best() -> None:
    draw = unigram_sampler(PIECES, SCORES, alpha=1000.0)
    best = min(cuts("ababba"), key=lambda cut: -sum(SCORES[PIECES[piece]] for piece in cut))
    assert draw("ababba", random.Random(0)) == [PIECES[piece] for piece in best]


def test_long_words_do_not_overflow() -> None:
    draw = unigram_sampler(PIECES, SCORES, alpha=1.0)
    assert draw("ab" * 5000, random.Random(0))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for kind in ("unigram", "bpe"):
        made[kind] = tmp_path_factory.mktemp(kind)
        train_tokenizer(TEXTS, TokenizerConfig(type=kind, size=SIZES[kind]), made[kind])
    return made


def loaded(folder: Path, **values: Any) -> Tokenizer:
    return load_tokenizer(folder, TokenizerConfig(**values))


def test_bpe_without_dropout_is_sentencepieces_cut(folders: dict[str, Path]) -> None:
    tokenizer = loaded(folders["bpe"], sample_dropout=0.0)
    for text in [*TEXTS, "unseen shellfish woodpeckers é"]:
        assert tokenizer.encode(text, sample=True) == tokenizer.encode(text)


def test_bpe_with_dropout_cuts_finer() -> None:
    pieces = {"a": 3, "b": 4, "ab": 5, "abab": 6}
    scores = {5: -0.0, 6: -1.0, 3: -2.0, 4: -3.0}
    generator, count = random.Random(0), 20_000
    draw = bpe_sampler(pieces, scores, dropout=0.3)
    drawn = Counter(tuple(draw("ab", generator)) for _ in range(count))
    assert abs(drawn[(3, 4)] / count - 0.3) < 0.02
    assert set(drawn) == {(5,), (3, 4)}


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_generator_decides_the_draw(kind: str, folders: dict[str, Path]) -> None:
    tokenizer = loaded(folders[kind], sample_alpha=0.2, sample_dropout=0.3)
    first = [tokenizer.encode(text, sample=random.Random("5/epoch")) for text in TEXTS]
    tokenizer.encode(TEXTS[0], sample=True)  # what was drawn elsewhere does not matter
    random.seed(7)
    assert [tokenizer.encode(text, sample=random.Random("5/epoch")) for text in TEXTS] == first
    other = [tokenizer.encode(text, sample=random.Random("6/epoch")) for text in TEXTS]
    assert other != first


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_the_own_generator_starts_from_the_seed(kind: str, folders: dict[str, Path]) -> None:
    def draws(seed: int) -> list[list[int]]:
        tokenizer = loaded(folders[kind], sample_seed=seed, sample_dropout=0.3)
        return [tokenizer.encode(text, sample=True) for text in TEXTS]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_draws_vary_and_write_the_same_text(kind: str, folders: dict[str, Path]) -> None:
    tokenizer = loaded(folders[kind])
    drawn = {tuple(tokenizer.encode(TEXTS[0], sample=True)) for _ in range(50)}
    assert len(drawn) > 5
    assert {tokenizer.decode(ids) for ids in drawn} == {TEXTS[0]}
