"""What a GPU is asked in a few minutes, as far as a machine without one can tell."""

import importlib.util
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gpu_pack, gpu_rate, gpu_works
from stablefit.models import hf
from stablefit.training import settings
from tests import tiny
from tests.models import family_cases

SESSION = Path(gpu_works.__file__).with_name("gpu_session.sh")


def test_the_script_parses_and_what_it_calls_exists():
    subprocess.run(["bash", "-n", SESSION], check=True)
    text = SESSION.read_text()
    modules = re.findall(r"-m\s+(?:\\\s+)?([a-z][\w.]+)", text)
    assert {"benchmarks.gpu", "benchmarks.gpu_works", "benchmarks.layers", "stablefit.grid"} <= set(modules)
    assert all(importlib.util.find_spec(module) for module in modules if module != "pip")
    sweeps = re.findall(r'study "\S+" "?([\w$]+)', text)
    assert {"fifty_seeds", "learning_rate", "$1_few_sample"} == set(sweeps)
    for name in (
        "fifty_seeds",
        "learning_rate",
        *(f"{task}_few_sample" for task in re.findall(r"few_sample (\w+) ", text)),
    ):
        assert (SESSION.parents[1] / "experiments" / f"{name}.py").is_file()


def test_the_rate_that_two_runs_found_best_is_taken(tmp_path, capsys):
    for rate, scores in ((1e-4, (0.5, 0.9)), (2e-4, (0.8, 0.7)), (4e-4, (0.1, 0.2))):
        cell = tmp_path / "cells" / str(rate)
        cell.mkdir(parents=True)
        (cell / "config.json").write_text(json.dumps({"learning_rate": rate}))
        (cell / "results.jsonl").write_text("".join(f'{{"validation": {{"accuracy": {x}}}}}\n' for x in scores))
    assert gpu_rate.best(tmp_path, "accuracy") == 2e-4
    assert "0.0002: 0.7500 of 2" in capsys.readouterr().err


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
