from __future__ import annotations

import errno
import importlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from overread import __version__
from overread.cli import show
from overread.cli.main import VERBS, make_parser, run

HEAVY = "{'torch', 'torchvision', 'timm', 'matplotlib', 'onnx', 'scipy'}"


def failing_with(failure: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise failure

    monkeypatch.setattr(show, "run", fail)


def loaded_after(words: list[str | Path]) -> set[str]:
    """The heavy modules that a command line has imported when it ends, in a process of its own."""
    code = (
        "import sys\n"
        "from overread.cli.main import run\n"
        "try:\n    code = run(sys.argv[1:])\nexcept SystemExit as left:\n    code = left.code\n"
        f"print('loaded', *({HEAVY} & set(sys.modules)))\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_help_names_each_verb_and_where_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run(["--help"])
    assert left.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    for verb, sentence in VERBS.items():
        assert f"{verb} {sentence}" in printed
    assert "First: overread demo" in printed
    assert "not a medical device" in printed


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_each_verb_teaches(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as left:
        run([verb, "--help"])
    assert left.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: overread {verb} ")
    assert "  [" not in printed.splitlines()[0]
    assert importlib.import_module(f"overread.cli.{verb}").ABOUT in printed
    assert "Examples:\n  overread" in printed
    assert max(map(len, printed.splitlines())) <= 80


@pytest.mark.parametrize("verb", VERBS)
def test_each_example_is_one_that_the_verb_takes(verb: str) -> None:
    parser, _ = make_parser(verb)
    for line in importlib.import_module(f"overread.cli.{verb}").EXAMPLE.splitlines():
        words = shlex.split(line, comments=True)
        assert words[:2] == ["overread", verb]
        assert parser.parse_args(words[1:]).verb == verb


def test_without_a_verb_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run([])
    assert left.value.code == 2
    assert "overread demo" in capsys.readouterr().err


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"overread {__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian", "scans"], "trian is not a verb; the verbs are demo, audit, train, "),
        (["trian", "scans"], "Did you mean train? Help: overread --help"),
        (["train", "scans", "--epoch", "3"], "--epoch is not understood. Did you mean --epochs?"),
        (["compare", "scans", "--backbone", "resnet18"], "Did you mean --backbones? Help: overread compare --help"),
        (["train", "scans", "--epochs", "many"], "--epochs: 'many' is not a whole number."),
        (["train", "scans", "--learning-rate", "low"], "--learning-rate: 'low' is not a number."),
        (["predict", "model"], "FILE-OR-FOLDER"),
    ],
)
def test_what_is_not_understood_is_said_in_one_line(words: list[str], said: str, refusal) -> None:
    assert said in refusal(*words)


def test_a_failure_is_one_line_and_exit_code_2(overread) -> None:
    done = overread("predict", "no-such-model", "scan.dcm")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "overread: no-such-model is not a model folder: it has no model.json. "
        "Give the folder that overread train wrote.\n"
    )


def test_debug_shows_the_traceback_of_a_failure(overread) -> None:
    done = overread("--debug", "predict", "no-such-model", "scan.dcm")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_ctrl_c_is_exit_code_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    failing_with(KeyboardInterrupt(), monkeypatch)
    assert run(["show", "resnet18"]) == 130
    assert capsys.readouterr().err == "overread: stopped.\n"


@pytest.mark.parametrize(
    ("failure", "code", "said"),
    [
        (ValueError("shapes do not match\nmore"), 70, "a fault in overread"),
        (ValueError("shapes do not match\nmore"), 70, "overread --debug show resnet18"),
        (MemoryError(), 2, "--batch-size"),
        (PermissionError(errno.EACCES, "Permission denied", "scans"), 2, "scans: Permission denied"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 2, "pip install 'overread[train]'"),
    ],
)
def test_no_failure_is_a_traceback(
    failure: Exception, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing_with(failure, monkeypatch)
    assert run(["show", "resnet18"]) == code
    words = capsys.readouterr().err
    assert said in words
    assert words.count("\n") == 1
    with pytest.raises(type(failure)):
        run(["--debug", "show", "resnet18"])


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS)])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    assert loaded_after([*words]) == set()


def test_a_prediction_imports_nothing_heavy(trained) -> None:
    image = next((trained.source / "disc").iterdir())
    assert loaded_after(["predict", trained.folder, image]) == set()


def test_the_package_imports_nothing_heavy() -> None:
    code = f"import sys, overread; sys.exit(' '.join({HEAVY} & set(sys.modules)) or 0)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_reader_that_goes_away_ends_nothing_badly(trained) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "overread", "predict", str(trained.folder), str(trained.source), "--csv"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.close()  # as `| head` does when it has seen enough
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0
    assert said == b""


def test_closed_streams_end_nothing_badly(trained) -> None:
    def close() -> None:
        for handle in (0, 1, 2):
            os.close(handle)

    words = [sys.executable, "-m", "overread", "predict", str(trained.folder), str(trained.source)]
    assert subprocess.Popen(words, preexec_fn=close).wait(60) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_a_full_disk_under_the_output_is_said(trained) -> None:
    words = [sys.executable, "-m", "overread", "predict", str(trained.folder), str(trained.source)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["predict", "serve", "node"])
def test_who_predicts_leaves_the_cores_to_the_network(verb: str, tmp_path: Path) -> None:
    code = (
        "import sys; from overread.cli.main import run\n"
        "run([sys.argv[1], 'no-such-model', *sys.argv[2:]])\n"
        "import numpy, threadpoolctl\n"
        "print([one['num_threads'] for one in threadpoolctl.threadpool_info() if one['user_api'] == 'blas'])"
    )
    words = ["no-such-file"] if verb == "predict" else ["--store", str(tmp_path / "store")]
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    said = subprocess.run(
        [sys.executable, "-c", code, verb, *words], capture_output=True, text=True, timeout=60, env=environment
    )
    assert said.stdout.strip().endswith("[1]"), said.stderr
