"""What a run takes of an accelerator's memory, reckoned from shapes: nothing is compiled."""

from typing import Any

import jax
import numpy as np

from stablefit.data.packing import Layout
from stablefit.training import steps
from stablefit.training.network import Network

# What XLA's compilers ask for comes out within 15 % with these: tests/benchmarks/test_tpu_compile.py.
# XLA fuses, so that not all that JAX keeps for the backward pass is ever written; of a loop all is.
_KEPT = {"tpu": 0.42, "gpu": 0.63}
_LEAST = 4.5  # trees of parameters that an update takes beside the four that stay, where blocks are not a loop
_PROGRAM = 100e6


def member_bytes(network: Network, table: steps.Table, platform: str) -> int:
    """About how many bytes one member takes while it trains.

        4 W + max(W + k K, 4.5 W) + 100 MB,  with `scan_layers` 5 W + K + 100 MB;  k: 0.42 on a TPU, 0.63 on a GPU

    W is the parameters: they, Adam's two moments and the best ones stay, the gradient comes and goes. K is what the
    backward pass needs of the forward pass over a batch, as `jax.vjp` keeps it: it follows the family, the head,
    rematerialisation, the type, and R-Drop's second pass.

    Args:
        network: of the member.
        table: arrays, or their shapes, of the examples that it trains on.
        platform: `tpu` or `gpu`.
    """
    spec = network.settings.spec
    rows, width = spec.batch_size, table.tokens.shape[1]
    tokens, examples = np.zeros((rows, width), np.int32), np.zeros(rows, np.int32)
    batch = Layout(tokens, tokens, tokens, examples, examples, examples, np.ones(rows, np.float32))
    recipe = network.recipe(network.settings.hypers, 1)

    def backward(params: Any, table: steps.Table) -> Any:
        def loss(params: Any) -> jax.Array:
            anchor = recipe.forward.init(params)
            return steps.batch_loss(
                params,
                anchor,
                table,
                batch,
                jax.random.key(0),
                model=network.model,
                losses=network.objective.losses,
                transform=recipe.forward,
                loss=recipe.loss,
            )

        return jax.vjp(loss, params)[1]

    weights, kept = tree_bytes(network.shapes), tree_bytes(jax.eval_shape(backward, network.shapes, table))
    if spec.scan_layers:
        return round(5 * weights + kept + _PROGRAM)
    return round(4 * weights + max(weights + _KEPT[platform] * kept, _LEAST * weights) + _PROGRAM)


def tree_bytes(tree: Any) -> int:
    """Of all leaves, arrays or their shapes."""
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))
