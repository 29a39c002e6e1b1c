"""The attention of a block alone, for `benchmarks.gpu`: as the model has it, and those that could take its place."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.step_time import one_line
from stablefit.models.dropout import keep_mask
from stablefit.models.matmul import attention_mix, attention_scores

REPEATS = 50  # in one program, so that its launch does not count


def attention_times(rows: int, length: int, heads: int, size: int, on_gpu: bool) -> dict[str, float | str]:
    """Microseconds of the attention of one block, forward and backward in bf16, without dropout if nothing is said.

    The fused ones have no dropout on the weights: in their place the model would be another one unless dropout is 0.
    """
    shape = (rows, length, heads, size)
    inputs = tuple(jax.random.normal(jax.random.key(i), shape, jnp.bfloat16) for i in range(3))
    seeds = jnp.arange(2, dtype=jnp.uint32)
    same = jnp.ones((rows, 1, length, length), bool)

    def ours(q: jax.Array, k: jax.Array, v: jax.Array, dropout: float) -> jax.Array:
        scores = attention_scores(q, k, jnp.bfloat16) * size**-0.5
        weights = jax.nn.softmax(jnp.where(same, scores, jnp.finfo(scores.dtype).min))
        if dropout:
            weights = jnp.where(keep_mask(seeds, weights.shape, dropout), weights / (1 - dropout), 0.0)
        return attention_mix(weights, v, jnp.bfloat16)

    def library(q: jax.Array, k: jax.Array, v: jax.Array, implementation: Any) -> jax.Array:
        return jax.nn.dot_product_attention(q, k, v, mask=same, implementation=implementation)

    contenders: dict[str, Callable[..., jax.Array]] = {
        "the model's, dropout 0.1": lambda q, k, v: ours(q, k, v, 0.1),
        "the model's": lambda q, k, v: ours(q, k, v, 0.0),
        "jax.nn, xla": lambda q, k, v: library(q, k, v, "xla"),
        **({"jax.nn, cudnn": lambda q, k, v: library(q, k, v, "cudnn")} if on_gpu else {}),
    }

    def seconds(attend: Callable[..., jax.Array]) -> float:
        gradient = jax.grad(lambda qkv: attend(*qkv).astype(jnp.float32).sum())

        def body(_: Any, qkv: Any) -> Any:  # each gradient is the next one's input, so that none is left out
            return jax.tree.map(lambda x, g: x + (1e-3 * g).astype(x.dtype), qkv, gradient(qkv))

        many = jax.jit(lambda qkv: jax.lax.fori_loop(0, REPEATS, body, qkv))
        jax.block_until_ready(many(inputs))
        times = []
        for _ in range(5):
            start_s = time.perf_counter()
            jax.block_until_ready(many(inputs))
            times.append((time.perf_counter() - start_s) / REPEATS)
        return statistics.median(times)

    found: dict[str, float | str] = {}
    for name, attend in contenders.items():
        try:
            found[name] = round(1e6 * seconds(attend), 1)
        except Exception as error:  # cuDNN refuses shapes that it has no kernel for, each version others
            found[name] = one_line(error)
    return found
