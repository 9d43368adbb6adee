"""What goes wrong in training, and what a person then reads."""

from __future__ import annotations

import errno
import json
import multiprocessing
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from asr.data.dataset import Batch
from asr.errors import ConfigError, ManifestError, OutputError, TrainingError
from asr.model import SpeechModel
from asr.model.folder import load_model_folder
from asr.model.transformer_decoder import TransformerDecoder
from asr.train.checkpoint import LAST, load_checkpoint
from asr.train.checks import (
    MARGIN,
    FrameCount,
    check_chunks,
    check_limits,
    check_strategy,
    check_texts,
)
from asr.train.data import RunData
from asr.train.module import SpeechTraining
from asr.train.recipe import ChunkConfig, Recipe
from asr.train.run import train
from asr.train.trainer import is_of_another_process
from tests.model import whole_only  # noqa: F401 (registers test-whole-only)
from tests.train.conftest import RATE, write_corpus

Load = Callable[..., Recipe]
#: The same tones are in several corpora.
LEAK = "data.leakage=allow"


def spoil(monkeypatch: pytest.MonkeyPatch, which: Callable[[Batch], bool], value: float) -> None:
    """Makes the training loss of some batches `value`."""
    whole = SpeechTraining.losses

    def losses(self: SpeechTraining, batch: Batch, *args: Any, **more: Any) -> Tensor:
        sums = whole(self, batch, *args, **more)
        return sums * value if more.get("augment") and which(batch) else sums

    monkeypatch.setattr(SpeechTraining, "losses", losses)


def test_chunks_for_an_encoder_that_cannot_have_them_are_refused(
    recipe: Load, tmp_path: Path
) -> None:
    """Before anything is read or written."""
    cannot = "model.encoder={type: test-whole-only}"
    for encoder, reason in (
        (cannot, "WholeOnlyEncoder needs the whole utterance"),
        ("model.encoder={type: lstm, backwards: true}", "reads from the end"),
    ):
        with pytest.raises(
            ConfigError, match=rf"chunks.full is 0.5, .*{reason}.* chunks.full to 1"
        ):
            train(recipe(encoder, "chunks.full=0.5"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    check_chunks(recipe(cannot).model, ChunkConfig())  # whole utterances alone
    check_chunks(recipe().model, ChunkConfig(full=0.5))


def test_chunks_for_a_front_end_that_cannot_have_them_are_refused(recipe: Load) -> None:
    for more in ("", ", maximum: running, pad_seconds: 1"):
        model = recipe(f"model.frontend={{type: whisper{more}}}").model
        with pytest.raises(
            ConfigError, match=r"chunks.full is 0.5, .*'whisper'.* chunks.full to 1, or .* running"
        ):
            check_chunks(model, ChunkConfig(full=0.5))
        check_chunks(model, ChunkConfig())
    running = recipe("model.frontend={type: whisper, maximum: running}").model
    check_chunks(running, ChunkConfig(full=0.5))


def test_an_encoder_that_depends_on_padding_trains(recipe: Load, tmp_path: Path) -> None:
    outcome = train(
        recipe(
            "model.encoder={type: test-whole-only, max_frames: 500}",
            "model.frontend={type: whisper}",
            "training.max_steps=2",
        ),
        tmp_path / "run",
    )
    model = load_model_folder(outcome.model).model
    assert (model.frontend.global_norm, model.encoder.padding_invariant) == (False, False)


def test_such_an_encoder_is_not_divided_among_processes(recipe: Load, tmp_path: Path) -> None:
    """They would wait for each other for ever."""
    encoder = "model.encoder={type: test-whole-only, max_frames: 500}"
    with pytest.raises(ConfigError, match="fsdp does not go with the encoder test-whole-only"):
        train(recipe(encoder, "training.strategy=fsdp"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    check_strategy(recipe(encoder).model, "ddp")
    check_strategy(recipe().model, "fsdp")


def test_utterances_that_the_encoder_cannot_take_are_named(recipe: Load, tmp_path: Path) -> None:
    """Its 20 frames are 1.6 s: train-1 is too long, train-0 where it is played more slowly."""
    train_set = _noise(tmp_path / "train", 1.55, 1.7)
    dev_set = _noise(tmp_path / "dev", 1.59)
    encoder = "model.encoder={type: test-whole-only, max_frames: 20}"
    names = (encoder, "model.frontend={type: whisper}", "training.max_steps=1")
    both = (*names, f"data.train={train_set}", f"data.dev={dev_set}")
    told = r"train: 1 utterance longer than the 1.6 s that the encoder takes: train-1 \(1.70 s\)"
    with pytest.raises(TrainingError, match=f"{told}; lower data.max_seconds, or cut them"):
        check_limits(*_prepared(recipe(*both), tmp_path))
    check_limits(*_prepared(recipe(*both, "data.max_seconds=1.6"), tmp_path))
    slow = "data.augment.speed.factors=[0.8, 1.0]"
    told = r"longer than the 1.28 s that .* when played 0.8 times as fast: train-0"
    with pytest.raises(TrainingError, match=told):
        check_limits(*_prepared(recipe(*both, "data.max_seconds=1.6", slow), tmp_path))
    shutil.rmtree(tmp_path / "dev")
    _noise(tmp_path / "dev", 1.59, 1.7)
    told = r"dev: 1 utterance .*: dev-1 \(1.70 s\); cut them"
    with pytest.raises(TrainingError, match=told):
        check_limits(*_prepared(recipe(*both, "data.max_seconds=1.6"), tmp_path))
    lazy, data = _prepared(recipe(*names), tmp_path)
    data.corpora = replace(data.corpora, train=iter(data.corpora.train))
    with pytest.raises(TrainingError, match=r"data.max_seconds: 6 is more than the 1.6 s"):
        check_limits(lazy, data)


def test_texts_that_the_decoder_cannot_take_are_named(
    recipe: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder of five labels has room for four behind the start."""
    monkeypatch.setattr(TransformerDecoder, "max_labels", 5)
    short = write_corpus(tmp_path / "short", 2, seed=3, texts=["ab c", "abc"])
    long = write_corpus(tmp_path / "long", 2, seed=4, texts=["ab c", "ab ca"])
    check_limits(*_prepared(recipe(f"data.train={short}", f"data.dev={short}", LEAK), tmp_path))
    for part in ("train", "dev"):
        names = [f"data.{name}={long if name == part else short}" for name in ("train", "dev")]
        told = rf"{part}: 1 text with more labels than the 4 .* takes: long-1 \(5\); correct them"
        with pytest.raises(TrainingError, match=told):
            check_limits(*_prepared(recipe(*names, LEAK), tmp_path))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_skipped_and_named(
    recipe: Load,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    value: float,
) -> None:
    spoil(monkeypatch, lambda batch: "train-7" in batch.ids, value)
    train(recipe("training.max_steps=null", "training.epochs=2"), tmp_path / "run")
    told = capsys.readouterr().err
    assert told.count("loss or gradient is not finite; the batch is skipped") == 2
    assert "(2 so far, all in training/skipped.txt): train-" in told
    named = (tmp_path / "run" / "training" / "skipped.txt").read_text().splitlines()
    assert [" train-7 " in f"{line} " for line in named] == [True, True]
    state = load_checkpoint(tmp_path / "run" / "checkpoints" / LAST)
    assert state["run"]["skipped"] == 2
    assert state["run"]["step"] == state["ema"]["steps"]
    for part in (state["state_dict"], state["ema"]["weights"]):
        assert all(bool(tensor.isfinite().all()) for tensor in part.values())


def test_a_bad_batch_changes_nothing(recipe: Load, tmp_path: Path) -> None:
    """The weights, the average and the optimizer are those of a run without the step."""
    run = tmp_path / "run"
    train(recipe("training.max_steps=2", "checkpoint.average=none"), run)
    before = load_checkpoint(run / "checkpoints" / LAST)
    with pytest.MonkeyPatch.context() as patched:
        spoil(patched, lambda _: True, float("nan"))
        with pytest.raises(TrainingError):
            train(recipe("training.max_steps=9", "training.bad_steps=1"), run)
    after = load_checkpoint(run / "checkpoints" / LAST)
    for part in ("state_dict", "ema", "optimizer_states"):
        assert _same(before[part], after[part]), part


def test_several_bad_steps_in_a_row_end_the_run_with_advice(
    recipe: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        spoil(patched, lambda _: True, float("nan"))
        with pytest.raises(TrainingError) as caught:
            train(recipe("training.bad_steps=3"), run)
    assert "3 steps in a row" in str(caught.value)
    assert "Lower optimizer.lr" in str(caught.value)
    assert "train-" in str(caught.value)
    outcome = train(recipe("training.max_steps=2"), run)
    assert outcome.model is not None
    assert load_model_folder(outcome.model).tokenizer.size > 3


def test_a_full_gpu_is_explained(
    recipe: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0")

    monkeypatch.setattr(SpeechTraining, "losses", full)
    with pytest.raises(TrainingError) as caught:
        train(recipe(), tmp_path / "run")
    told = str(caught.value)
    assert "lower data.batch_seconds" in told
    assert "train-" in told
    assert "s of audio" in told
    assert "CUDA out of memory" in told


def test_more_labels_than_frames(
    recipe: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["ab", "ab cab " * 30, "ba"]
    manifest = write_corpus(tmp_path / "long", 3, seed=3, texts=texts)
    data = f"data.train={manifest}"
    with pytest.raises(TrainingError) as caught:
        train(recipe(data), tmp_path / "run")
    assert "1 utterances need more frames for their labels" in str(caught.value)
    assert "long-1 (" in str(caught.value)
    assert "loss.leave_out_too_long=true" in str(caught.value)
    train(recipe(data, "loss.leave_out_too_long=true"), tmp_path / "run")
    told = capsys.readouterr().err
    assert "they are left out of the CTC loss" in told
    assert "not finite" not in told


def test_the_count_of_frames_is_exact(recipe: Load) -> None:

    model = SpeechModel(recipe().model, 6).eval()
    frames = FrameCount(model)
    for size in range(0, 6000, 97):
        samples = torch.zeros(1, size)
        features, lengths = model.features(samples, torch.tensor([size]))
        exact = int(model.encode(features, lengths)[1]) if features.shape[1] else 0
        assert frames.exactly(size / model.sample_rate) == exact
        assert abs(frames.about(size / model.sample_rate) - exact) < MARGIN


def test_characters_that_cannot_be_written_are_reported(
    recipe: Load, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_corpus(tmp_path / "dev", 2, seed=4, texts=["ab xy", "ba x"])
    train(recipe(f"data.dev={manifest}", "training.max_steps=1"), tmp_path / "run")
    told = capsys.readouterr().err
    assert "dev: 2 characters cannot be written by the tokenizer: 'x' 2 times, 'y' 1 times" in told
    assert "first in dev-0: 'ab xy'" in told


def test_texts_that_were_not_checked_are_named(recipe: Load, tmp_path: Path) -> None:
    data = RunData(recipe(), tmp_path)
    data.prepare_data()
    data.setup()
    assert check_texts(data.recipe, data) == []
    data.corpora = replace(data.corpora, train=iter(data.corpora.train))
    [line] = check_texts(data.recipe, data)
    assert line == "train: texts were not checked: the corpus is read lazily"


def test_audio_of_train_in_dev_is_refused(recipe: Load, corpus: Path, tmp_path: Path) -> None:
    both = f"data.dev={corpus / 'train' / 'manifest.jsonl'}"
    with pytest.raises(ManifestError, match="also trained on"):
        train(recipe(both), tmp_path / "run")
    train(recipe(both, "data.leakage=allow", "training.max_steps=1"), tmp_path / "run")


def test_missing_audio_is_refused_or_counted(
    recipe: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_corpus(tmp_path / "gone", 3, seed=5)
    (tmp_path / "gone" / "1.wav").unlink()
    data = f"data.train={manifest}"
    with pytest.raises(ManifestError, match="missing or unreadable"):
        train(recipe(data), tmp_path / "run")
    train(recipe(data, "data.missing_audio=leave_out", "training.max_steps=1"), tmp_path / "run")
    assert "left out, audio missing or unreadable: 1" in capsys.readouterr().err


def test_one_utterance_and_no_dev_set(
    recipe: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_corpus(tmp_path / "one", 1, seed=6)
    overrides = (f"data.train={manifest}", "data.dev=[]", "training.max_steps=3")
    outcome = train(recipe(*overrides), tmp_path / "run")
    assert outcome.model is not None
    told = capsys.readouterr().err
    assert "no dev set" in told
    assert "was not measured" in (outcome.model / "README.md").read_text()
    assert (outcome.model / "training" / "attention.png").exists()
    with pytest.raises(ConfigError, match="size"):
        train(recipe(*overrides, "tokenizer={type: unigram, size: 500}"), tmp_path / "other")


@pytest.mark.parametrize(("warmup", "told"), [(3, False), (4, True)])
def test_a_run_that_ends_before_the_learning_rate_is_up(
    recipe: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str], warmup: int, told: bool
) -> None:
    train(recipe(f"schedule.warmup_steps={warmup}", "training.max_steps=6"), tmp_path / "run")
    assert ("the run is short: 6 steps" in capsys.readouterr().err) == told


def test_no_training_data(recipe: Load, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"data\.train: names no manifest"):
        train(recipe("data.train=[]"), tmp_path / "run")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(ManifestError, match=r"empty\.jsonl: empty"):
        train(recipe(f"data.train={tmp_path / 'empty.jsonl'}"), tmp_path / "run")


def test_the_error_that_another_process_causes_is_not_called_ours() -> None:
    error = RuntimeError("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer [::1]:1")
    assert not is_of_another_process(error, 1)
    assert is_of_another_process(error, 2)
    assert not is_of_another_process(RuntimeError("shapes differ"), 2)
    assert not is_of_another_process(TrainingError("Connection closed by peer"), 2)


def test_workers_do_not_outlive_a_run_that_failed(
    recipe: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: SpeechTraining) -> Any:
        for worker in workers():
            worker.terminate()  # as a batch system does to all processes of a job
        raise TrainingError("made")

    def workers() -> list[Any]:
        return [one for one in multiprocessing.active_children() if one not in before]

    before = multiprocessing.active_children()
    monkeypatch.setattr(SpeechTraining, "finish_step", fail)
    with pytest.raises(TrainingError, match="made") as caught:
        train(recipe("data.workers=2"), tmp_path / "run")
    assert caught.tb  # it holds the loader, and that the workers
    assert len(workers()) == 2
    for worker in workers():
        worker.terminate()  # so does Python when it exits, and then waits
        worker.join(20)
        assert worker.exitcode == 0


def test_a_disk_that_fills_up_while_the_model_is_written(
    recipe: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("asr.train.report.export.draw_curves", full)
    with pytest.raises(OutputError, match="the model cannot be written: No space left on device"):
        train(recipe("training.max_steps=1"), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / LAST)["run"]["step"] == 1


def test_a_script_that_the_font_of_the_pictures_lacks(
    recipe: Load, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    manifest = write_corpus(tmp_path / "chinese", 3, seed=8, texts=["三一", "一二", "二三"])
    train(recipe(f"data.train={manifest}", "training.max_steps=1", "data.dev=[]"), tmp_path / "run")
    assert not [one for one in recwarn if "Glyph" in str(one.message)]


def _noise(folder: Path, *seconds: float) -> Path:
    """Writes utterances of these lengths and returns their manifest."""
    folder.mkdir()
    lines, draw = [], np.random.default_rng(len(folder.name))
    for number, length in enumerate(seconds):
        path = folder / f"{number}.wav"
        soundfile.write(path, draw.normal(0, 0.1, round(RATE * length)), RATE)
        entry = {"audio_filepath": path.name, "duration": length, "text": "ab"}
        lines.append(json.dumps({"id": f"{folder.name}-{number}", **entry}))
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def _prepared(recipe: Recipe, folder: Path) -> tuple[Recipe, RunData]:
    data = RunData(recipe, folder / "prepared")
    data.prepare_data()
    data.setup()
    return recipe, data


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
