"""Losses of utterances with different start sequences, and a toy that learns to follow them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import asr.train.losses.objective as objective
from asr.data.dataset import Batch
from asr.data.prompts import NO_TARGET
from asr.model import ModelConfig, SpeechModel
from asr.search import SearchConfig, all_scorers, search
from asr.text.characters import CharacterTokenizer
from asr.text.prompts import PromptedTokenizer
from asr.train.losses.config import LossConfig
from asr.train.losses.joint import IGNORED, attention_loss, rows_by_start, teacher_forcing
from asr.train.losses.objective import EncodedBatch, Objective
from asr.transcribe.language import LanguageSetting, detect_languages

VALUES = {"language": ("en", "fr"), "style": ("plain", "punctuated")}
#: Ids: blank, unknown, end, then the letters, then the fields.
END, A, CAPITAL, EN, FR, PLAIN, PUNCTUATED = range(2, 9)
TOKENIZER = PromptedTokenizer(CharacterTokenizer("aA"), VALUES, {"style": "plain"})
LABELS = TOKENIZER.labels
STARTS = torch.tensor([[END, EN, PLAIN], [END, FR, PUNCTUATED], [END, EN, PLAIN]])
TARGETS = torch.tensor([[EN, NO_TARGET], [FR, NO_TARGET], [NO_TARGET, NO_TARGET]])
TOKENS, LENGTHS = torch.tensor([[A, A], [CAPITAL, 0], [0, 0]]), torch.tensor([2, 1, 0])
MEMORY, FRAMES = torch.randn(3, 6, 16, generator=torch.Generator().manual_seed(2)), [6, 4, 0]


def model_of(ctc: bool = False) -> SpeechModel:
    torch.manual_seed(1)
    values = {
        "encoder": {"type": "lstm", "layers": 1, "dim": 16},
        "decoder": {"type": "transformer", "layers": 1, "dim": 16, "heads": 2, "ff": 16},
        "ctc": ctc,
    }
    return SpeechModel(ModelConfig.model_validate(values), TOKENIZER.size)


def batch_of(
    starts: Tensor | None = STARTS, targets: Tensor | None = TARGETS, **changed: Any
) -> Batch:
    values: dict[str, Any] = {
        "ids": ("u", "v"),
        "samples": torch.zeros(3, 1),
        "lengths": LENGTHS,
        "texts": ("aa", "A"),
        "seconds": 1.0,
        "tokens": TOKENS,
        "token_lengths": LENGTHS,
    }
    return Batch(**(values | changed), starts=starts, start_targets=targets)


def losses_of(batch: Batch, config: LossConfig, model: SpeechModel) -> dict[str, Tensor]:
    encoded = EncodedBatch(MEMORY, torch.tensor(FRAMES), [])
    torch.manual_seed(0)
    return Objective(config, TOKENIZER)(model.eval(), batch, encoded, step=1)


def test_each_row_is_fed_its_own_start() -> None:
    inputs, targets = teacher_forcing(TOKENS, LENGTHS, 2, LABELS, STARTS)
    assert inputs.tolist() == [
        [END, EN, PLAIN, A, A],
        [END, FR, PUNCTUATED, CAPITAL, END],
        [END, EN, PLAIN, END, END],
    ]
    assert targets.tolist() == [
        [IGNORED, IGNORED, A, A, END],
        [IGNORED, IGNORED, CAPITAL, END, IGNORED],
        [IGNORED] * 5,
    ]


def test_loss_is_on_the_text_and_on_languages_that_are_named() -> None:
    model, config = model_of(), LossConfig(ctc_weight=0)
    inputs, _ = teacher_forcing(TOKENS, LENGTHS, 2, LABELS, STARTS)
    assert model.decoder is not None
    logits = model.eval().decoder(inputs, MEMORY, torch.tensor(FRAMES))  # type: ignore[misc]
    for targets, language, counted in ((TARGETS, True, 7), (torch.full((3, 2), -100), False, 5)):
        losses = losses_of(batch_of(targets=targets), config, model)
        wanted = torch.tensor(
            [
                [EN if language else -100, -100, A, A, END],
                [FR if language else -100, -100, CAPITAL, END, -100],
                [-100] * 5,
            ]
        )
        loss, right = attention_loss(logits, wanted, config.label_smoothing)
        assert losses["attention"].item() == pytest.approx(loss.item(), rel=1e-6)
        assert losses["right"].item() == right.item()
        assert losses["labels"].item() == counted


def test_one_start_for_all_is_equal_to_the_bit() -> None:
    """Starts that are all the tokenizer's give what a batch without starts gives."""
    model, config = model_of(ctc=True), LossConfig(ctc_weight=0.3)
    usual = torch.tensor([LABELS.start] * 3)
    own = losses_of(batch_of(usual, torch.full((3, 2), NO_TARGET)), config, model)
    none = losses_of(batch_of(None, None), config, model)
    assert {name: value.item() for name, value in own.items()} == {
        name: value.item() for name, value in none.items()
    }


def test_rows_by_start() -> None:
    assert rows_by_start(batch_of(None, None), LABELS) == [(LABELS, [0, 1])]
    groups = rows_by_start(batch_of(), LABELS)
    assert [(labels.start, rows) for labels, rows in groups] == [
        ((END, EN, PLAIN), [0]),
        ((END, FR, PUNCTUATED), [1]),
    ]
    assert all(labels.forbidden >= {EN, FR, PLAIN, PUNCTUATED} for labels, _ in groups)


def test_lists_are_searched_with_the_start_of_their_utterance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[tuple[Any, ...]] = []

    def spy(model: Any, memory: Tensor, lengths: Tensor, texts: Any, *rest: Any) -> Tensor:
        called.append((memory, lengths.tolist(), tuple(texts), rest[-1].start))
        return memory.sum()

    monkeypatch.setattr(objective, "mwer_loss", spy)
    config = LossConfig.model_validate({"ctc_weight": 0, "mwer": {"nbest": 2, "beam": 2}})
    losses = losses_of(batch_of(), config, model_of())
    assert [call[1:] for call in called] == [
        ([6], ("aa",), (END, EN, PLAIN)),
        ([4], ("A",), (END, FR, PUNCTUATED)),
    ]
    torch.testing.assert_close(losses["list_errors"], MEMORY[:2].sum())
    called.clear()
    losses_of(batch_of(STARTS[[1, 1, 1]]), config, model_of())
    assert [call[1:] for call in called] == [([6, 4], ("aa", "A"), (END, FR, PUNCTUATED))]


def test_a_toy_learns_to_follow_its_prompt() -> None:
    """The memory says the language and the letter; the prompt says how it is written."""
    model = model_of()
    assert model.decoder is not None
    memory = MEMORY[:2]
    lengths = torch.tensor([6, 6])
    rows = [  # language and row of the memory, style, label
        *((EN, 0, PLAIN, A), (EN, 0, PUNCTUATED, CAPITAL)),
        *((FR, 1, PLAIN, A), (FR, 1, PUNCTUATED, CAPITAL)),
    ]
    batch = batch_of(
        starts=torch.tensor([[END, language, style] for language, _, style, _ in rows]),
        targets=torch.tensor([[language, NO_TARGET] for language, *_ in rows]),
        ids=("a", "b", "c", "d"),
        tokens=torch.tensor([[label] for *_, label in rows]),
        token_lengths=torch.ones(4, dtype=torch.long),
    )
    encoded = EncodedBatch(memory[[row for _, row, _, _ in rows]], torch.tensor([6] * 4), [])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for step in range(20):
        losses = Objective(LossConfig(ctc_weight=0), TOKENIZER)(model, batch, encoded, step)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    model.eval()
    fields = TOKENIZER.prompt_fields
    with torch.inference_mode():
        assert detect_languages(model.decoder, fields, memory, lengths) == ["en", "fr"]
        for style, text in (("plain", "a"), ("punctuated", "A")):
            setting = LanguageSetting(LABELS, fields, None, {"style": style})
            config = SearchConfig(beam=2, ctc_weight=0)
            for language, found in setting.groups(model, memory, lengths):
                labels = setting.labels_of(language)
                scorers = all_scorers(model, labels, config)
                for best, *_ in search(scorers, memory[found], lengths[found], labels, config):
                    assert TOKENIZER.decode(best.tokens) == text
