"""Tiny parameter trees with the names of our encoder."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def encoder_tree(
    blocks: int = 2, width: int = 3, *, dtype: Any = np.float32, pooler: bool = True, seed: int = 0
) -> Any:
    """A nested dict of random arrays named as the encoder's, 16 leaves a block."""
    rng = np.random.default_rng(seed)

    def array(*shape: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=shape), dtype)

    def dense(inputs: int, outputs: int) -> dict[str, jax.Array]:
        return {"kernel": array(inputs, outputs), "bias": array(outputs)}

    def norm() -> dict[str, jax.Array]:
        return {"scale": array(width), "bias": array(width)}

    encoder: dict[str, Any] = {
        "embeddings": {
            "word_embeddings": {"embedding": array(5, width)},
            "position_embeddings": {"embedding": array(4, width)},
            "token_type_embeddings": {"embedding": array(2, width)},
            "LayerNorm": norm(),
        }
    }
    for i in range(blocks):
        attention = {name: dense(width, width) for name in ("query", "key", "value", "output")}
        encoder[f"layer_{i}"] = {
            "attention": {**attention, "LayerNorm": norm()},
            "intermediate": dense(width, 2 * width),
            "output": dense(2 * width, width),
            "LayerNorm": norm(),
        }
    if pooler:
        encoder["pooler"] = dense(width, width)
    return {"encoder": encoder, "head": dense(width, 2)}


def same_bits(a: Any, b: Any) -> None:
    """Both trees have the same structure, dtypes and bits."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert jnp.asarray(x).dtype == jnp.asarray(y).dtype
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def close(a: Any, b: Any, rtol: float = 1e-6, atol: float = 0.0) -> None:
    """Both trees have the same structure, and each leaf differs by less than rtol of its largest value."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        scale = np.max(np.abs(y), initial=0.0)
        np.testing.assert_allclose(x, y, rtol=0, atol=rtol * scale + atol)
