"""What goes wrong around a run: half-written files, damaged logs, refusals of the system, people's own mistakes."""

import errno
import io
import json
import os
import re
import shutil
import signal
import sys

import numpy as np
import pytest

from stablefit import flags, grid, main, program
from stablefit.commands import clean
from stablefit.errors import InputError
from stablefit.study import grid as studies
from stablefit.training import progress, rundir, settings, signals
from tests import tiny


@pytest.fixture(scope="module")
def read(tiny_root):
    return settings.read(tiny.config(tiny_root, task="rte"))


@pytest.mark.parametrize("left", [".config.json.tmp", ".lock", "lost+found", ".DS_Store", ".nfs0001"])
def test_what_a_kill_or_a_system_left_does_not_lock_a_workdir(read, tmp_path, left):
    (tmp_path / left).touch()
    with rundir.RunDirectory(tmp_path, read):
        pass
    assert json.loads((tmp_path / "config.json").read_text())["task"] == "rte"


@pytest.mark.parametrize("left", ["notes.txt", ".bashrc", "results.jsonl"])
def test_what_a_person_left_does(read, tmp_path, left):
    (tmp_path / left).touch()
    with pytest.raises(InputError, match="is not empty and holds no run"):
        rundir.RunDirectory(tmp_path, read)


def test_a_link_that_leads_nowhere_is_no_place(read, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match="holds no run"):
        rundir.RunDirectory(tmp_path / "link", read)


def test_a_start_removes_the_state_of_finished_seeds_and_halves_of_saves(read, tmp_path):
    with rundir.RunDirectory(tmp_path, read) as directory:
        directory.finish({"seed": 0})
    kept, gone = tmp_path / "seed_1" / "state" / "5", tmp_path / "seed_0" / "state" / "5"
    half = tmp_path / "seed_1" / "state" / "7.orbax-checkpoint-tmp"
    for folder in (kept, gone, half, tmp_path / "seed_1" / "best.orbax-checkpoint-tmp"):
        folder.mkdir(parents=True)
    with rundir.RunDirectory(tmp_path, read):
        pass
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("seed_*/*")) == ["seed_1/state"]
    assert [path.name for path in kept.parent.iterdir()] == ["5"]


@pytest.mark.parametrize("damage", ["\0\0\0\0", '{"seed": 0, "sc', "[1]", "\udcff", "{" * 5000])
def test_a_damaged_row_is_named_and_a_damaged_log_costs_its_line(tmp_path, damage):
    text = '{"step": 1, "loss": 2.0}\n' + damage + '\n{"step": 2, "loss": 1.0}\n{"step": 3'
    (tmp_path / "metrics.jsonl").write_text(text, errors="surrogateescape")
    with pytest.raises(InputError, match=r"metrics\.jsonl:2: is damaged"):
        rundir.read_lines(tmp_path / "metrics.jsonl")
    rundir.MetricsFile(tmp_path, step=2, evaluated=2)
    assert [row["step"] for row in rundir.read_lines(tmp_path / "metrics.jsonl")] == [1, 2]


@pytest.mark.parametrize("seed", ["0", True, 1.0, None, "../../elsewhere", [0]])
def test_a_row_whose_seed_names_no_folder_of_the_run_is_refused(read, tmp_path, seed):
    with rundir.RunDirectory(tmp_path, read) as directory:
        directory.finish({"seed": 0})
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write(json.dumps({"seed": seed}) + "\n")
    for reader in (lambda: directory.results(), lambda: clean.parameters(tmp_path, "none")):
        with pytest.raises(InputError, match=r"results\.jsonl:2: its seed is .*, not a whole number"):
            reader()


@pytest.mark.parametrize(
    "code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EACCES]
)
def test_what_the_system_refuses_is_one_line(capsys, code):
    def body(argv):
        raise OSError(code, os.strerror(code), "runs/x")

    assert program.run("", body, ["x"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"stablefit: runs/x: {os.strerror(code)}; ")
    assert said.count("\n") == 1


def test_a_workdir_below_a_file_and_a_name_too_long(tiny_root, tmp_path, capsys):
    (tmp_path / "file").touch()
    config = tmp_path / "rte.py"
    values = f"tiny.config(Path({str(tiny_root)!r}), task='rte')"
    config.write_text(f"from pathlib import Path\nfrom tests import tiny\n\ndef get_config():\n    return {values}\n")
    for workdir, said in ((tmp_path / "file" / "x", "file"), (tmp_path / ("n" * 300), "File name too long")):
        assert main.main([f"--config={config}", f"--workdir={workdir}", "--quiet"]) == 2
        captured = capsys.readouterr().err
        assert said in captured
        assert captured.count("\n") == 1
    assert main.main([f"--config={config}", "--config.data_dir=~nobodyhere", "--quiet"]) == 2
    assert "begins with ~ and the name of nobody" in capsys.readouterr().err


SWEEPS = {
    "def sweep(add)\n": r"sweep\.py:1: SyntaxError: expected ':'",
    "import nothing_of_this_name\n": r"sweep\.py:1: ModuleNotFoundError",
    "def sweep(add):\n    add('rte')\n": r"sweep\.py:2: TypeError",
    "def sweep(add):\n    add(name='x')\n": r"sweep\.py:2: TypeError: .*'config'",
    "def sweep():\n    pass\n": r"sweep\.py: TypeError",
    "import sys\nsys.exit('no')\n": r"sweep\.py:2: SystemExit: no",
    "def sweep(add):\n    1 / 0\n": r"sweep\.py:2: ZeroDivisionError",
    "sweep = 3\n": "no function sweep",
}


@pytest.mark.parametrize("text", SWEEPS)
def test_a_mistake_in_a_sweep_is_one_line_with_its_place(tmp_path, text, capsys):
    (tmp_path / "sweep.py").write_text(text)
    with pytest.raises(InputError, match=SWEEPS[text]):
        studies.expand(tmp_path / "sweep.py")
    assert grid.main([f"--sweep={tmp_path / 'sweep.py'}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_sweep_that_is_no_text(tmp_path):
    (tmp_path / "sweep.py").write_bytes(b"x = '\xff'\n")
    with pytest.raises(InputError, match=r"sweep\.py"):
        studies.expand(tmp_path / "sweep.py")


def test_of_a_field_given_twice_the_last_counts():
    given = flags.parse(
        ["--config=rte", "--config.seeds=0", "--config.seeds=1,2", "--config.epochs=1", "--config.epochs=2"]
    )
    assert (given.config.seeds, given.config.epochs) == ((1, 2), 2.0)


def test_a_module_beside_a_config_does_not_take_the_place_of_anothers(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "zipapp.py").write_text("raise RuntimeError\n")
    (tmp_path / "configs" / "own.py").write_text("import zipapp\nfrom stablefit.configs.rte import get_config\n")
    sys.modules.pop("zipapp", None)
    assert flags.load_config(str(tmp_path / "configs" / "own.py")).task == "rte"


def test_a_billion_epochs_are_refused_before_they_are_laid_out(tiny_root):
    from stablefit.training import job

    for epochs in (1e9, 1e300):
        with pytest.raises(InputError, match="steps, at most 10,000,000; lower epochs"):
            job.load(settings.read(tiny.config(tiny_root, task="rte", epochs=epochs)))


def test_a_closed_terminal_is_a_request_to_stop_but_not_under_nohup():
    before = signal.getsignal(signal.SIGHUP)
    try:
        for handler, noted in ((signal.SIG_DFL, signal.SIGHUP), (signal.SIG_IGN, None)):
            signal.signal(signal.SIGHUP, handler)
            with signals.Signals() as asked:
                signal.raise_signal(signal.SIGHUP)
                assert asked.received == noted
    finally:
        signal.signal(signal.SIGHUP, before)


class Deaf(io.StringIO):
    """A reader that has gone; a terminal or a pipe."""

    def __init__(self, tty):
        super().__init__()
        self.tty, self.n = tty, 0

    def isatty(self):
        return self.tty

    def write(self, text):
        self.n += 1
        if self.n > 1:
            raise BrokenPipeError
        return len(text)


@pytest.mark.parametrize("tty", [True, False])
def test_training_goes_on_where_nobody_reads_its_progress(tty):
    with progress.Progress(10, stream=Deaf(tty)) as display:
        for step in range(10):
            display.advance(1, f"seed 0 step {step}", 1.0)
            display.line("a line")
    assert display.done == 10
    assert display.quiet


def test_a_start_from_a_diverged_run_is_refused(tmp_path, tiny_root):
    from stablefit.objectives import classification
    from stablefit.training import checkpoints, intermediate

    params = {"encoder": {"a": np.array([1.0, np.nan], np.float32)}}
    checkpoints.save_params(tmp_path / "best", params)
    objective = classification.Classification(task=None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="holds NaN or infinite values: its run has diverged"):
        intermediate.load(tmp_path, params, None, objective)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", ["eps", "learning_rate", "clip_norm", "weight_decay"])
@pytest.mark.parametrize("value", [1e-300, 1e-39, 1e39])
def test_a_number_that_float32_does_not_hold_is_refused(tiny_root, name, value):
    with pytest.raises(InputError, match=re.escape(f"field {name} is {value!r}; the programs compute in float32")):
        settings.read(tiny.config(tiny_root, task="rte", **{name: value}))


def test_a_batch_of_a_million_is_refused_and_one_of_all_is_not(tiny_root):
    from stablefit.training import job

    with pytest.raises(InputError, match=r"batch_size is 1,000,000, and there are .* training examples"):
        job.load(settings.read(tiny.config(tiny_root, task="rte", batch_size=10**6)))
    assert job.load(settings.read(tiny.config(tiny_root, task="rte", batch_size=64))).n("train") < 64


def test_a_pipe_in_place_of_a_config_is_not_waited_for(tiny_root, tmp_path):
    from stablefit.training import job

    shutil.copytree(tiny_root / "model", tmp_path / "model")
    (tmp_path / "model" / "config.json").unlink()
    os.mkfifo(tmp_path / "model" / "config.json")
    with pytest.raises(InputError, match=r"config\.json: is no regular file"):
        job.load(settings.read(tiny.config(tiny_root, task="rte", model=str(tmp_path / "model"))))


def test_a_training_set_of_one_class_is_said(tiny_root, tmp_path):
    from stablefit.training import job, plan

    shutil.copytree(tiny_root / "RTE", tmp_path / "RTE")
    file = tmp_path / "RTE" / "train.tsv"
    header, *lines = file.read_text().splitlines()
    file.write_text("\n".join([header, *(line for line in lines if not line.endswith("not_entailment"))]) + "\n")
    config = settings.read(tiny.config(tiny_root, task="rte", data_dir=str(tmp_path)))
    said = plan.announcement(job.load(config))
    assert "all training examples are of class 'entailment': nothing else can be learnt" in said
    whole = plan.announcement(job.load(settings.read(tiny.config(tiny_root, task="rte"))))
    assert "warning" not in whole


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda row: row.pop("best_step"), "field best_step is None, which no finished run writes"),
        (lambda row: row.update(test_last={}), "test_last accuracy is None, not a number"),
        (lambda row: row["test_best"].update(accuracy=7.0), "test_best accuracy is 7.0, which no run can have"),
        (lambda row: row.update(failed="no"), "field failed is 'no', which no finished run writes"),
    ],
)
def test_a_row_that_no_run_writes_is_named_by_run_and_grid(tiny_root, tmp_path, capsys, change, says):
    config = tmp_path / "one.py"
    config.write_text(
        f"from pathlib import Path\nfrom tests import tiny\n\n\ndef get_config():\n"
        f"    return tiny.config(Path({str(tiny_root)!r}), task='rte')\n"
    )
    sweep = tmp_path / "sweep.py"
    sweep.write_text(f"def sweep(add):\n    add(config={str(config)!r}, name='one')\n")
    mark = settings.read(tiny.config(tiny_root, task="rte")).fingerprint
    row = {
        "seed": 0, "fingerprint": mark, "steps": 6, "best_step": 3, "stopped": "", "majority": 0.5, "failed": False,
        "diverged": False, "seconds": 1.0, "validation": {"accuracy": 0.6}, "test_best": {"accuracy": 0.6},
        "test_last": {"accuracy": 0.6},
    }  # fmt: skip
    change(row)
    for command, argv, folder in (
        (main.main, [f"--config={config}"], tmp_path / "run"),
        (grid.main, [f"--sweep={sweep}"], tmp_path / "study" / "cells" / mark),
    ):
        workdir = tmp_path / ("run" if command is main.main else "study")
        folder.mkdir(parents=True)
        values = settings.read(tiny.config(tiny_root, task="rte")).values
        (folder / "config.json").write_text(json.dumps({**values, "seeds": [0]}))
        (folder / "results.jsonl").write_text(json.dumps(row) + "\n")
        assert command([*argv, f"--workdir={workdir}", "--quiet"]) == 2
        err = capsys.readouterr().err
        assert f"{folder / 'results.jsonl'}: row of seed 0: {says}" in err
        assert "Traceback" not in err
