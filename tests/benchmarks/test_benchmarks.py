"""The benchmarks' own arithmetic and commands; no PyTorch, no timing that means anything."""

import argparse
import shlex
import sys
from pathlib import Path

import pytest

from benchmarks import attention, contest, gpu, step_time
from stablefit import flags
from stablefit.training import settings


def test_floating_point_operations_and_floor_of_bert_large():
    """7.58 TFLOP a step, and 7.66 + 2.80 ms on an H100: computed by hand from the formulas of the module's head."""
    large = gpu.CASES[-1]
    assert large.flop == 6 * 24 * 12 * 1024**2 * 4096 + 12 * 24 * 32 * 128**2 * 1024
    known = gpu.card("NVIDIA H100 80GB HBM3")
    assert known is not None
    found = gpu.entry(large, 1, [0.02, 0.03, 0.04], 12.0, known)
    assert found["floor_ms"] == pytest.approx(10.46, abs=0.02)
    assert (found["step_ms"], found["step_min_ms"], found["step_max_ms"]) == (30, 20, 40)
    assert found["mfu"] == pytest.approx(large.flop / 0.03 / 989e12, rel=1e-3)
    assert found["seq_per_s"] == pytest.approx(32 / 0.03, rel=1e-3)


def test_a_cohort_does_as_many_steps_as_it_has_members():
    small, known = gpu.CASES[0], gpu.card("NVIDIA A100-SXM4-40GB")
    one, four = (gpu.entry(small, members, [0.01], None, known) for members in (1, 4))
    for name in ("mfu", "seq_per_s", "floor_ms"):
        assert four[name] == pytest.approx(4 * one[name], rel=1e-2)


def test_an_unknown_card_has_no_mfu():
    assert gpu.card("cpu") is None
    assert gpu.card("NVIDIA L40S") != gpu.card("NVIDIA L4")
    found = gpu.entry(gpu.SMALL[0], 1, [0.01], None, None)
    assert found["mfu"] is None
    assert found["floor_ms"] is None


def test_the_program_of_runs_trains_a_cohort():
    """Two members, each with a head of its own, in the program that `make bench-gpu` times."""
    run = gpu.stablefit_steps(gpu.SMALL[0], 2, 3)
    losses = [run(), run()]
    assert 0.3 < losses[0] < 1.5
    assert losses[0] != losses[1]


def test_every_attention_is_timed_or_says_why_not():
    found = attention.attention_times(2, 8, 2, 8, on_gpu=True)
    assert [isinstance(value, float) for value in found.values()] == [True, True, True, False]
    assert "\n" not in str(found["jax.nn, cudnn"])


def test_without_a_gpu_there_is_one_line_and_code_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu"])
    for seen, said in (({"jax": "", "torch": ""}, "JAX sees no GPU"), ({"jax": "H100", "torch": ""}, "PyTorch")):
        monkeypatch.setattr(gpu, "ask", lambda _, seen=seen: gpu.json.dumps(seen))
        assert gpu.main() == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert said in captured.err


def test_medians_and_spread():
    found = step_time.summary([{"cpu": 0.3, "wall": 0.5}, {"cpu": 0.1, "wall": 0.2}, {"cpu": 0.2, "wall": 0.3}])
    assert [found[f"cpu_{of}_ms"] for of in ("median", "min", "max")] == [200, 100, 300]
    costs = {"stablefit": [contest.Cost(2, 3, 4), contest.Cost(4, 3, 8)], "Trainer": [contest.Cost(6, 9, 1)]}
    row = contest.table(costs)[0]
    assert (row["wall_min_s"], row["wall_s"], row["wall_max_s"], row["peak_mb"]) == (2, 3, 4, 6)
    assert contest.ratios(costs) == {"stablefit / Trainer": {"wall_s": 0.5, "cpu_s": 0.333, "peak_mb": 6}}
    own = {"1 seed": costs["Trainer"], "2 seeds": costs["stablefit"]}
    assert list(contest.ratios(own)) == ["2 seeds / 1 seed"]


def test_what_is_not_installed_has_no_version():
    assert step_time.version("no-such-package") == "none"
    assert {"processor", "load", "jax", "torch"} <= step_time.machine().keys()


@pytest.mark.parametrize("suite", contest.SUITES.values(), ids=contest.SUITES)
def test_our_commands_are_ones_that_runs_take(suite, tmp_path, monkeypatch):
    monkeypatch.setattr(contest, "with_blocks", lambda count, folder: folder / f"blocks_{count}")
    contenders = suite(argparse.Namespace(seeds=3), tmp_path)
    assert next(iter(contenders)).startswith(("stablefit", "500 examples"))
    seen = 0
    for command in (command for commands in contenders.values() for command in commands):
        module, *arguments = shlex.split(command.line.removeprefix("-m "))
        if module == "stablefit.main":
            values = settings.read(flags.parse(arguments).config).values
            assert values["data_dir"] == "DATA"
            assert command.environment in (contest.COLD, contest.WARM)
            seen += 1
    assert seen


def test_a_contender_is_started_measured_and_stopped(tmp_path):
    """Two processes at once; one that is stopped when it has written; one that fails is said."""
    places, log = {"KEPT": str(tmp_path), "DATA": "words with spaces"}, tmp_path / "log"
    write = "-c \"import sys; open(sys.argv[1], 'w').write(sys.argv[2])\" KEPT/{} DATA"
    cost = contest.run([contest.Command(write.format(name)) for name in "ab"], places, log)
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text() == "words with spaces"
    assert cost.wall_s > 0
    endless = "-c \"import time; open('FOLDER/first', 'w').write('x'); time.sleep(600)\""
    assert contest.run([contest.Command(endless, until="first")], places, log).wall_s < 60
    with pytest.raises(SystemExit, match="failed"):
        contest.run([contest.Command('-c "raise ValueError(1)"')], places, log)
    assert "ValueError" in log.read_text()


def test_a_model_with_other_blocks(tiny_root, tmp_path, monkeypatch):
    from stablefit.models import hf

    monkeypatch.setattr(contest, "MODEL", str(tiny_root / "model"))
    new = contest.with_blocks(3, Path(tmp_path))
    config = hf.load_config(new)
    weights, _ = hf.load_encoder(new, config)
    assert (weights["layer_2"]["output"]["bias"] == weights["layer_0"]["output"]["bias"]).all()
    assert (weights["layer_1"]["output"]["bias"] != weights["layer_0"]["output"]["bias"]).any()
    assert (new / "tokenizer.json").is_file()
