"""One run by two processes together, as the hosts of a TPU slice do it; here on the CPU."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from stablefit import flags, main, program
from stablefit.errors import InputError
from stablefit.training import checkpoints, processes, rundir

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def arguments(one_block_root, tmp_path_factory):
    """The command line of a tiny run of two seeds, without its workdir."""
    config = tmp_path_factory.mktemp("own") / "configs" / "tiny.py"
    config.parent.mkdir()
    config.write_text(
        "from tests import tiny\nfrom pathlib import Path\n\n\n"
        f"def get_config(arg=''):\n    return tiny.config(Path({str(one_block_root)!r}), seeds=(0, 1), max_steps=4)\n"
    )
    return [f"--config={config}"]


def start(arguments):
    """Both processes; the second one's output is not shown."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    shared = os.environ | {
        "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
        "JAX_NUM_PROCESSES": "2",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "STABLEFIT_CACHE": str(ROOT / ".cache" / "programs"),
    }
    return [
        subprocess.Popen(
            [sys.executable, "-m", "stablefit.main", *arguments, "--distributed"],
            cwd=ROOT, env=shared | {"JAX_PROCESS_ID": i}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for i in "01"
    ]  # fmt: skip


def ended(processes, code=0):
    """What each printed, once they have ended."""
    outputs = [process.communicate(timeout=1500) for process in processes]
    assert [process.returncode for process in processes] == [code, code], outputs
    return outputs


def losses(workdir):
    lines = [rundir.read_lines(workdir / f"seed_{seed}" / "metrics.jsonl") for seed in (0, 1)]
    return [line["loss"] for part in lines for line in part]


@pytest.mark.parametrize(
    ("size", "mesh"),
    [(2, {"member": 2, "data": 1}), pytest.param(1, {"member": 1, "data": 2}, marks=pytest.mark.slow)],
    ids=["a seed each", "half of each batch"],
)
def test_two_processes_agree_with_one(arguments, tmp_path, size, mesh):
    """The same rows within rounding; the first process writes everything, the second nothing."""
    sized = [*arguments, f"--config.cohort_size={size}"]
    first, second = ended(start([*sized, f"--workdir={tmp_path / 'two'}"]))
    assert "[8/8 steps" in first[1]
    assert "2 x cpu" in first[0]
    assert "mean" not in second[0], "only Gloo says something, and only on a CPU"
    assert "steps" not in second[1]
    assert main.main([*sized, f"--workdir={tmp_path / 'one'}", "--quiet"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}
    rows = [rundir.read_lines(tmp_path / name / "results.jsonl") for name in ("one", "two")]
    assert rows[1][0]["layout"] == {"members": size, "mesh": mesh}
    for one, two in zip(*rows, strict=True):
        assert (one["seed"], one["steps"], one["fingerprint"]) == (two["seed"], two["steps"], two["fingerprint"])
        assert two["test_last"] == pytest.approx(one["test_last"], rel=1e-4)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    for seed in (0, 1):
        one, two = (checkpoints.load_params(tmp_path / name / f"seed_{seed}" / "last") for name in ("one", "two"))
        np.testing.assert_allclose(two["head"]["kernel"], one["head"]["kernel"], atol=1e-4)


@pytest.mark.slow
def test_a_signal_to_one_stops_both_and_the_same_command_goes_on(arguments, tmp_path):
    longer = [*arguments, "--config.max_steps=1000", "--config.cohort_size=2"]
    processes = start([*longer, f"--workdir={tmp_path / 'broken'}"])
    metrics = tmp_path / "broken" / "seed_1" / "metrics.jsonl"
    deadline = time.monotonic() + 900
    while not (metrics.exists() and metrics.stat().st_size > 2000):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    processes[1].send_signal(signal.SIGTERM)
    ended(processes, 128 + signal.SIGTERM)
    states = [tmp_path / "broken" / f"seed_{seed}" / "state" for seed in (0, 1)]
    assert checkpoints.saved_steps(states[0]) == checkpoints.saved_steps(states[1]) != []
    assert not (tmp_path / "broken" / "results.jsonl").exists()
    ended(start([*longer, f"--workdir={tmp_path / 'broken'}"]))
    ended(start([*longer, f"--workdir={tmp_path / 'whole'}"]))
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    again, _ = ended(start([*longer, f"--workdir={tmp_path / 'whole'}"]))
    assert json.loads((tmp_path / "whole" / "config.json").read_text())["seeds"] == [0, 1]
    assert "mean" in again[0], "a finished run is told, not made again"


def test_what_cannot_be_found_out_is_named(arguments, tmp_path):
    """Without a slice and without the variables it is one line and exit code 2."""
    done = subprocess.run(
        [sys.executable, "-m", "stablefit.main", *arguments, "--distributed", f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "JAX_COORDINATOR_ADDRESS" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", [jax.errors.JaxRuntimeError, ValueError])
@pytest.mark.parametrize(
    ("said", "lost"),
    [
        ("UNKNOWN: Gloo AllGather failed: [pair.cc:547] Connection closed by peer [127.0.0.1]:55501", True),
        ("UNAVAILABLE: the coordination service found that task 3 stopped sending heartbeats", True),
        ("RESOURCE_EXHAUSTED: Out of memory allocating 80 bytes", False),
        ("no connection between the rows and the labels", False),
    ],
)
def test_a_host_that_is_lost_is_one_line(said, lost, kind, monkeypatch, capsys, tmp_path):
    """The process that is left says so, exit code 1; any other failure of the runtime stays what it is."""
    monkeypatch.setattr(jax.distributed, "initialize", lambda **_: None)

    def body(_):
        with processes.joined(tmp_path, True):
            raise kind(f"{said}\nmore of it")

    if not lost:
        with pytest.raises(kind):
            program.run("", body, ["go"])
        return
    assert program.run("", body, ["go"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"stablefit: another process has ended ({said[:40]}")
    assert err.endswith("; the same command goes on from the last save\n")
    assert err.count("\n") == 1


def test_ray_and_distributed_exclude_each_other():
    with pytest.raises(InputError, match="--distributed and --launcher=ray are both given"):
        flags.parse_grid(["--sweep=sweep.py", "--launcher=ray", "--distributed"])
