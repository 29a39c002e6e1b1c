"""A training step whose gradient is summed over parts of the batch, by the rows of a part: time, memory, compilation.

    .venv/bin/python -m benchmarks.parts --out=benchmarks/results/parts.json

MiniLM with 8,000 word pieces, dropout 0.1, Adam, float32, rows full of two examples each. The first line of a shape is
the whole batch at once. `temporaries` is what XLA asks for beside arguments and results. Each measurement is a process
of its own, one after the other.
"""

import argparse
import dataclasses
import functools
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.step_time import MODEL, machine

WORDS = 8000
SHAPES = {(16, 128): (16, 8, 4, 2, 1), (16, 64): (16, 8, 4, 2), (4, 512): (4, 2, 1)}  # rows x tokens: rows of a part


def measure(rows: int, width: int, part: int, steps: int) -> dict[str, Any]:
    """Seconds of a step and of its compilation, and MB."""
    from stablefit.training import host

    host.prepare()
    import jax

    jax.config.update("jax_enable_compilation_cache", False)
    compiled, state, arguments = program(rows, width, part)
    clock = time.monotonic()
    done = compiled.lower(state, *arguments).compile()
    compile_s, wall = time.monotonic() - clock, []
    for _ in range(steps):
        clock = time.perf_counter()
        state, metrics = done(state, *arguments)
        float(metrics["loss"])
        wall.append(time.perf_counter() - clock)
    memory = done.memory_analysis()
    assert memory is not None
    row = {"rows": rows, "width": width, "part_rows": part, "step_s": round(statistics.median(wall[1:]), 3)}
    return row | {"compile_s": round(compile_s, 1), "temporaries_mb": memory.temp_size_in_bytes >> 20}


def program(rows: int, width: int, part: int) -> tuple[Any, Any, tuple[Any, ...]]:
    """The jitted step, the first state, and the further arguments."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from stablefit import methods
    from stablefit.data import packing, tasks
    from stablefit.models import hf, sources
    from stablefit.models.heads import SequenceClassifier, init_head
    from stablefit.models.vocabulary import with_table
    from stablefit.objectives.classification import Classification
    from stablefit.training import steps

    directory = sources.resolve(MODEL)
    config = hf.load_config(directory)
    encoder, _ = hf.load_encoder(directory, config)
    start = {"encoder": encoder, "head": init_head(jax.random.key(0), config.hidden_size, 2)}
    params = jax.tree.map(jnp.array, with_table(start, encoder["embeddings"]["word_embeddings"]["embedding"][:WORDS]))
    random, n = np.random.default_rng(0), 2 * rows
    tokens = random.integers(1000, WORDS, (n, width), np.int32)
    table = steps.Table(tokens, np.zeros_like(tokens), random.integers(0, 2, n, np.int32))
    lengths, indices = np.full(n, width // 2), np.arange(n, dtype=np.int32)[None]
    weights = np.ones((1, n), np.float32)
    where = packing.places(indices, weights, lengths, width)
    layout = packing.in_parts(packing.layout(indices, weights, where, lengths, width, rows), part, 2 * part)
    optimizer = optax.adam(2e-5)
    step = functools.partial(
        steps.train_step,
        model=SequenceClassifier(dataclasses.replace(config, vocab_size=WORDS), 2, dropout=0.1),
        losses=Classification(tasks.get_task("rte")).losses,
        transform=methods.identity(),
        optimizer=optimizer,
    )
    state = steps.TrainState(jnp.int32(0), params, optimizer.init(params), ())
    arguments = (table, jax.tree.map(lambda x: x[0], layout), jax.random.key(1))
    return jax.jit(step, donate_argnums=0), state, arguments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--worker", nargs=3, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        rows, width, part = options.worker
        print(json.dumps(measure(rows, width, part, options.steps)))
        return
    results = []
    for (rows, width), parts in SHAPES.items():
        for part in parts:
            worker = ["-m", "benchmarks.parts", f"--steps={options.steps}", "--worker", *map(str, (rows, width, part))]
            said = subprocess.run([sys.executable, *worker], check=True, capture_output=True, text=True).stdout
            results.append(json.loads(said.splitlines()[-1]))
            print(results[-1], flush=True)
    if options.out:
        options.out.write_text(json.dumps({"about": machine(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
