"""Time stamps in hypotheses: the rules, and the segments that come of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from asr.errors import ConfigError, ModelError
from asr.search import SearchConfig, WeightedScorer, search
from asr.search.attention import AttentionScorer
from asr.search.timestamps import TimestampScorer
from asr.text.timestamps import Timestamps
from asr.text.tokenizer import Labels
from asr.transcribe.files.stamped import split_at_timestamps
from asr.transcribe.options import TranscribeOptions
from asr.transcribe.recognizer import load_model
from asr.types import Hypothesis
from tests.model.whisper.test_folder import write_folder
from tests.search.models import TableDecoder, memory_of
from tests.text.test_whisper import NO_STAMPS, START

V, END, BEGIN, OFF = 20, 10, 11, 12
STAMPS = Timestamps(first=13, count=7, seconds=0.5, off=OFF)  # the first one is at most 1 s
NEVER = (BEGIN, *range(OFF, V))
PLAIN = Labels(None, None, END, (BEGIN, OFF), NEVER, timestamps=STAMPS)
LABELS = PLAIN.with_timestamps()

#: Random walks through what `WhisperTimeStampLogitsProcessor` of transformers 5.24 allows with
#: `log_probs` at each step, its eos_token_id 10, no_timestamps_token_id 12, and
#: max_initial_timestamp_index 2: for each step which labels may follow, the end among them.
RECORDED = json.loads((Path(__file__).parent / "timestamp_rules.json").read_text())


def log_probs(step: int) -> Tensor:
    values = torch.sin(7.3 * torch.arange(V, dtype=torch.float64) * (step + 1) + step) * 2
    values[[BEGIN, OFF]] = -1000.0
    values[END] -= 3 if step % 3 else 0
    return values.log_softmax(0)


class Rows:
    """A scorer whose state is the number of the step."""

    partial, max_gain, max_labels = False, 0.0, None

    def __init__(self, first: int) -> None:
        self.first = first

    def start(self, memory: Tensor, memory_lengths: Tensor) -> int:
        return self.first

    def score(self, state: int, candidates: Tensor | None) -> Tensor:
        row = log_probs(state)[None]
        return row if candidates is None else row.gather(1, candidates)

    def advance(self, state: int, parents: Tensor, tokens: Tensor) -> int:
        return state + 1

    def finish(self, state: int) -> Tensor:
        return log_probs(state)[None, END]


def allowed(scorer: TimestampScorer, state: Any) -> list[int]:
    scores = scorer.score(state, None)[0]
    known = [label for label in range(V) if label not in (END, BEGIN, OFF)]
    labels = [label for label in known if scores[label] > -torch.inf]
    return sorted([*labels, *([END] if scorer.finish(state)[0] > -torch.inf else [])])


@pytest.mark.parametrize("walk", range(len(RECORDED)))
def test_the_rules_are_those_of_transformers(walk: int) -> None:
    labels, expected = RECORDED[walk]["labels"], RECORDED[walk]["allowed"]
    memory, lengths, parents = torch.zeros(1, 3, 1), torch.tensor([3]), torch.tensor([0])
    scorer = TimestampScorer(Rows(13 * walk), LABELS)
    state = scorer.start(memory, lengths)
    for place, label in enumerate(labels):
        assert allowed(scorer, state) == expected[place]
        assert scorer.score(state, torch.tensor([[label]])) == log_probs(13 * walk + place)[label]
        state = scorer.advance(state, parents, torch.tensor([label]))
    if len(expected) > len(labels):
        assert allowed(scorer, state) == expected[-1]
    behind = torch.tensor([[*labels, 13, 13]])  # the last two are padding
    _, started = scorer.start_with_prefix(memory, lengths, behind, torch.tensor([len(labels)]))
    assert allowed(scorer, started) == allowed(scorer, state)


def test_hypotheses_are_in_pairs_of_rising_times() -> None:
    memory, lengths = memory_of(2, [14, 9])
    scorer = TimestampScorer(AttentionScorer(TableDecoder(4, V), LABELS), LABELS)
    config = SearchConfig(beam=6, nbest=6)
    for found in search(
        [WeightedScorer("attention", scorer, 1.0)], memory, lengths, LABELS, config
    ):
        assert len(found) > 1
        for hypothesis in found:
            first, *_ = hypothesis.tokens
            assert 0 <= STAMPS.time_of(first) <= 1.0
            times = [label for label in hypothesis.tokens if label in STAMPS]
            assert times == sorted(times)


def test_labels_with_and_without() -> None:
    assert not PLAIN.writes_timestamps
    assert LABELS.writes_timestamps
    assert (LABELS.start, LABELS.never) == ((BEGIN,), (BEGIN, OFF))
    assert replace(LABELS, timestamps=None).writes_timestamps is False
    with pytest.raises(ModelError, match="no labels for times"):
        replace(PLAIN, timestamps=None).with_timestamps()
    with pytest.raises(ModelError, match="write no time stamps"):
        TimestampScorer(Rows(0), PLAIN)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ((13, 1, 2, 15, 15, 3, 17), [((13, 1, 2, 15), 0.0, 1.0), ((15, 3, 17), 1.0, 2.0)]),
        ((14, 1, 15, 17, 2), [((14, 1, 15), 0.5, 1.0), ((17, 2), 2.0, 2.25)]),  # not closed
        ((13, 1, 19), [((13, 1, 19), 0.0, 2.25)]),  # behind the end of the sound
        ((13,), []),
        ((13, 1, 14, 15), [((13, 1, 14), 0.0, 0.5)]),
        ((), []),
    ],
)
def test_text_is_cut_at_time_stamps(labels: tuple[int, ...], expected: list[Any]) -> None:
    spans = tuple((n, n + 1) for n in range(len(labels)))
    scores = {"attention": tuple(float(-label) for label in labels)}
    whole = Hypothesis(labels, -1.0, spans=spans, label_scores=scores)
    parts = list(split_at_timestamps(whole, STAMPS, 2.25))
    assert [(part.tokens, start, end) for part, start, end in parts] == expected
    for part, _, _ in parts:
        assert [labels[first] for first, _ in part.spans] == list(part.tokens)
        assert part.label_scores["attention"] == tuple(-label for label in part.tokens)


def test_a_model_that_writes_time_stamps(tmp_path: Path, tiny_model: Path) -> None:
    model = load_model(write_folder(tmp_path / "en", "ctranslate2"), "cpu")
    model.search = model.search.model_copy(update={"heard_only": False})  # the sound is noise
    sound = np.random.default_rng(3).normal(0, 0.1, 16000).astype(np.float32)
    transcript = model.transcribe(sound, 16000, timestamps=True, beam=2)
    assert transcript.segments
    for segment in transcript.segments:
        assert segment.tokens[0] > NO_STAMPS > START
        assert 0.0 <= segment.start <= segment.end <= 1.0
    with pytest.raises(ModelError, match="was not trained to write time stamps: leave timestamps"):
        load_model(tiny_model, "cpu").transcribe(sound, 16000, timestamps=True)


@pytest.mark.parametrize("other", [{"chunk_ms": 640}, {"lm_weight": 0.3}, {"nbest": 2}])
def test_what_does_not_go_together(other: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigError, match=f"timestamps .* and {next(iter(other))} .* do not go together"
    ):
        TranscribeOptions(timestamps=True, beam=4, **other)
    TranscribeOptions(timestamps=True, beam=4, nbest=1, lm_weight=0.0)
