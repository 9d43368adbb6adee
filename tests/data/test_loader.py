from __future__ import annotations

import multiprocessing
import random
from itertools import pairwise

import numpy as np
import pytest
import torch

from asr.config import parse
from asr.data.config import DataConfig
from asr.data.corpus import load_corpus
from asr.data.loader import training_batches, validation_batches
from asr.data.manifest import read_manifest
from asr.data.samples import SampleCache, decode
from asr.errors import AudioError, ManifestError
from tests.data.sound import corpus, lines, write

DURATIONS = [0.3 + i * 7 % 23 / 10 for i in range(40)]


class Letters:
    """A tokenizer whose sampled labels show what was drawn."""

    prompt_fields = None

    def encode(self, text: str, sample: bool | random.Random = False) -> list[int]:
        labels = [ord(letter) for letter in text]
        if isinstance(sample, random.Random):
            return [label + sample.randrange(1000, 2000) for label in labels]
        return labels


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return corpus(tmp_path_factory.mktemp("corpus"), DURATIONS)


@pytest.fixture(scope="module")
def augment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noise")
    write(folder / "n.wav", 1.0, 3000)
    clips = lines(folder / "m.jsonl", [{"audio_filepath": "n.wav", "duration": 1.0}])
    return {
        "speed": {},
        "volume": {},
        "noise": {"manifest": str(clips), "probability": 0.5},
        "telephone": {"probability": 0.3},
    }


def config(manifest, **values) -> DataConfig:
    usual = {"train": str(manifest), "batch_seconds": 8, "max_seconds": 4, "workers": 0}
    return parse(DataConfig, {**usual, **values}, "test")


def fingerprint(batch):
    tokens = batch.tokens.tolist() if batch.tokens is not None else None
    return batch.ids, batch.texts, batch.lengths.tolist(), batch.samples.numpy().tobytes(), tokens


def test_a_batch_holds_the_samples_texts_and_tokens_of_its_items(manifest):
    settings = config(manifest)
    loader, _ = training_batches(
        read_manifest(manifest), settings, Letters(), str.upper, sample_rate=8000
    )
    said = {cut.id: cut for cut in read_manifest(manifest)}
    seen = set()
    for batch in loader:
        seen.update(batch.ids)
        assert batch.samples.dtype == torch.float32
        assert batch.samples.shape[0] == len(batch.lengths) == len(batch.tokens)
        assert not batch.lengths[len(batch.ids) :].any(), "rows beyond ids are padding"
        assert not batch.samples[len(batch.ids) :].any()
        for row, name in enumerate(batch.ids):
            cut, length = said[name], int(batch.lengths[row])
            expected = decode(cut.recording.sources[0].source, 8000)
            assert length == len(expected)
            np.testing.assert_array_equal(batch.samples[row, :length], expected)
            assert not batch.samples[row, length:].any()
            assert batch.texts[row] == cut.supervisions[0].text.upper()
            count = int(batch.token_lengths[row])
            assert batch.tokens[row, :count].tolist() == Letters().encode(batch.texts[row])
            assert (batch.tokens[row, count:] == 0).all()
        assert batch.seconds == pytest.approx(float(batch.lengths.sum()) / 8000)
        assert batch.samples.numel() / 8000 <= 8.001
    assert seen == set(said)


@pytest.mark.parametrize("cache", ["none", "memory"])
@pytest.mark.parametrize("workers", [0, 2])
def test_an_interrupted_run_hears_the_same_to_the_bit(manifest, augment, workers, cache):
    values = {
        "augment": augment,
        "cache": cache,
        "sample_tokens": True,
        "concatenate_seconds": 3,
        "workers": workers,
    }

    def make(**changed):
        settings = config(manifest, **{**values, **changed})
        return training_batches(read_manifest(manifest), settings, Letters(), seed=11)

    whole = []
    loader, sampler = make(workers=0)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        whole += map(fingerprint, loader)

    first, sampler = make()
    stopped = []
    for batch in first:
        if len(stopped) == 5:
            break
        stopped.append(fingerprint(batch))
        sampler.done(batch.epoch, batch.index)
    state = sampler.state_dict()

    second, resumed = make()
    resumed.load_state_dict(state)
    for epoch in range(resumed.epoch, 3):
        resumed.set_epoch(epoch)
        for batch in second:
            stopped.append(fingerprint(batch))
            resumed.done(batch.epoch, batch.index)
    assert stopped == whole
    assert len({ids for ids, *_ in whole}) > len(whole) / 2, "epochs are not the same"


def test_epochs_sound_different(manifest, augment):
    loader, sampler = training_batches(
        read_manifest(manifest), config(manifest, augment=augment, batch_utterances=1)
    )
    heard = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        heard.append({batch.ids: batch.samples.numpy().tobytes() for batch in loader})
    same = sum(heard[0][name] == heard[1][name] for name in heard[0])
    assert heard[0].keys() == heard[1].keys()
    assert same < len(heard[0]) / 2


def test_processes_share_an_epoch(manifest):
    seen = []
    for rank in range(2):
        loader, _ = training_batches(
            read_manifest(manifest), config(manifest), rank=rank, world_size=2
        )
        seen.append([name for batch in loader for name in batch.ids])
    assert sorted(seen[0] + seen[1]) == sorted(f"u{i}" for i in range(40))


def test_the_cache_gives_the_file_to_16_bits_and_counts_its_bytes(manifest):
    path = read_manifest(manifest)[3].recording.sources[0].source
    cache = SampleCache(16000)
    told = []
    assert cache.fill([path, path], progress=lambda done, all_: told.append((done, all_))) == {}
    np.testing.assert_allclose(cache.get(path), decode(path, 16000), atol=0.51 / 32768)
    assert told == [(1, 1)]
    assert cache.bytes == 2 * len(decode(path, 16000))
    assert cache.get("other") is None
    assert cache.seconds(path) == pytest.approx(DURATIONS[3], abs=1e-4)


def test_the_cache_says_what_it_could_not_decode(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no sound")
    failed = SampleCache(16000).fill([str(tmp_path / "a.wav"), str(tmp_path / "b.wav")])
    assert set(failed) == {str(tmp_path / "a.wav"), str(tmp_path / "b.wav")}


def test_audio_that_vanishes_is_named_while_training(tmp_path):
    manifest = corpus(tmp_path, [1.0])
    loader, _ = training_batches(read_manifest(manifest), config(manifest))
    (tmp_path / "audio" / "u0.wav").unlink()
    with pytest.raises(AudioError, match=r"u0\.wav"):
        list(loader)


@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_audio_is_one_line_or_left_out(tmp_path, workers):
    """Of the middle one of three the header is whole, but the end is missing."""
    path = corpus(tmp_path, [0.5, 0.6, 0.7])
    damaged = tmp_path / "audio" / "u1.wav"
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    cuts = read_manifest(path)
    values = {"workers": workers, "batch_seconds": 30, "max_seconds": 10, "buckets": 1}
    for make in (training_batches, validation_batches):
        made = make(cuts, config(path, **values), sample_rate=8000)
        with pytest.raises(AudioError) as caught:
            list(made[0] if isinstance(made, tuple) else made)
        assert str(caught.value).count("\n") == 0
        assert str(caught.value).startswith(str(damaged))
        made = make(cuts, config(path, **values, missing_audio="leave_out"), sample_rate=8000)
        heard = list(made[0] if isinstance(made, tuple) else made)
        assert {name for batch in heard for name in batch.ids} == {"u0", "u2"}


def test_a_batch_of_which_nothing_can_be_decoded_is_silence(tmp_path):
    manifest = corpus(tmp_path, [1.0])
    settings = config(manifest, missing_audio="leave_out")
    loader, _ = training_batches(read_manifest(manifest), settings, Letters(), sample_rate=8000)
    (tmp_path / "audio" / "u0.wav").unlink()
    (batch,) = loader
    assert not batch.samples.any()
    assert batch.seconds == 1.0
    assert batch.texts == ("",)
    assert batch.left_out[0].startswith("u0: ")


def test_workers_of_validation_end_with_it(manifest):
    before = set(multiprocessing.active_children())
    loader = validation_batches(read_manifest(manifest), config(manifest, workers=2))
    next(batches := iter(loader))
    assert set(multiprocessing.active_children()) - before
    batches.close()
    list(loader)
    assert not set(multiprocessing.active_children()) - before


def test_audio_that_vanishes_may_be_left_out_and_is_counted(tmp_path):
    manifest = corpus(tmp_path, [1.0, 1.0, 1.0])
    settings = config(manifest, missing_audio="leave_out")
    loader, _ = training_batches(read_manifest(manifest), settings, Letters())
    (tmp_path / "audio" / "u1.wav").unlink()
    (batch,) = loader
    assert sorted(batch.ids) == ["u0", "u2"]
    assert len(batch.texts) == int((batch.lengths > 0).sum()) == 2
    assert batch.left_out[0].startswith("u1: ")


def test_parts_of_a_file_are_cut_out(tmp_path):
    path = write(tmp_path / "a.wav", 3.0)
    entry = {"audio_filepath": "a.wav", "text": "x"}
    parts = [{**entry, "offset": 0.0, "duration": 1.0}, {**entry, "offset": 1.0, "duration": 2.0}]
    manifest = lines(tmp_path / "m.jsonl", parts)
    for cache in ("none", "memory"):
        settings = config(manifest, cache=cache, batch_utterances=1)
        loader, _ = training_batches(read_manifest(manifest), settings)
        rows = {batch.ids[0]: batch.samples[0] for batch in loader}
        joined = torch.cat([rows["a-0"], rows["a-1000"]])
        np.testing.assert_allclose(joined, decode(path, 16000), atol=1e-4)


def test_joined_utterances_have_joined_texts(manifest):
    settings = config(manifest, concatenate_seconds=4)
    loader, _ = training_batches(read_manifest(manifest), settings)
    texts = {cut.id: cut.supervisions[0].text for cut in read_manifest(manifest)}
    joined = 0
    for batch in loader:
        for name, text in zip(batch.ids, batch.texts, strict=True):
            joined += "+" in name
            assert text == " ".join(texts[part] for part in name.split("+"))
    assert joined


@pytest.mark.parametrize("durations", [[3.0], [0.5], [0.4, 0.5, 0.6]])
def test_tiny_corpora_work(tmp_path, durations):
    manifest = corpus(tmp_path, durations)
    settings = config(manifest, augment={"speed": {}})
    loader, _ = training_batches(load_corpus(settings.train, settings, True).cuts, settings)
    assert sum(len(batch.ids) for batch in loader) == len(durations)
    again = validation_batches(read_manifest(manifest), settings)
    assert sum(len(batch.ids) for batch in again) == len(durations)


def test_a_dev_set_of_nothing_gives_no_batches(manifest):
    assert list(validation_batches([], config(manifest))) == []


def test_training_on_nothing_is_refused(manifest):
    with pytest.raises(ManifestError, match="nothing to train on"):
        training_batches([], config(manifest))


def test_validation_is_whole_unchanged_and_always_the_same(manifest, augment):
    settings = config(manifest, augment=augment, max_seconds=1.0, batch_seconds=2)
    runs = [
        [fingerprint(batch) for batch in validation_batches(read_manifest(manifest), settings)]
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert sorted(name for ids, *_ in runs[0] for name in ids) == sorted(f"u{i}" for i in range(40))
    assert all(one != other for one, other in pairwise(runs[0]))


def test_lazy_corpora_train_too(tmp_path, manifest):
    (tmp_path / "shar").mkdir()
    read_manifest(manifest).to_shar(tmp_path / "shar", fields={"recording": "wav"}, shard_size=16)
    settings = config(tmp_path / "shar", buffer=10)
    loaded = load_corpus(settings.train, settings, True)
    assert not loaded.in_memory
    loader, sampler = training_batches(loaded.cuts, settings)
    ids = [name for batch in loader for name in batch.ids]
    assert sorted(ids) == sorted(f"u{i}" for i in range(40))
    assert sampler.count(0) is None


def test_real_speech(corpora):
    settings = parse(
        DataConfig, {"train": str(corpora / "dev" / "an4"), "batch_seconds": 60, "workers": 0}, "x"
    )
    loaded = load_corpus(settings.train, settings, True)
    loader, _ = training_batches(loaded.cuts, settings)
    assert sum(batch.seconds for batch in loader) == pytest.approx(0.10 * 3600, rel=0.1)
