"""The scorers of a model, and the configuration."""

from types import SimpleNamespace

import pytest

from asr.config import parse
from asr.errors import ConfigError, ModelError
from asr.search import SearchConfig, fitting, joint_scorers
from asr.text.special_labels import LABELS
from tests.search.models import GRUDecoder, Head


def test_the_weights_share_1_and_a_weight_of_0_is_left_out():
    model = SimpleNamespace(decoder=GRUDecoder(1, 6), ctc_log_probs=Head(1, 6))
    for weight, expected in [
        (0.0, {"attention": 1.0}),
        (0.3, {"attention": 0.7, "ctc": 0.3}),
        (1.0, {"ctc": 1.0}),
    ]:
        got = {one.name: one.weight for one in joint_scorers(model, LABELS, weight)}
        assert got == pytest.approx(expected)


def test_a_model_without_a_decoder_searches_by_ctc_alone():
    model = SimpleNamespace(decoder=None, ctc_log_probs=Head(1, 6))
    assert [one.name for one in joint_scorers(model, LABELS, 1.0)] == ["ctc"]
    with pytest.raises(ModelError, match="use a CTC weight of 1"):
        joint_scorers(model, LABELS, 0.3)


def test_where_a_half_is_missing_the_other_decides_alone():
    config = SearchConfig(ctc_weight=0.3)
    for decoder, ctc, weight in [(1, 1, 0.3), (None, 1, 1.0), (1, None, 0.0)]:
        model = SimpleNamespace(decoder=decoder, ctc=ctc)
        assert fitting(config, model).ctc_weight == weight


def test_configuration_is_checked():
    assert parse(SearchConfig, {"beam": 4, "nbest": 4}, "options").beam == 4
    for values, message in [
        ({"beam": 0}, "must be at least 1"),
        ({"ctc_weight": 1.1}, "must be at most 1"),
        ({"beam": 2, "nbest": 3}, r"nbest \(3\) is more than beam \(2\)"),
        ({"max_label": 3}, "did you mean 'max_labels'"),
    ]:
        with pytest.raises(ConfigError, match=message):
            parse(SearchConfig, values, "options")
