"""Every file of the corpus gives a result or an InputError, without atheris."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import outcome, programs, targets
from tests.fuzz.__main__ import MISSING

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("name", targets.TARGETS)
def test_target_takes_its_corpus(name):
    files = sorted((CORPUS / name).iterdir())
    assert len(files) >= 3
    for file in files:
        targets.check(name, file.read_bytes())


def test_every_folder_is_of_a_target():
    assert {folder.name for folder in CORPUS.iterdir()} == set(targets.TARGETS)


def test_a_fault_is_noticed(monkeypatch):
    monkeypatch.setitem(targets.TARGETS, "tables", lambda data: outcome.said(lambda: [][0]))
    with pytest.raises(IndexError):
        targets.check("tables", b"")
    with pytest.raises(AssertionError, match="not one line"):
        outcome.check_line("a\nb", ["a"])
    with pytest.raises(AssertionError, match="names none"):
        outcome.check_line("something is wrong", ["config.json"])


@pytest.mark.parametrize("source", ["import os", "open('a', 'w')", "while 1: pass", "x = ().__class__", "9 ** 9 ** 9"])
def test_a_sweep_that_does_something_is_not_run(source):
    assert not programs.is_harmless(source)
    assert programs.is_harmless("def sweep(add):\n    add(config='rte', seeds=(0, 1))\n")


def test_without_atheris_a_line_says_how_to_get_it(tmp_path):
    (tmp_path / "atheris.py").write_text("raise ImportError\n")
    command = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from tests.fuzz.__main__ import main; "
    done = subprocess.run(
        [sys.executable, "-c", command + "sys.exit(main(['tables']))"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, MISSING + "\n")
