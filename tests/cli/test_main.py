from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

import asr
from asr.cli import main as module
from asr.cli.foreign_options import FOREIGN_OPTIONS
from asr.cli.main import COMMANDS
from asr.cli.transcribe import transcribe
from asr.errors import ConfigError, ManifestError, ModelError, TrainingError
from tests.cli.conftest import PROGRAM, Run, start


def modules_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after `code`."""
    report = "import sys; print('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "code",
    [
        "import asr; asr.AsrError; asr.Transcript",
        "from asr.cli.main import program\ntry: program(['--help'])\nexcept SystemExit: pass",
    ],
)
def test_importing_and_help_load_nothing_heavy(code: str) -> None:
    heavy = {"torch", "lightning", "numpy", "pydantic", "lhotse", "soundfile", "rich", "yaml"}
    assert modules_after(code) & heavy == set()


def test_transcribing_needs_nothing_of_what_training_needs(run: Run) -> None:
    loaded = modules_after("import asr.transcribe.recognizer, asr.evaluate.evaluation, asr.output")
    assert loaded & {"torchaudio", "lightning", "lhotse", "matplotlib", "rich", "jiwer"} == set()


WRONG_CALLS = (
    "transcribe nosuch.wav",
    "transcribe -m nosuch RECIPE",
    "transcribe --device gpu RECIPE",
    "transcribe --lm nosuch RECIPE",
    "transcribe --hotwords abc=2 RECIPE",
    "transcribe --left-ms 80 RECIPE",
    "transcribe -f mp3 RECIPE",
    "stream --simulate nosuch.wav",
    "stream -m nosuch -",
    "evaluate nosuch.jsonl",
    "evaluate RECIPE --html .",
    "evaluate RECIPE --no-lm --lm-weight 1",
    "compare nosuch.jsonl nosuch.jsonl",
    "calibrate nosuch.jsonl -m nosuch",
    "attention nosuch.wav",
    "train nosuch.yaml",
    "train RECIPE nonsense",
    "train RECIPE --max-time soon",
    "train RECIPE --init nosuch",
    "train RECIPE --init-partial",
    "train RECIPE --resume nosuch",
    "finetune nosuch -o exp",
    "finetune RECIPE -o exp -m nosuch",
    "finetune RECIPE -o exp nonsense",
    "lm nosuch.txt -o exp",
    "lm RECIPE --type huge -o exp",
    "lm RECIPE --measure nosuch",
    "lm RECIPE -o exp --set nonsense",
    "validate nosuch.jsonl",
    "tokenizer nosuch.txt -o exp",
    "import nosuch -o exp",
    "import RECIPE -o .",
)


def test_a_wrong_call_is_told_before_torch_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("training: {epochs: 1}")
    code = [
        "import sys",
        "from asr.cli.main import program",
        f"for call in {WRONG_CALLS!r}:",
        "    try: program([part.replace('RECIPE', 'recipe.yaml') for part in call.split()])",
        "    except SystemExit as end: print(end.code, 'torch' in sys.modules, call)",
    ]
    done = start("\n".join(code), cwd=tmp_path)
    out, err = done.communicate(timeout=120)
    for line, call in zip(out.splitlines(), WRONG_CALLS, strict=True):
        assert line in (f"1 False {call}", f"2 False {call}")
    assert err.count("asr: ") == err.count("\n") == len(WRONG_CALLS)


def test_who_has_no_data_yet_is_told_what_makes_it(run: Run, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("{data: {train: data/a.jsonl}, training: {epochs: 1}}")
    assert run("train", recipe).stderr.endswith(
        "data/a.jsonl: no such file or folder; correct the path\n"
    )
    (tmp_path / "prepare.py").touch()
    told = f"correct the path, or make it with: python {tmp_path / 'prepare.py'}\n"
    assert run("train", recipe).stderr.endswith(told)


# Makes lightning as good as not installed.
HIDDEN = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "lightning":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
"""


def test_training_without_its_libraries_says_what_to_install(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("{data: {train: recipe.yaml, dev: recipe.yaml}, training: {epochs: 1}}")
    done = start(HIDDEN + PROGRAM, "train", recipe)
    assert done.communicate()[1] == (
        "asr: lightning is not installed; install it with: pip install 'asr[train]'\n"
    )
    assert done.returncode == 2


def test_help_lists_every_command_and_fits_the_table(run: Run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name, (_, text) in COMMANDS.items():
        assert f"  {name}" in result.stdout
        assert text in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_loaded(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"Usage: asr {name}")
    assert "--debug" in result.stdout


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"asr {asr.__version__}\n"


def test_no_command_shows_the_help(run: Run) -> None:
    result = run()
    assert result.exit_code == 2
    assert "Commands:" in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["transcibe"], "did you mean 'transcribe'?"),
        (["frobnicate"], "the commands are transcribe, stream, evaluate"),
        (["transcribe"], "missing argument 'PATH...'"),
        (["transcribe", "--baem", "3", "a.wav"], "--beam"),
        (["transcribe", "--beam", "0", "a.wav"], "0 is not in the range"),
        (["--quiet"], "no such option '--quiet'; options follow the command: asr transcribe"),
        (["talk.mp3"], "'talk.mp3' is no command; did you mean 'asr transcribe talk.mp3'?"),
        (["a talk.mp3", "-q"], "did you mean 'asr transcribe 'a talk.mp3''?"),
        (["-"], "did you mean 'asr transcribe -'?"),
        (["https://a.b/c"], "did you mean 'asr transcribe https://a.b/c'?"),
        (["mine.yaml"], "did you mean 'asr train mine.yaml'?"),
        (["transcribe", "--threads", "2", "a.wav"], "environment variable OMP_NUM_THREADS=N"),
        (["transcribe", "--output_format=srt", "a.wav"], "it is -f NAME here, with -o DIR"),
        (["stream", "--output-dir", "a"], "no such option '--output-dir'"),
        (["transcribe", "-m", "small", "a.wav"], "the published model whisper-small?"),
        (
            ["transcribe", "-m", "https://huggingface.co/openai/whisper-tiny", "a.wav"],
            "https://huggingface.co/openai/whisper-tiny: models are not opened by URL; "
            "name a folder, or a published model: -m openai/whisper-tiny",
        ),
        (["info", "x", "-m", "y"], "asr: FOLDER and --model do not go together"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_2(run: Run, arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("asr: ")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Makes `asr info` raise `error`."""

    @click.command()
    def info() -> None:
        raise error

    monkeypatch.setattr(module, "import_module", lambda _: type("Module", (), {"info": info}))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("x"), 2),
        (ModelError("x"), 2),
        (ManifestError("x"), 1),
        (TrainingError("x"), 1),
        (ZeroDivisionError("x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_become_statuses(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int
) -> None:
    raising(monkeypatch, error)
    result = run("info")
    assert result.exit_code == status
    assert result.stderr.count("\n") == 1


def test_a_bug_is_called_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, ZeroDivisionError("division\nby zero"))
    assert run("info").stderr == (
        "asr: ZeroDivisionError: division by zero; this is a bug in asr: "
        "run again with --debug and report what it prints\n"
    )


@pytest.mark.parametrize("arguments", [["--debug", "info"], ["info", "--debug"]])
def test_debug_adds_the_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    raising(monkeypatch, ModelError("a model: is damaged"))
    lines = run(*arguments).stderr.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1] == "asr: a model: is damaged"


def test_a_message_stays_on_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, ManifestError("a\nb\x1b[31m.wav: ü \udcff"))
    assert run("info").stderr == "asr: a\\nb\\x1b[31m.wav: ü \\udcff\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = start(
        "import sys; sys.stdin.read(); from asr.cli.main import main; main()",
        "--help",
        stdin=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stdin
    assert process.stderr
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 1


def test_the_program_runs_as_installed() -> None:
    process = start(PROGRAM, "--version")
    out, _ = process.communicate(timeout=60)
    assert (out, process.returncode) == (f"asr {asr.__version__}\n", 0)


def test_advice_on_options_of_other_programs_names_options_of_ours() -> None:
    ours = {option for one in transcribe.params for option in one.opts}
    assert not {f"--{name}" for name in FOREIGN_OPTIONS} & ours
    for needed, advice in FOREIGN_OPTIONS.values():
        named = {word.strip(",;:()") for word in advice.split() if word.startswith("-")}
        assert named | ({needed} if needed else set()) <= ours


@pytest.mark.parametrize("command", ["train", "validate", "info"])
def test_commands_that_decode_nothing_have_no_such_advice(run: Run, command: str) -> None:
    said = run(command, "--temperature", "0").stderr
    assert "drawn at random" not in said
    assert f"no such option '--temperature'; see 'asr {command} --help'" in said
