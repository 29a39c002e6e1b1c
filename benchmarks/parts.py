"""A training step whose gradient is summed over parts of the batch, by the rows of a part: time, memory, compilation.

    .venv/bin/python -m benchmarks.parts --out=benchmarks/results/parts.json

MiniLM with 8,000 word pieces, dropout 0.1, Adam, float32, rows full of two examples each. The first line of a shape is
the whole batch at once. `temporaries` is what XLA asks for beside arguments and results. Each measurement is a process
of its own, one after the other.
"""

import dataclasses
import functools
from typing import Any

from benchmarks import programs
from benchmarks.step_time import MODEL

WORDS = 8000
SHAPES = {(16, 128): (16, 8, 4, 2, 1), (16, 64): (16, 8, 4, 2), (4, 512): (4, 2, 1)}  # rows x tokens: rows of a part


def measure(steps: int, *case: str) -> dict[str, Any]:
    """Of rows, their width, and the rows of a part."""
    programs.prepare()
    rows, width, part = map(int, case)
    compiled, state, arguments = program(rows, width, part)
    held = [state]  # a step takes its memory

    def step(done: Any, number: int) -> None:
        held[0], metrics = done(held[0], *arguments)
        float(metrics["loss"])

    found = programs.timed(lambda: compiled.lower(state, *arguments), step, steps)
    return {"rows": rows, "width": width, "part_rows": part, **found}


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


if __name__ == "__main__":
    cases = [(str(rows), str(width), str(part)) for (rows, width), parts in SHAPES.items() for part in parts]
    programs.main(__doc__ or "", "benchmarks.parts", cases, measure)
