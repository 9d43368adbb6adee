from __future__ import annotations

import shutil

import pytest

from asr.config import parse
from asr.data.config import DataConfig
from asr.data.corpus import check_batch_seconds, load_corpus
from asr.data.leakage import check_leakage, same_audio
from asr.data.loader import training_sampler
from asr.data.manifest import read_manifest
from asr.errors import ConfigError, ManifestError
from tests.data.sound import corpus, lines, write


def config(train, **values) -> DataConfig:
    return parse(DataConfig, {"train": train, "max_seconds": 5, **values}, "recipe")


def load(train, training=True, **values):
    settings = config(train, **values)
    return load_corpus(settings.train, settings, training)


def test_missing_and_unreadable_audio_is_refused_or_left_out_and_counted(tmp_path):
    manifest = corpus(tmp_path, [1.0, 1.0, 1.0, 1.0])
    (tmp_path / "audio" / "u1.wav").unlink()
    (tmp_path / "audio" / "u2.wav").write_bytes(b"")
    with pytest.raises(ManifestError, match=r"audio of 2 utterances.*u1\.wav.*missing_audio"):
        load(str(manifest))
    left = load(str(manifest), missing_audio="leave_out")
    assert [cut.id for cut in left.cuts] == ["u0", "u3"]
    assert [one.id for one in left.left_out] == ["u1", "u2"]
    summary = left.summary()
    assert summary[0] == "2 utterances, 0.00 hours"
    assert summary[1].startswith("left out, audio missing or unreadable: 2: u1 (")


def test_the_audio_counts_where_the_manifest_differs(tmp_path):
    write(tmp_path / "a.wav", 2.0)
    entry = {"audio_filepath": "a.wav", "text": "x"}
    whole = lines(tmp_path / "w.jsonl", [{**entry, "duration": 0.5}])
    (cut,) = load(str(whole)).cuts
    assert (cut.duration, cut.supervisions[0].duration) == (2.0, 2.0)
    part = lines(tmp_path / "p.jsonl", [{**entry, "offset": 1.5, "duration": 3.0}])
    (cut,) = load(str(part)).cuts
    assert (cut.start, cut.duration) == (1.5, 0.5)
    beyond = lines(tmp_path / "b.jsonl", [{**entry, "offset": 2.5, "duration": 1.0}])
    with pytest.raises(ManifestError, match=r"starts at 2.5 s, the audio ends at 2 s"):
        load(str(beyond))


def test_too_long_and_too_short_ones_are_left_out_of_training_and_listed(tmp_path):
    manifest = corpus(tmp_path, [1.0, 6.0, 0.05, 7.5])
    left = load(str(manifest))
    assert [cut.id for cut in left.cuts] == ["u0"]
    assert [(one.id, one.reason, one.detail) for one in left.left_out] == [
        ("u3", "longer than 5 s", "7.50 s"),
        ("u1", "longer than 5 s", "6.00 s"),
        ("u2", "shorter than 0.1 s", "0.05 s"),
    ]
    assert len(load(str(manifest), training=False).cuts) == 4


@pytest.mark.parametrize("text", ["", "  ", "...?!"])
def test_empty_texts_need_the_option(tmp_path, text):
    write(tmp_path / "a.wav", 1.0)
    entry = {"audio_filepath": "a.wav", "duration": 1.0, "text": text}
    manifest = lines(tmp_path / "m.jsonl", [entry])
    with pytest.raises(ManifestError, match=r"1 utterances have no text.*first: a.*no_speech"):
        load(str(manifest))
    assert len(load(str(manifest), no_speech=True).cuts) == 1


def test_nothing_left_says_why(tmp_path):
    with pytest.raises(ManifestError, match=r"nothing to train on; .*longer than 5 s: 1: u0 \(6"):
        load(str(corpus(tmp_path, [6.0])))


def test_sources_repeat_and_ids_stay_unique(tmp_path):
    one, other = corpus(tmp_path / "a", [1.0, 1.0]), corpus(tmp_path / "b", [1.0])
    loaded = load([{"manifest": str(one), "repeat": 2.5}, str(other)])
    ids = [cut.id for cut in loaded.cuts]
    assert ids == ["1/u0", "u1", "1/u0#2", "u1#2", "1/u0#3", "u1#3", "2/u0"]
    shares = [(cut.custom or {}).get("epoch_share") for cut in loaded.cuts]
    assert shares == [None, None, None, None, 0.5, 0.5, None]
    assert len(load([{"manifest": str(one), "repeat": 2.5}], training=False).cuts) == 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"batch_secnds": 3}, "did you mean 'batch_seconds'"),
        (
            {"batch_seconds": 5.2, "concatenate_seconds": 5, "augment": {"speed": {}}},
            r"batch_seconds \(5.2\) is less .* \(5.556 s: concatenate_seconds at the slowest",
        ),
        ({"min_seconds": 6}, r"min_seconds \(6\) must be below"),
        ({"concatenate_seconds": 9}, "concatenate_seconds"),
        ({"cache": "disk"}, "cache"),
        ({"train": [{"manifest": "m", "repeat": 0}]}, "repeat"),
    ],
)
def test_wrong_settings_are_named(values, said):
    with pytest.raises(ConfigError, match=said):
        config(**{"train": "m", **values})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"batch_seconds": 3}, None),
        ({"batch_seconds": 2.9}, "batch_seconds: 2.9 is less than the longest .*, u1 with 3 s;"),
        ({"batch_seconds": 3, "augment": {"speed": {}}}, "u1 with 3.333 s when played 0.9 times"),
    ],
)
def test_a_batch_must_take_the_longest_utterance_that_there_is(tmp_path, values, said):
    manifest = str(corpus(tmp_path, [1.0, 3.0]))
    settings = config(manifest, **{"max_seconds": 30, **values})
    if said is None:
        cuts = load_corpus(settings.train, settings, True).cuts
        assert max(plan.seconds for plan in training_sampler(cuts, settings, 0)) <= 3
        return
    with pytest.raises(ConfigError, match=said):
        load_corpus(settings.train, settings, True)


def test_of_corpora_that_are_read_lazily_a_batch_must_take_max_seconds():
    with pytest.raises(ConfigError, match=r"data.max_seconds, 33.33 s when played 0.9 times"):
        check_batch_seconds(
            None, config("m", max_seconds=30, batch_seconds=30, augment={"speed": {}})
        )


class TestLeakage:
    def check(self, train, dev, **values):
        settings = config(str(train), dev=str(dev), **values)
        loaded = load_corpus(settings.train, settings, True)
        return check_leakage(loaded, load_corpus(settings.dev, settings, False), settings)

    def test_clean(self, tmp_path):
        train = corpus(tmp_path / "a", [1.0, 2.0], speaker="ann")
        dev = corpus(tmp_path / "b", [1.5, 2.5], speaker="bob")
        assert self.check(train, dev) == []

    def test_the_same_file(self, tmp_path):
        train = corpus(tmp_path, [1.0, 2.0])
        with pytest.raises(ManifestError, match=r"2 dev utterances.*u0 \(train\) is u0 \(dev\)"):
            self.check(train, train)
        notes = self.check(train, train, leakage="allow")
        assert len(notes) == 2
        assert "speakers in both train and dev: 1 (ann)" in notes[1]

    def test_a_copy_under_another_name(self, tmp_path):
        train = corpus(tmp_path / "a", [1.0, 2.0], speaker="ann")
        (tmp_path / "b").mkdir()
        shutil.copy(tmp_path / "a" / "audio" / "u1.wav", tmp_path / "b" / "x.wav")
        entry = {"audio_filepath": "x.wav", "duration": 2.0, "text": "x"}
        dev = lines(tmp_path / "b" / "m.jsonl", [entry])
        with pytest.raises(ManifestError, match=r"u1 \(train\) is x \(dev\)"):
            self.check(train, dev)

    def test_speakers_alone_are_only_reported(self, tmp_path):
        train = corpus(tmp_path / "a", [1.0])
        dev = corpus(tmp_path / "b", [1.5])
        assert self.check(train, dev) == ["speakers in both train and dev: 1 (ann)"]

    def test_parts_of_one_file_leak_only_where_they_overlap(self, tmp_path):
        write(tmp_path / "a.wav", 10.0)
        entry = {"audio_filepath": "a.wav", "text": "x"}

        def part(name, start, seconds):
            line = {**entry, "offset": start, "duration": seconds, "id": name}
            return list(read_manifest(lines(tmp_path / f"{name}.jsonl", [line])))

        train = part("t", 2.0, 3.0)
        assert same_audio(train, part("after", 5.0, 2.0)) == []
        assert same_audio(train, part("before", 0.0, 2.2)) == []
        assert same_audio(train, part("within", 3.0, 1.0)) == [("t", "within")]
        assert same_audio(train, part("over", 4.0, 5.0)) == [("t", "over")]
