"""The gradient of an encoder whose blocks are compiled one by one, or once as a loop: time, memory, compilation.

    .venv/bin/python -m benchmarks.layers --out=benchmarks/results/layers.json

Random weights, dropout 0.1, float32, whole rows; `temporaries` is what XLA asks for beside arguments and results. Each
measurement is a process of its own, one after the other, on the devices that JAX finds.
"""

from typing import Any

from benchmarks import programs

SIZES = {"MiniLM": (6, 384, 12), "BERT-base": (12, 768, 12)}  # blocks, hidden size, heads
SHAPES = {"MiniLM": (32, 64), "BERT-base": (8, 64)}  # rows x tokens
WAYS = {"one by one": {}, "a loop": {"scan": True}, "a loop, computed again": {"scan": True, "remat": True}}


def measure(steps: int, name: str, way: str) -> dict[str, Any]:
    """Of an encoder and how its blocks are compiled."""
    programs.prepare()
    import jax
    import jax.numpy as jnp
    import numpy as np

    from stablefit.models.config import EncoderConfig
    from stablefit.models.heads import SequenceClassifier

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

    def step(done: Any, number: int) -> None:
        jax.block_until_ready(done(params, jax.random.key(number)))

    gradient = jax.jit(jax.value_and_grad(loss))
    found = programs.timed(lambda: gradient.lower(params, jax.random.key(1)), step, steps)
    return {"encoder": name, "rows": rows, "width": width, "blocks": way, **found}


if __name__ == "__main__":
    cases = [(name, way) for name in SIZES for way in WAYS]
    programs.main(__doc__ or "", "benchmarks.layers", cases, measure)
