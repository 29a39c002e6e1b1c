"""The gradient of an encoder whose blocks are compiled one by one, or once as a loop: time, memory, compilation.

    .venv/bin/python -m benchmarks.layers --out=benchmarks/results/layers.json

Random weights, dropout 0.1, float32, whole rows; `temporaries` is what XLA asks for beside arguments and results. Each
measurement is a process of its own, one after the other, on the devices that JAX finds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.step_time import machine

SIZES = {"MiniLM": (6, 384, 12), "BERT-base": (12, 768, 12)}  # blocks, hidden size, heads
SHAPES = {"MiniLM": (32, 64), "BERT-base": (8, 64)}  # rows x tokens
WAYS = {"one by one": {}, "a loop": {"scan": True}, "a loop, computed again": {"scan": True, "remat": True}}


def measure(name: str, way: str, steps: int) -> dict[str, Any]:
    """Seconds of a gradient and of its compilation, and MB."""
    from stablefit.training import host

    host.prepare()
    import jax
    import jax.numpy as jnp
    import numpy as np

    from stablefit.models.config import EncoderConfig
    from stablefit.models.heads import SequenceClassifier

    jax.config.update("jax_enable_compilation_cache", False)
    blocks, hidden, heads = SIZES[name]
    rows, width = SHAPES[name]
    config = EncoderConfig(8000, hidden, blocks, heads, 4 * hidden)
    model = SequenceClassifier(config, 2, dropout=0.1, **WAYS[way])
    tokens = np.random.default_rng(0).integers(1000, 8000, (rows, width), np.int32)
    inputs = (tokens, np.zeros_like(tokens), np.ones_like(tokens))
    params = jax.jit(model.init, static_argnames="deterministic")(jax.random.key(0), *inputs, deterministic=True)

    def loss(params: Any, key: Any) -> Any:
        logits: Any = model.apply(params, *inputs, deterministic=False, rngs={"dropout": key})
        return jnp.square(logits).mean()

    clock = time.monotonic()
    lowered = jax.jit(jax.value_and_grad(loss)).lower(params, jax.random.key(1))
    lower_s, clock = time.monotonic() - clock, time.monotonic()
    done = lowered.compile()
    compile_s, wall = time.monotonic() - clock, []
    for step in range(steps):
        clock = time.perf_counter()
        jax.block_until_ready(done(params, jax.random.key(step)))
        wall.append(time.perf_counter() - clock)
    memory = done.memory_analysis()
    assert memory is not None
    row = {
        "encoder": name,
        "rows": rows,
        "width": width,
        "blocks": way,
        "step_s": round(statistics.median(wall[1:]), 3),
    }
    row |= {"lower_s": round(lower_s, 1), "compile_s": round(compile_s, 1)}
    return row | {"temporaries_mb": memory.temp_size_in_bytes >> 20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        name, way = options.worker
        print(json.dumps(measure(name, way, options.steps)))
        return
    results = []
    for name in SIZES:
        for way in WAYS:
            worker = ["-m", "benchmarks.layers", f"--steps={options.steps}", "--worker", name, way]
            said = subprocess.run([sys.executable, *worker], check=True, capture_output=True, text=True).stdout
            results.append(json.loads(said.splitlines()[-1]))
            print(results[-1], flush=True)
    if options.out:
        options.out.write_text(json.dumps({"about": machine(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
