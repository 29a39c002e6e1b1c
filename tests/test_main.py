"""The main job as a process: exit codes, what it prints, signals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stablefit import main
from stablefit.training import inputs, rundir
from tests import tiny

ROOT = Path(__file__).parent.parent
ENVIRONMENT = os.environ | {"STABLEFIT_CACHE": str(ROOT / ".cache" / "programs"), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}


@pytest.fixture(scope="module")
def command(tiny_root, tmp_path_factory):
    """The command line of a tiny run, without its workdir."""
    config = tmp_path_factory.mktemp("own") / "configs" / "tiny.py"
    config.parent.mkdir()
    config.write_text(
        "from tests import tiny\nfrom pathlib import Path\n\n\n"
        f"def get_config(arg=''):\n    return tiny.config(Path({str(tiny_root)!r}), seeds=(0, 1))\n"
    )
    return [sys.executable, "-m", "stablefit.main", f"--config={config}"]


def run(command, *arguments):
    return subprocess.run(
        [*command, *arguments], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )


def test_help_imports_nothing_heavy():
    heavy = {"jax", "numpy", "flax", "transformers"}
    code = f"import sys; from stablefit import main; main.main(['--help']); print(sorted({heavy} & set(sys.modules)))"
    clock = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("usage: stablefit run ")
    assert done.stdout.endswith("[]\n")
    assert time.monotonic() - clock < 5  # a tenth of a second on an idle machine; the issue is what it imports


def test_a_run_tells_its_plan_and_its_results(command, tmp_path):
    done = run(command, f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    for expected in ("6 of 8 examples", "encoder/layer_1", "mean", "of 2 runs failed", "config ", "process  freed"):
        assert expected in done.stdout
    assert done.stderr.startswith("compiling the first program")
    assert "[12/12 steps" in done.stderr
    assert json.loads((tmp_path / "run" / "config.json").read_text())["seeds"] == [0, 1]
    assert "head/kernel" in (tmp_path / "run" / "parameters.txt").read_text()
    again = run(command, f"--workdir={tmp_path / 'run'}", "--quiet")
    assert again.returncode == 0
    assert again.stdout == done.stdout
    assert again.stderr == ""


def test_a_run_on_other_data_is_refused_and_nothing_is_lost(tiny_root, tmp_path, capsys, monkeypatch):
    """A finished run, one with more seeds, and one that was interrupted; with the old data each goes on."""
    monkeypatch.setenv("STABLEFIT_CACHE", "")
    tiny.write_rte(tmp_path / "data")
    file, workdir = tmp_path / "data" / "RTE" / "train.tsv", tmp_path / "run"
    (tmp_path / "configs").mkdir()
    config = tmp_path / "configs" / "tiny.py"
    config.write_text(
        "from tests import tiny\nfrom pathlib import Path\n\n\ndef get_config(arg=''):\n"
        f"    return tiny.config(Path({str(tiny_root)!r}), data_dir={str(tmp_path / 'data')!r}, max_steps=2)\n"
    )

    def started(text, *arguments):
        """Exit code and stderr of a process that finds this text in the file."""
        file.write_text(text)
        inputs.forget()
        code = main.main([f"--config={config}", f"--workdir={workdir}", "--quiet", *arguments])
        return code, capsys.readouterr().err

    def files():
        return {p: (p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in workdir.rglob("*")}

    text = file.read_text()
    longer, corrected = text + "42\tw1\tw1\tentailment\n", text.replace("\tnot_entailment", "\tentailment", 1)
    assert started(text) == (0, "")
    [row] = rundir.read_lines(workdir / "results.jsonl")
    assert row["data"] == json.loads((workdir / "data.json").read_text())["digest"]
    for finished in (True, False):
        if not finished:
            (workdir / "results.jsonl").unlink()
        before = files()
        for other, said in ((longer, "train 42 examples then, 43 now"), (corrected, "as many examples then as now")):
            for arguments in ([], ["--config.seeds=0,1"]):
                code, error = started(other, *arguments)
                assert code == 2
                assert error.startswith(f"stablefit: workdir {workdir} holds a run on other data ({said}")
                assert error.count("\n") == 1
        assert files() == before
    assert started(text, "--config.seeds=0,1") == (0, "")
    rows = rundir.read_lines(workdir / "results.jsonl")
    assert [(one["seed"], one["data"]) for one in rows] == [(0, row["data"]), (1, row["data"])]


@pytest.mark.slow  # `make faults`, which is fast, tells processes to stop too
def test_sigterm_saves_and_the_same_command_goes_on(command, tmp_path):
    """A process that is told to stop leaves with 143, and the rows are those of a run that was not."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    longer = ["--config.max_steps=150", "--config.seeds=0", "--quiet"]
    process = subprocess.Popen([*command, *longer, f"--workdir={broken}"], cwd=ROOT, env=ENVIRONMENT)
    metrics = broken / "seed_0" / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (metrics.exists() and metrics.stat().st_size > 2000):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert not (broken / "results.jsonl").exists()
    assert list((broken / "seed_0" / "state").iterdir())
    assert run(command, *longer, f"--workdir={broken}").returncode == 0
    assert run(command, *longer, f"--workdir={whole}").returncode == 0
    assert metrics.read_text() == (whole / "seed_0" / "metrics.jsonl").read_text()


@pytest.mark.slow
def test_virtual_devices_give_the_same_metrics(command, tmp_path):
    """Four devices, one for each row of a batch or one for each seed, agree with one within rounding."""
    flags = ENVIRONMENT | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    command = [*command, "--config.max_steps=3", "--config.evaluations=1"]
    scores = {}
    for name, environment, extra in (
        ("one", ENVIRONMENT, []),
        ("data", flags, ["--config.cohort_size=1"]),
        ("both", flags, ["--config.cohort_size=2"]),
    ):
        done = subprocess.run(
            [*command, *extra, "--quiet", f"--workdir={tmp_path / name}"],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rows = [json.loads(line) for line in (tmp_path / name / "results.jsonl").read_text().splitlines()]
        lines = [(tmp_path / name / f"seed_{s}" / "metrics.jsonl").read_text().splitlines() for s in (0, 1)]
        scores[name] = rows, [json.loads(line)["loss"] for part in lines for line in part]
    assert scores["one"][0][0]["layout"]["mesh"] == {"member": 1, "data": 1}
    assert scores["data"][0][0]["layout"]["mesh"] == {"member": 1, "data": 4}
    assert scores["both"][0][0]["layout"]["mesh"] == {"member": 2, "data": 2}
    for name in ("data", "both"):
        assert scores[name][1] == pytest.approx(scores["one"][1], rel=1e-4)


def test_bad_input_is_one_line_and_code_2(capsys, tiny_root, tmp_path):
    config = f"--config={ROOT / 'configs' / 'rte.py'}"
    assert (
        main.main([config, f"--config.data_dir={tiny_root}", "--config.model=./nothing", f"--workdir={tmp_path}/w"])
        == 2
    )
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("stablefit: ")
    assert not (tmp_path / "w").exists()


def test_the_tiny_config_is_the_base_config():
    """So that what the tiny run shows holds for runs from configs/."""
    assert set(tiny.config(Path("anywhere")).keys()) == set(tiny.base.get_config().keys())
