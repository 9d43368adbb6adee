"""Hotwords as users give them, in files and streams."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from asr import TranscribeOptions, load_model
from asr.errors import ConfigError
from asr.transcribe.hotwords import OTHER_CAPITALS, phrase_tree
from asr.transcribe.recognizer import Recognizer
from asr.transcribe.streams.endpoint import EndpointConfig
from tests.conftest import RATE
from tests.model.whisper.test_folder import write_folder
from tests.transcribe.tones import say, tones_model


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    """Writes a letter for each tone: a model without a decoder."""
    return Recognizer(tones_model(tmp_path_factory.mktemp("tones")))


def worth(recognizer: Recognizer, hotwords: object, text: str) -> float:
    """What a text is worth with these hotwords."""
    tree = phrase_tree(hotwords, recognizer.loaded)
    assert tree is not None
    node, total = tree.start, 0.0
    for label in recognizer.tokenizer.encode(text):
        gains, after = tree.rows([node])
        total, node = total + gains[0, label].item(), int(after[0, label])
    return total + tree.broken(node, word_ends=True)


@pytest.fixture
def tiny(tiny_model: Path) -> Recognizer:
    return load_model(tiny_model, "cpu")


def test_every_form_means_the_same(tiny: Recognizer, tmp_path: Path):
    file = tmp_path / "words.txt"
    file.write_text("# people\nNottingham Castle : 2\n\nQuilter\t0.5\nabc\n", encoding="utf-8")
    forms = [
        file,
        str(file),
        "Nottingham Castle : 2, Quilter : 0.5, abc",
        ["Nottingham  castle : 2", "quilter : 0.5", "abc"],
        {"NOTTINGHAM CASTLE": 2, "Quilter!": 0.5, "abc": 1},
        {"Nottingham Castle": np.int64(2), "quilter": np.float32(0.5), "abc": Fraction(1)},
    ]
    for hotwords in forms:
        assert worth(tiny, hotwords, "nottingham castle") == 2 * len("nottingham castle")
        assert worth(tiny, hotwords, "the quilter and abc") == 0.5 * 7 + 3
        assert worth(tiny, hotwords, "nottingham castles") == 0
    assert phrase_tree(None, tiny.loaded) is None


def test_a_list_may_be_longer_than_names_of_files(tiny: Recognizer):
    assert worth(tiny, ", ".join(["quilter"] * 1000), "the quilter") == len("quilter")


def test_a_phrase_is_written_as_the_model_writes(tiny: Recognizer):
    assert worth(tiny, ["Dr. Smith's 3 dogs"], "doctor smith's three dogs") > 0
    assert worth(tiny, ["Star Trek: Picard"], "star trek picard") > 0  # no weight: no number
    assert worth(tiny, ["at 10:30"], "at ten thirty") > 0  # but a time


@pytest.mark.parametrize("entry", ["abc:2", "abc: 2", "abc :2.0", "abc\t2"])
def test_a_weight_needs_no_spaces(tiny: Recognizer, entry: str):
    assert (
        worth(tiny, [entry], "abc") == worth(tiny, ["abc : 2"], "abc") > worth(tiny, ["abc"], "abc")
    )


@pytest.mark.parametrize(
    ("hotwords", "message"),
    [
        ("nowhere/words.txt", "nowhere/words.txt: hotwords cannot be read: No such file"),
        ("words.txt", "words.txt: hotwords cannot be read"),
        (Path("words"), "words: hotwords cannot be read"),
        ("", "no phrase given"),
        (" , ,", "no phrase given"),
        ([], "no phrase given"),
        ({}, "no phrase given"),
        (["..."], r"'\.\.\.' has no letters"),
        (["smörgås"], "'smörgås': this model cannot write ö å"),
        (["abc : high"], "'abc : high': 'high' is no weight; write 'phrase : number'"),
        (["abc : -1"], "'abc': its weight must be above 0 and finite, got -1.0"),
        (["abc : nan"], "must be above 0 and finite"),
        ({"abc": 0}, "must be above 0 and finite, got 0"),
        ({"abc": True}, "must be above 0 and finite, got True"),
        ({"abc": np.float32("nan")}, "must be above 0 and finite, got"),
        ({"abc": 10**400}, "must be above 0 and finite, got"),
        ({"abc": "2"}, "must be above 0 and finite, got '2'"),
        ([3], "phrases must be text, got 3"),
        ({3: 1.0}, "phrases must be text, got 3"),
        (["abc:0"], "'abc': its weight must be above 0 and finite, got 0.0"),
        (["abc=2"], "'abc=2': is 2 a weight. then write 'abc : 2', with spaces"),
        (["Psalm 23:4"], "is 4 a weight. .* else write it as it is said, 'Psalm 23 4'"),
        ([f"abc : x{n}" for n in range(9)], "and 4 more"),
    ],
)
def test_what_is_wrong_is_told(tiny: Recognizer, hotwords: object, message: str):
    with pytest.raises(ConfigError, match=message):
        tiny.transcribe(np.zeros(RATE, np.float32), RATE, hotwords=hotwords)


def test_what_is_wrong_in_a_file_is_told_by_line(tiny: Recognizer, tmp_path: Path):
    file = tmp_path / "words.txt"
    file.write_text("fine\nNottingham : lots\nsmörgås\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"words.txt, line 2: .*lots.*words.txt, line 3: .*ö å"):
        tiny.stream(RATE, hotwords=file)
    file.write_text("# nothing\n\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"words.txt: holds no hotwords; write a phrase a line"):
        tiny.stream(RATE, hotwords=file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="must be text in UTF-8"):
        tiny.stream(RATE, hotwords=str(file))


def test_a_weight_needs_hotwords_and_must_be_one(tiny: Recognizer):
    with pytest.raises(ConfigError, match="hotword_weight needs hotwords"):
        tiny.stream(RATE, hotword_weight=1.0)
    with pytest.raises(ConfigError, match="hotword_weight"):
        tiny.stream(RATE, hotwords=["abc"], hotword_weight=-1.0)


def test_hotwords_change_what_is_written_and_are_told(tones: Recognizer):
    sound = np.concatenate([say("a", 0.4), np.zeros(RATE // 4, np.float32), say("b", 0.4)])
    sound = np.concatenate([sound, np.zeros(RATE // 2, np.float32)])
    plain = tones.transcribe(sound, RATE)
    assert plain.text == "ab"
    [told] = tones.transcribe(sound, RATE, hotwords=["ab"]).segments
    assert told.scores["hotwords"] == 2.0
    assert told.score == pytest.approx(told.scores["ctc"] + 2 * tones.search.hotword_weight)
    absent = tones.transcribe(sound, RATE, hotwords=["ba", "abba", "a"], hotword_weight=3.0)
    assert absent.text == plain.text
    assert absent.segments[0].scores["hotwords"] == 0.0


@pytest.mark.parametrize("chunk_ms", [320, 640])
def test_a_stream_finds_what_a_file_has(tiny: Recognizer, sound: np.ndarray, chunk_ms: int):
    rules = EndpointConfig(
        max_segment_seconds=2.0, silence_seconds=0.4, noise_seconds=0.6, lead_seconds=0.5
    )
    plain = tiny.transcribe(sound, RATE, chunk_ms=chunk_ms, endpoint=rules).text
    words = {"".join(plain.split())[1:4]: 1.0, "ab": 2.0, "q": 3.0, "zz top": 1.0}
    options = {"hotwords": words, "hotword_weight": 2.0, "chunk_ms": chunk_ms, "endpoint": rules}
    whole = tiny.transcribe(sound, RATE, **options)
    stream = tiny.stream(RATE, **options)
    updates = [stream.feed(block) for block in np.array_split(sound, 9)] + [stream.flush()]
    finals = [segment for update in updates for segment in update.final]
    assert [one.text for one in finals] == [one.text for one in whole.segments]
    assert [one.scores["hotwords"] for one in finals] == pytest.approx(
        [one.scores["hotwords"] for one in whole.segments], abs=1e-6
    )
    assert whole.text


def test_weights_of_numpy_become_plain_numbers():
    options = TranscribeOptions(hotwords={"abc": np.int64(2)})
    assert options.model_dump_json(exclude_none=True) == '{"hotwords":{"abc":2.0}}'


def test_capitals_of_a_model_that_writes_them(tmp_path: Path):
    recognizer = load_model(write_folder(tmp_path / "en", "ctranslate2"), "cpu")
    size = 256  # a label for each byte

    def of(hotwords: object, text: str) -> float:
        tree = phrase_tree(hotwords, recognizer.loaded)
        assert tree is not None
        place, total = tree.start, 0.0
        for label in text.encode():
            assert label < size
            gains, after = tree.pairs(torch.tensor([place]), torch.tensor([[label]]))
            total, place = total + gains.item(), int(after)
        return total + tree.broken(place % tree.size, word_ends=True)

    assert of(["Quilter"], "Mr. Quilter, and") == 7  # as it was given
    for other in ("mr. quilter", "QUILTER!"):
        assert of(["Quilter"], other) == 0
    assert of(["QUILTER"], "Quilter") == pytest.approx(7 * OTHER_CAPITALS)
    assert of(["QUILTER"], "quilter") == 0
    assert of(["Quilter"], "quilters") == of(["Quilter"], "qUILTER") == 0
    for text in ("new york", "New york", "New York", "NEW YORK"):
        assert of(["new york : 2"], text) == 16
    assert of({"New York": 1, "new york": 3}, "New York") == 24  # the greatest weight
    assert of(["élise"], "à Élise") == 5
    with pytest.raises(ConfigError, match=r"'\.\.\.' has no letters"):
        of(["..."], "")
