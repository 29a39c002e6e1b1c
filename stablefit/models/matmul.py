"""Matrix products whose inputs are rounded to a compute dtype, in the forward and in the backward pass.

Both functions have a written gradient, for two reasons. Autodiff of a product of bfloat16 inputs with a float32 result
multiplies a float32 cotangent with bfloat16 values, which no fast kernel serves. And it writes the gradient of a kernel
as the transpose of `g^T x`, for which XLA on CPU copies the activations; contracting rows with rows needs no copy.
A written gradient supports `grad`, `vmap` and `grad` of `grad`, but not forward mode (`jvp`).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

DType = Any  # what jnp.dtype accepts


def dense(x: jax.Array, kernel_IxO: jax.Array, dtype: DType) -> jax.Array:
    """`y = x @ kernel`: inputs rounded to `dtype`, sums and result in float32.

    Args:
        x: float32, shape (..., I), at least two axes.
        kernel_IxO: float32.
        dtype: what the inputs (and in the backward pass the cotangent) are rounded to.
    """
    return _dense(x, kernel_IxO, dtype)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _dense(x: jax.Array, kernel_IxO: jax.Array, dtype: DType) -> Any:
    return _dense_forward(x, kernel_IxO, dtype)[0]


def _dense_forward(x: jax.Array, kernel_IxO: jax.Array, dtype: DType) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    x, kernel_IxO = x.astype(dtype), kernel_IxO.astype(dtype)
    return _dot(x, kernel_IxO, (x.ndim - 1,), (0,), dtype), (x, kernel_IxO)


def _dense_backward(dtype: DType, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel_IxO = saved
    g = g.astype(dtype)
    dx = _dot(g, kernel_IxO, (g.ndim - 1,), (1,), dtype)
    if jnp.dtype(dtype).itemsize >= 4:  # XLA's CPU kernels: float32 is fastest from two axes, bfloat16 from all of them
        x, g = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
    rows = tuple(range(x.ndim - 1))
    return dx, _dot(x, g, rows, rows, dtype)


_dense.defvjp(_dense_forward, _dense_backward)


# The products of attention; the gradients of the first two are among the first three. Weights come before values in
# all: XLA's CPU runtime refuses bfloat16 products with a float32 result whose first operand has to be transposed.
_SCORES = "bqhk,bshk->bhqs"
_MIX = "bhqs,bshk->bqhk"
_MIX_BACK = "bhqs,bqhk->bshk"
_SHARED = "bqhk,mhk->bhqm"  # against keys that all rows share, and its two gradients
_SHARED_BACK = ("bhqm,mhk->bqhk", "bhqm,bqhk->mhk")


def attention_scores(q_BxQxHxK: jax.Array, k_BxSxHxK: jax.Array, dtype: DType) -> jax.Array:
    """`q k^T` of every head, [B, H, Q, S] in float32: inputs rounded to `dtype`."""
    return _attention(_SCORES, q_BxQxHxK, k_BxSxHxK, dtype)


def attention_mix(weights_BxHxQxS: jax.Array, v_BxSxHxK: jax.Array, dtype: DType) -> jax.Array:
    """`weights v` of every head, [B, Q, H, K] in float32: inputs rounded to `dtype`."""
    return _attention(_MIX, weights_BxHxQxS, v_BxSxHxK, dtype)


def shared_scores(q_BxQxHxK: jax.Array, k_MxHxK: jax.Array, dtype: DType) -> jax.Array:
    """`q k^T` of every head with M keys that are the same in each row, [B, H, Q, M] in float32."""
    return _attention(_SHARED, q_BxQxHxK, k_MxHxK, dtype)


@partial(jax.custom_vjp, nondiff_argnums=(0, 3))
def _attention(spec: str, a: jax.Array, b: jax.Array, dtype: DType) -> Any:
    return _attention_forward(spec, a, b, dtype)[0]


def _attention_forward(
    spec: str, a: jax.Array, b: jax.Array, dtype: DType
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    a, b = a.astype(dtype), b.astype(dtype)
    return _einsum(spec, a, b, dtype), (a, b)


def _attention_backward(
    spec: str, dtype: DType, saved: tuple[jax.Array, jax.Array], g: jax.Array
) -> tuple[jax.Array, jax.Array]:
    a, b = saved
    g = g.astype(dtype)
    if spec == _SHARED:
        return _einsum(_SHARED_BACK[0], g, b, dtype), _einsum(_SHARED_BACK[1], g, a, dtype)
    if spec == _SCORES:
        return _einsum(_MIX, g, b, dtype), _einsum(_MIX_BACK, g, a, dtype)
    return _einsum(_SCORES, g, b, dtype), _einsum(_MIX_BACK, a, g, dtype)


_attention.defvjp(_attention_forward, _attention_backward)


def _dot(a: jax.Array, b: jax.Array, axes_a: tuple[int, ...], axes_b: tuple[int, ...], dtype: DType) -> jax.Array:
    return lax.dot_general(a, b, ((axes_a, axes_b), ((), ())), preferred_element_type=_sum_dtype(dtype))


def _einsum(spec: str, a: jax.Array, b: jax.Array, dtype: DType) -> jax.Array:
    return jnp.einsum(spec, a, b, preferred_element_type=_sum_dtype(dtype))


def _sum_dtype(dtype: DType) -> DType:
    return jnp.promote_types(dtype, jnp.float32)
