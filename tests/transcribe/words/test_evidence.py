"""Scores of labels in one pass, where labels have other numbers than ours."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from asr.lm.lstm import LSTM, LSTMConfig
from asr.model import ModelConfig, SpeechModel
from asr.search import (
    AttentionScorer,
    LanguageModelScorer,
    SearchConfig,
    all_scorers,
    search,
)
from asr.text import Labels
from asr.transcribe.words.align import align_many
from asr.transcribe.words.evidence import LEAST, with_label_scores
from asr.types import Hypothesis
from tests.layouts import LAYOUTS, Layouts


def models(layout: Layouts, labels: Labels) -> tuple[SpeechModel, LSTM, Tensor, Tensor]:
    """A recogniser, a language model, and the memory and lengths of two utterances."""
    torch.manual_seed(1)
    values = {
        "encoder": {"type": "lstm", "layers": 1, "dim": 8},
        "decoder": {"type": "transformer", "layers": 1, "dim": 8, "heads": 2, "ff": 8},
    }
    model = SpeechModel(ModelConfig.model_validate(values), layout.vocabulary).eval()
    lm = LSTM(LSTMConfig(layers=1, dim=8, embedding=4), layout.vocabulary).eval()
    assert model.ctc is not None
    with torch.no_grad():
        model.ctc.weight.mul_(5)
        model.ctc.weight[sorted(layout.usual.forbidden)] = 0.0
    if labels is layout.other:
        layout.move(model)
        layout.move(lm)
    memory = torch.randn(2, 9, 8, generator=torch.Generator().manual_seed(2))
    return model, lm, memory, torch.tensor([9, 4])


def scored(layout: Layouts, labels: Labels) -> list[Hypothesis]:
    """Both utterances, searched and scored."""
    model, lm, memory, lengths = models(layout, labels)
    config = SearchConfig(beam=4, heard_only=False, lm_weight=0.5)
    with torch.inference_mode():
        scorers = all_scorers(model, labels, config, lm)
        best = [first for first, *_ in search(scorers, memory, lengths, labels, config)]
        log_probs = model.ctc_log_probs(memory).numpy()
    frames = [row[:length] for row, length in zip(log_probs, lengths.tolist(), strict=True)]
    spans = align_many(frames, [one.tokens for one in best], labels.ctc_blank)
    best = [
        Hypothesis(one.tokens, one.score, one.scores, tuple(places))
        for one, places in zip(best, spans, strict=True)
    ]
    return with_label_scores(model, labels, best, memory, lengths, frames, lm)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_numbers_change_no_score(layout: Layouts) -> None:
    usual, other = scored(layout, layout.usual), scored(layout, layout.other)
    assert max(len(one.tokens) for one in usual) > 1
    for one, again in zip(usual, other, strict=True):
        assert again.tokens == layout.renumber(one.tokens)
        assert again.spans == one.spans
        assert set(one.label_scores) == {"ctc", "attention", "lm"}
        for name, scores in one.label_scores.items():
            assert len(scores) == len(one.tokens)
            assert min(scores, default=0.0) > LEAST
            assert again.label_scores[name] == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
@torch.inference_mode()  # as the search runs: caches are written in place
def test_they_are_what_the_scorers_add_label_by_label(layout: Layouts) -> None:
    labels, (model, lm, memory, lengths) = layout.other, models(layout, layout.other)
    assert model.decoder is not None
    scorers = {
        "attention": AttentionScorer(model.decoder, labels),
        "lm": LanguageModelScorer(lm, labels),
    }
    row = torch.tensor([0])
    for place, hypothesis in enumerate(scored(layout, labels)):
        size = int(lengths[place])
        for name, scorer in scorers.items():
            state = scorer.start(memory[place : place + 1, :size], lengths[place : place + 1])
            steps = []
            for label in hypothesis.tokens:
                steps.append(scorer.score(state, torch.tensor([[label]])).item())
                state = scorer.advance(state, row, torch.tensor([label]))
            assert hypothesis.label_scores[name] == pytest.approx(steps, abs=1e-4)
