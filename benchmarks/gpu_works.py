"""Does it run on this device, and is it right there? Asked of a device before any of its times is worth reading.

    .venv/bin/python -m benchmarks.gpu_works --out=works.json
    .venv/bin/python -m benchmarks.gpu_works --device=cpu            # only to see that the script runs

- `numbers`: float32 logits and gradients of a MiniLM beside the CPU's, of the largest; with the device's own products,
  which round to TF32 on most GPUs, and with exact ones.
- `resume`: a run that a signal ends and the same command takes up has the bits of one that nobody disturbed; the same
  command twice too. Then with programs compiled again, and without the flag that forbids sums in any order: not
  promised, and written down.
- `methods`: losses of each method and of each family of encoders after two updates, beside the CPU's.

A check is a row as soon as it is done; a file that is there keeps the rows of others. Exit code 1 if one failed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.step_time import machine, one_line
from tests import tiny
from tests.models import family_cases

Check = tuple[str, bool, dict[str, Any]]  # name, passed, what was found

EXACT, TF32 = 1e-4, 2e-2  # goals of `numbers`: of the largest logit, of the largest gradient
SAME_LOSS = 1e-2  # of `methods`: after updates whose products were rounded to TF32
FREE_ORDER = "--xla_gpu_exclude_nondeterministic_ops=false"
METHODS: dict[str, dict[str, Any]] = {
    "standard": {},
    "no bias correction": {"bias_correction": "none", "schedule": "bert"},
    "re-init": {"reinit_layers": 1},
    "mixout": {"mixout_rate": 0.3, "dropout": 0.0},
    "layer-wise decay": {"layer_decay": 0.8},
    "decay to init": {"init_decay": 0.5, "weight_decay": 0.5},
    "selective projection decay": {"projection_decay": 0.5},
    "SAM": {"sam_rho": 0.05},
    "R-Drop": {"r_drop": 1.0},
    "mean, probe": {"pooling": "mean", "head_start": "probe"},
    "bfloat16": {"compute_dtype": "bfloat16"},
    "cohort of three": {"seeds": (0, 1, 2), "cohort_size": 3},
    "tagger with CRF": {"task": "tagging", "folds": 3, "batch_size": 4, "lr_multipliers": "crf/.*=10"},
}
FAMILIES = (
    "roberta",
    "deberta",
    "deberta-v1",
    "electra",
    "distilbert",
    "mpnet",
    "albert",
    "modernbert",
    "xlnet",
    "bart",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--losses-of", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--numbers", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="a smaller model")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--only", default="", help="the checks of this name")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.losses_of:
        print(json.dumps(losses(options.losses_of[0], Path(options.losses_of[1]))))
        return 0
    if options.numbers:
        print(json.dumps(numbers(options.device, options.small)))
        return 0
    about = machine() | {"device": options.device}
    before = json.loads(options.out.read_text())["checks"] if options.out and options.out.is_file() else []
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="works_") as place:
        os.environ["STABLEFIT_CACHE"] = str(Path(place) / "programs")
        start_s = time.perf_counter()
        for name, passed, found in checks(Path(place), options):
            rows.append({"check": name, "passed": passed, "at_s": round(time.perf_counter() - start_s, 1), **found})
            print(f"{rows[-1]['at_s']:6.1f} s  {'pass' if passed else 'FAIL'}  {name}  {found}"[:300], flush=True)
            if options.out:
                names = {row["check"] for row in rows}  # asked again; the others stay as they are
                whole = [row for row in before if row["check"] not in names] + rows
                options.out.write_text(json.dumps({"about": about, "checks": whole}, indent=1) + "\n")
    return 0 if all(row["passed"] for row in rows) else 1


def checks(place: Path, options: argparse.Namespace) -> Iterator[Check]:
    """The checks one after another, in the order of their worth; the last ones side by side."""
    kinds: dict[str, Callable[[Path, argparse.Namespace], Iterator[Check]]] = {
        "numbers": _numbers,
        "resume": _resume,
        "methods": _methods,
    }
    for name, kind in kinds.items():
        if options.only in ("", name):
            try:
                yield from kind(place, options)
            except Exception as error:  # what comes behind it is worth knowing too
                yield name, False, {"error": one_line(error)}


def run(device: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python process on a device, and what it printed."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=_environment(device) | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _environment(device: str) -> dict[str, str]:
    # Several processes share the card, and JAX would take three quarters of its memory at each start.
    known = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "HF_HUB_OFFLINE": "1"}
    return known | ({"JAX_PLATFORMS": "cpu"} if device == "cpu" else {"JAX_PLATFORMS": "cuda,cpu"})


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON on the last line of a process.

    Raises:
        RuntimeError: it failed; with the last line of its errors.
    """
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or "no message").splitlines()[-1])
    return json.loads(done.stdout.strip().splitlines()[-1])


def _numbers(place: Path, options: argparse.Namespace) -> Iterator[Check]:
    more = ["--small"] if options.small else []
    found = answer(run(options.device, "-m", "benchmarks.gpu_works", "--numbers", f"--device={options.device}", *more))
    for kind, goal in (("highest", EXACT), ("default", TF32)):
        apart = found[kind]
        yield (
            f"numbers, {kind} products",
            max(apart.values()) <= goal,
            {**apart, "goal": goal, "device": found["device"]},
        )


def numbers(device: str, small: bool) -> dict[str, Any]:
    """How far logits and gradients on the device are from the CPU's, as a share of the largest of each; its name."""
    import jax
    import optax

    from stablefit.models import heads
    from stablefit.models.config import EncoderConfig

    sizes = (64, 16, 2, 2, 32) if small else (30522, 384, 6, 12, 1536)
    model: Any = heads.SequenceClassifier(EncoderConfig(*sizes), 3)
    random = np.random.default_rng(0)
    tokens = random.integers(5, sizes[0], (16, 64), np.int32)
    segments = (np.arange(64)[None, :] < random.integers(8, 65, (16, 1))).astype(np.int32)
    inputs, labels = (tokens * segments, 0 * tokens, segments), random.integers(0, 3, 16)

    def loss(params: Any) -> tuple[jax.Array, jax.Array]:
        logits = model.apply({"params": params}, *inputs, deterministic=True)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), logits

    host = jax.devices("cpu")[0]
    with jax.default_device(host):
        params = jax.jit(model.init, static_argnames="deterministic")(jax.random.key(0), *inputs, deterministic=True)
        params = jax.device_get(params["params"])

    def both(where: Any, precision: str) -> Any:
        with jax.default_device(where), jax.default_matmul_precision(precision):
            gradient, logits = jax.jit(jax.grad(loss, has_aux=True))(jax.device_put(params, where))
            return jax.device_get((logits, gradient))

    right = both(host, "highest")
    there = jax.devices("gpu" if device == "cuda" else device)[0]
    found: dict[str, Any] = {"device": there.device_kind}
    for precision in ("highest", "default"):
        logits, gradient = both(there, precision)
        largest = max(float(np.abs(x).max()) for x in jax.tree.leaves(right[1]))
        apart = max(jax.tree.leaves(jax.tree.map(lambda a, b: float(np.abs(a - b).max()), gradient, right[1])))
        found[precision] = {
            "logits": float(np.abs(logits - right[0]).max() / np.abs(right[0]).max()),
            "gradients": apart / largest,
        }
    return found


def _resume(place: Path, options: argparse.Namespace) -> Iterator[Check]:
    root = place / "resume"
    _write(root)
    start_s = time.perf_counter()
    rows = Commanded(root, "whole", options.device).wait()  # it fills the cache of programs for those begun next
    yield "resume, a run", True, {"seconds": round(time.perf_counter() - start_s, 1)}
    again, stopped = (Commanded(root, name, options.device) for name in ("again", "stopped"))
    anew = Commanded(root, "anew", options.device, STABLEFIT_CACHE=str(root / "programs"))
    free = [Commanded(root, f"free_{i}", options.device, XLA_FLAGS=FREE_ORDER) for i in range(2)]
    code = stopped.stop()
    yield "resume, a signal", code == 128 + signal.SIGTERM, {"code": code}
    resumed = Commanded(root, "stopped", options.device)
    yield "resume, the same command twice", again.wait() == rows, {}
    yield "resume, the same bits", resumed.wait() == rows, {}
    # What is learnt: does compiling again choose other operations, is the flag needed? Neither is a failure.
    yield "resume, compiled anew", True, {"same": anew.wait() == rows}
    first, second = (one.wait() for one in free)
    yield "resume, sums in any order", True, {"same": first == second}


class Commanded:
    """A run of two seeds on the tiny model as a command, started."""

    def __init__(self, root: Path, name: str, device: str, **environment: str):
        self.workdir = root / name
        fields = {"model": root / "model", "data_dir": root, "task": "rte", "seeds": "0,1", "cohort_size": 2}
        fields |= {"max_steps": 400, "evaluations": 10, "batch_size": 8, "max_length": 16, "learning_rate": 1e-3}
        values = [f"--config.{field}={value}" for field, value in fields.items()]
        command = [sys.executable, "-m", "stablefit.main", "--config=configs/base.py", *values]
        self.process = subprocess.Popen(
            [*command, f"--workdir={self.workdir}", "--quiet"],
            env=_environment(device) | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> dict[str, Any]:
        """Its rows without times, losses and predictions, when it has ended."""
        _, errors = self.process.communicate()
        if self.process.returncode:
            raise RuntimeError((errors.strip() or "no message").splitlines()[-1])
        folders = sorted(self.workdir.glob("seed_*"))
        predictions = [dict(np.load(folder / "predictions.npz")) for folder in folders]
        return {
            "metrics": [(folder / "metrics.jsonl").read_text() for folder in folders],
            "predictions": [{name: x.tobytes() for name, x in one.items()} for one in predictions],
        }

    def stop(self) -> int:
        """Ends it with SIGTERM once a seed has made steps: its exit code as a shell has it."""
        log = self.workdir / "seed_0" / "metrics.jsonl"
        while self.process.poll() is None and not (log.is_file() and log.stat().st_size):
            time.sleep(0.01)
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate()
        code = self.process.returncode
        return code if code >= 0 else 128 - code


def _methods(place: Path, options: argparse.Namespace) -> Iterator[Check]:
    root = place / "methods"
    _write(root)
    names = [*METHODS, *FAMILIES]

    def both(name: str) -> Check:
        found = {}
        for device in dict.fromkeys((options.device, "cpu")):
            done = run(device, "-m", "benchmarks.gpu_works", "--losses-of", name, str(root))
            found[device] = answer(done)["losses"]
        here, right = found[options.device], found["cpu"]
        passed = bool(np.isfinite(here).all()) and np.allclose(here, right, rtol=SAME_LOSS, atol=SAME_LOSS)
        return f"two updates, {name}", passed, {"losses": here, "cpu": right}

    with ThreadPoolExecutor(options.jobs) as pool:
        asked = {pool.submit(both, name): name for name in names}
        for done in as_completed(asked):
            error = done.exception()
            yield (f"two updates, {asked[done]}", False, {"error": one_line(error)}) if error else done.result()


def _write(root: Path) -> None:
    """The tiny model and its tasks."""
    tiny.write_model(root / "model")
    tiny.write_rte(root)
    tiny.write_tagging(root / "tags")


def losses(name: str, root: Path) -> dict[str, Any]:
    """Trains a method, or a family, and gives the losses, a list a seed: before any, one and two updates."""
    from stablefit.models.families import read_config
    from stablefit.training import host, job, loop, progress, rundir, settings

    host.prepare()
    changes = {"max_steps": 3, "warmup_ratio": 0.0, "evaluations": 1, "keep": "none", "task": "rte"}
    changes |= METHODS.get(name, {})
    if changes["task"] == "tagging":
        changes["data_dir"] = str(root / "tags")
    with tempfile.TemporaryDirectory() as place:
        if name in FAMILIES:
            config = read_config(family_cases.for_the_tiny_vocabulary(name))
            changes["model"] = str(tiny.write_model(Path(place) / "model", config=config))
        chosen = settings.read(tiny.config(root, **changes).to_dict())
        with rundir.RunDirectory(Path(place) / "run", chosen) as directory:
            loop.run(job.load(chosen), directory, progress.Progress(0, quiet=True))
        logs = [rundir.read_lines(log) for log in sorted((Path(place) / "run").glob("seed_*/metrics.jsonl"))]
    return {"losses": [[line["loss"] for line in log if "split" not in line] for log in logs]}


if __name__ == "__main__":
    sys.exit(main())
