"""What a GPU is asked in a few minutes, as far as a machine without one can tell."""

import importlib.util
import re
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gpu_cells, gpu_pack, gpu_works
from stablefit.models import hf
from stablefit.study import grid
from stablefit.training import settings
from tests import tiny
from tests.models import family_cases

SESSION = Path(gpu_works.__file__).with_name("gpu_session.sh")


def test_the_script_parses_and_what_it_calls_exists():
    subprocess.run(["bash", "-n", SESSION], check=True)
    text = SESSION.read_text()
    modules = re.findall(r"-m\s+(?:\\\s+)?([a-z][\w.]+)", text)
    assert {"benchmarks.gpu", "benchmarks.gpu_works", "benchmarks.gpu_cells", "benchmarks.layers"} <= set(modules)
    assert all(importlib.util.find_spec(module) for module in modules if module != "pip")


def test_a_cell_alone_is_that_of_its_sweep(monkeypatch):
    """By all that it is called and changes, whatever variables the sweep reads."""
    for study in (*gpu_cells.STUDIES, *gpu_cells.LATER):
        for name, value in study.variables.items():
            monkeypatch.setenv(name, value)
        whole = grid.expand(Path(study.sweep))
        assert [work.cell for work in gpu_cells.cells(study)] == list(range(len(whole)))
        monkeypatch.setenv("SWEEP", study.sweep)
        for number, cell in enumerate(whole):
            monkeypatch.setenv("CELL", str(number))
            assert grid.expand(Path("benchmarks/gpu_cell.py")) == [cell]


def test_cells_that_compile_something_new_come_first():
    works = gpu_cells.in_order([gpu_cells.few_sample("stsb", "1e-4"), gpu_cells.few_sample("cola", "1e-4")])
    assert [work.cell for work in works[:9]] == [0, 1, 2, 8, 9, 10, 11, 12, 13]
    assert [str(work) for work in works[18:20]] == ["few_sample_mean_stsb.3", "few_sample_mean_stsb.4"]
    assert len(works) == 28


@pytest.fixture
def of_commands(tmp_path, monkeypatch):
    """Runs one study whose cells are these commands: the exit code, and which were begun."""

    def run(commands, *arguments):
        study, begun = gpu_cells.Study("one", "", {}, ()), []

        def started(work, out, at_once, fields):
            begun.append((work.cell, list(fields)))
            command = "true" if work.cell == gpu_cells.WHOLE else commands[work.cell]
            return gpu_cells.Running(work, subprocess.Popen(command.split()), time.monotonic())

        monkeypatch.setattr(gpu_cells, "STUDIES", (study,))
        monkeypatch.setattr(gpu_cells, "LATER", ())
        monkeypatch.setattr(gpu_cells, "cells", lambda _: [gpu_cells.Work(study, 0, n) for n in range(len(commands))])
        monkeypatch.setattr(gpu_cells, "started", started)
        monkeypatch.setattr("sys.argv", ["gpu_cells", f"--out={tmp_path}", *arguments])
        return gpu_cells.main(), begun

    return run


def test_a_study_whose_last_cell_is_done_is_told_as_a_whole(of_commands):
    code, begun = of_commands(["true"] * 3, "--seconds=60", "--at-once=2")
    assert code == 0
    assert [cell for cell, _ in begun] == [0, 1, 2, gpu_cells.WHOLE]


def test_what_is_at_work_when_the_time_is_over_is_killed_and_done_again(of_commands, tmp_path, capsys):
    commands = ["true", "false", "sleep 60", "true"]
    code, begun = of_commands(commands, "--seconds=1.5", "--at-once=1", "--config.seeds=0,1")
    assert code == 1
    assert begun == [(cell, ["--config.seeds=0,1"]) for cell in (0, 1, 2)]
    assert {file.name for file in tmp_path.iterdir()} == {"one.0.done"}
    told = capsys.readouterr().out
    assert "one.1: exit code 1" in told
    assert "one.2: exit code -9" in told
    assert "2 cells failed or were killed, 1 were not begun" in told


def test_without_a_place_for_results_nothing_is_begun(tmp_path):
    done = subprocess.run(
        ["bash", SESSION], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode
    assert "OUT: a folder for the results" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", gpu_works.METHODS)
def test_every_method_is_one_that_a_run_takes(name, one_block_root):
    settings.read(tiny.config(one_block_root, **gpu_works.METHODS[name]))


def test_every_family_is_asked():
    asked = {family_cases.CASES[name]["model_type"] for name in gpu_works.FAMILIES}
    there = {case["model_type"] for case in family_cases.CASES.values()}
    assert there - asked == {"bert", "xlm-roberta", "camembert"}  # BERT is every method's; the others are RoBERTa's


def test_the_cpu_is_as_far_from_itself_as_nothing():
    found = gpu_works.numbers("cpu", small=True)
    assert found.pop("device") == "cpu"
    assert found == {kind: {"logits": 0.0, "gradients": 0.0} for kind in ("highest", "default")}


def test_a_packed_model_is_the_model_in_half_the_size(tmp_path):
    source = tiny.write_model(tmp_path / "model")
    gpu_pack.model(source, tmp_path / "packed")
    whole, half = (hf.load_encoder(path, hf.load_config(path))[0] for path in (source, tmp_path / "packed"))
    kernel = ("layer_0", "output", "kernel")
    for name in kernel:
        whole, half = whole[name], half[name]
    np.testing.assert_array_equal(half, whole.astype(np.float16).astype(np.float32))
    assert (tmp_path / "packed" / "tokenizer.json").read_bytes() == (source / "tokenizer.json").read_bytes()
