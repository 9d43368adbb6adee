"""`asr lm`, and language models on the command line."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Run, start

LINES = ["and the rest of what people say", "people say the rest", "what of the people", "say it"]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(f"{one} {other}" for one in LINES for other in LINES))
    return path


def test_texts_become_a_language_model_that_transcribes(
    run: Run, texts: Path, tiny_model: Path, recordings: Path, tmp_path: Path
):
    small = ["--set", "lm.dim=8", "--set", "training.epochs=1", "--set", "text.held_out=0.3"]
    done = run("lm", texts, "-o", tmp_path / "lstm", "--tokenizer", tiny_model, *small)
    assert done.exit_code == 0, done.stderr
    assert "dev: perplexity" in done.stdout
    assert f"language model: {tmp_path / 'lstm' / 'lm'}" in done.stdout
    counted = ["--type", "ngram", "--order", "3", "--join", "2", "--set", "text.held_out=0.3"]
    done = run("lm", texts, "-o", tmp_path / "ngram", "--tokenizer", tiny_model, *counted)
    assert done.exit_code == 0, done.stderr
    assert "n-grams of 1, 2, ... labels: 3" in done.stderr
    assert "join: 2" in (tmp_path / "ngram" / "training" / "recipe.yaml").read_text()
    for kind in ("lstm", "ngram"):
        call = ["transcribe", "-m", tiny_model, recordings / "one.wav", "--device", "cpu"]
        done = run(*call, "--lm", tmp_path / kind / "lm", "--lm-weight", "0.5", "-f", "json")
        assert done.exit_code == 0, done.stderr
        assert json.loads(done.stdout)["segments"] is not None
    done = run("lm", texts, "--measure", tmp_path / "lstm" / "lm")
    assert "16 texts" in done.stdout


def test_an_arpa_file_is_converted(run: Run, tiny_model: Path, tmp_path: Path):
    arpa = tmp_path / "a.arpa"
    arpa.write_text(
        "\\data\\\nngram 1=3\n\n\\1-grams:\n-99\t<s>\t0\n-0.5\t</s>\n-0.3\ta\n\n\\end\\\n"
    )
    done = run("lm", arpa, "-o", tmp_path / "out", "--tokenizer", tiny_model)
    assert done.exit_code == 0, done.stderr
    assert f"language model: {tmp_path / 'out' / 'lm'}" in done.stdout
    again = run("lm", arpa, arpa, "-o", tmp_path / "out", "--tokenizer", tiny_model)
    assert again.exit_code == 2


def test_an_ngram_model_is_exported_and_read_back(run: Run, tiny_model: Path, tmp_path: Path):
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(f"{first} {second}" for first in LINES for second in LINES))
    counted = ["--type", "ngram", "--order", "3", "--set", "text.held_out=0.3"]
    done = run("lm", texts, "-o", tmp_path / "ngram", "--tokenizer", tiny_model, *counted)
    assert done.exit_code == 0, done.stderr
    arpa, folder = tmp_path / "out.arpa", tmp_path / "ngram" / "lm"
    done = run("lm", folder, "-o", arpa)
    assert done.exit_code == 0, done.stderr
    assert f"ARPA file: {arpa}" in done.stdout
    assert "\\3-grams:" in arpa.read_text()
    done = run("lm", arpa, "-o", tmp_path / "again", "--tokenizer", tiny_model)
    assert done.exit_code == 0, done.stderr
    before, after = (
        run("lm", texts, "--measure", path).stdout for path in (folder, tmp_path / "again" / "lm")
    )
    assert after == before  # perplexities are printed with one decimal


def test_what_cannot_be_exported(run: Run, tmp_path: Path):
    (tmp_path / "folder").mkdir()
    for arguments, message in (
        ([tmp_path / "folder"], "no language model folder"),
        ([tmp_path / "folder", tmp_path / "folder"], "holds one language model"),
        ([tmp_path / "folder", "--order", "3"], "leave out --order"),
    ):
        done = run("lm", *arguments, "-o", tmp_path / "x.arpa")
        assert done.exit_code == 2 or isinstance(done.exception, SystemExit)
        assert message in done.stderr
        assert not (tmp_path / "x.arpa").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "add -o FOLDER"),
        (["-o", "x", "--type", "lstn"], "'lstn' is not one of 'lstm', 'transformer'"),
        (["-o", "x", "--max-time", "soon"], "'--max-time': 'soon' is no length of time"),
        (["-o", "x", "--set", "lm.dims=3"], "did you mean 'dim'"),
        (["--measure", "nowhere"], "--measure trains nothing: leave out --tokenizer"),
    ],
)
def test_wrong_calls_are_told(
    run: Run, texts: Path, tiny_model: Path, tmp_path: Path, more: list[str], said: str
):
    more = [str(tmp_path / one) if one == "x" else one for one in more]
    done = run("lm", texts, "--tokenizer", tiny_model, *more)
    assert done.exit_code == 2
    assert said in done.stderr


def test_options_without_effect_are_refused(run: Run, texts: Path, tmp_path: Path):
    done = run("lm", tmp_path / "a.arpa", "-o", tmp_path / "out", "--order", "3", "--dev", texts)
    assert done.exit_code == 2
    assert "an .arpa file is converted, not trained: leave out --order, --dev" in done.stderr
    done = run("lm", texts, "--measure", tmp_path / "nowhere")
    assert done.exit_code == 2
    assert "nowhere: no such language model folder" in done.stderr


def test_lm_and_no_lm_do_not_go_together(run: Run, tiny_model: Path, recordings: Path):
    done = run("transcribe", "-m", tiny_model, recordings, "--lm", "x", "--no-lm")
    assert done.exit_code == 2
    assert "do not go together" in done.stderr


def test_ctrl_c_ends_with_a_model_and_the_same_call_goes_on(
    run: Run, texts: Path, tiny_model: Path, tmp_path: Path
):
    small = ["--set", "lm.dim=8", "--set", "training.batch_labels=64", "--set", "text.held_out=0.3"]
    call = ["lm", texts, "-o", tmp_path / "run", "--tokenizer", tiny_model, *small]
    endless = ["--set", "training.epochs=100000", "--set", "training.log_seconds=0.1"]
    process = start(PROGRAM, *call, *endless)
    assert process.stderr is not None
    assert any("step " in line for line in process.stderr)  # reads on until it trains
    process.send_signal(signal.SIGINT)
    said, complaints = process.communicate(timeout=120)
    assert process.returncode == 130, complaints
    assert "the same command goes on from here" in complaints
    assert "language model:" in said
    done = run(*call, "--set", "training.epochs=1")  # which are over
    assert done.exit_code == 0, done.stderr
    assert "goes on at step" in done.stderr
