"""Raw samples: however bytes are cut, and whatever stands beside the channel that is wanted."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import PcmReader
from asr.errors import AudioError


@given(
    samples=st.lists(st.integers(-32768, 32767), max_size=40),
    channels=st.integers(1, 3),
    pcm=st.sampled_from(["int16", "float32"]),
    cuts=st.lists(st.integers(0, 200), max_size=8),
)
def test_bytes_may_be_cut_anywhere(
    samples: list[int], channels: int, pcm: Any, cuts: list[int]
) -> None:
    whole = np.array(samples[: len(samples) // channels * channels], np.int16)
    if pcm == "float32":
        whole = (whole / 32768).astype(np.float32)
    data = whole.tobytes()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader = PcmReader(pcm, channels, 0)
    parts = [reader(data[a:b]) for a, b in itertools.pairwise(edges)]
    reader.close()
    heard = np.concatenate(parts)
    assert heard.dtype == whole.dtype
    assert np.array_equal(heard, whole[::channels])


def test_several_channels_are_their_mean_or_one_of_them() -> None:
    block = np.array([[16384, -16384], [16384, 0]], np.int16)
    assert PcmReader()(block).tolist() == [0.0, 0.25]
    assert PcmReader(channel=1)(block).tolist() == [-16384, 0]
    assert PcmReader(channels=2)(block.tobytes()).tolist() == [0.0, 0.25]
    assert PcmReader()(block[:, :1]).tolist() == [16384, 16384]
    assert PcmReader()(block.astype(np.float32) / 32768).tolist() == [0.0, 0.25]


def test_other_blocks_are_handed_on() -> None:
    block = np.zeros(3, np.float32)
    assert PcmReader()(block) is block
    assert PcmReader()("sound") == "sound"


def test_an_end_within_a_sample_is_told() -> None:
    reader = PcmReader("float32")
    assert len(reader(b"\0" * 6)) == 1
    with pytest.raises(AudioError, match="within a sample, 2 bytes"):
        reader.close()
    reader.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pcm": "int8"}, "PCM format 'int8': there are int16 and float32"),
        ({"channels": 0}, "0 channels; give 1 to 32"),
        ({"channel": -1}, "counted from 0"),
        ({"channels": 2, "channel": 2}, "channel 2: there are 2 channels"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(AudioError, match=said):
        PcmReader(**options)


def test_a_channel_that_is_not_there_is_refused() -> None:
    with pytest.raises(AudioError, match="channel 3: there are 2"):
        PcmReader(channel=3)(np.zeros((4, 2), np.int16))
