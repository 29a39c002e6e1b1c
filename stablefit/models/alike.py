"""Blocks that differ in their numbers alone, as one loop: the compiler sees one of them in place of all.

    x_{i+1} = block(params_i, x_i, context),  i = 0 .. L - 1,  as a scan over params stacked by i

What it computes, masks of dropout included, is what the blocks one after the other compute, to rounding. Parameters
keep their names and shapes: they are stacked inside the program. Shapes are in names: L blocks, B rows, T tokens, D
hidden size.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.core.scope import LazyRng

from stablefit.models import dropout
from stablefit.models.dropout import Dropout
from stablefit.paths import Key

Path = tuple[str, ...]  # of a module inside a block


def runs(blocks: Sequence[Any]) -> list[range]:
    """Which blocks follow each other and are alike; one that is used more than once is not in a run."""
    used = Counter(map(id, blocks))
    found: list[range] = []
    for i, block in enumerate(blocks):
        joins = i > 0 and used[id(block)] == used[id(blocks[i - 1])] == 1 and _equal(block, blocks[i - 1])
        if joins:
            found[-1] = range(found[-1].start, i + 1)
        else:
            found.append(range(i, i + 1))
    return found


def _equal(one: Any, other: Any) -> bool:
    return isinstance(one, nn.Module) and isinstance(other, nn.Module) and _alone(one) == _alone(other)


def _alone(block: nn.Module) -> nn.Module:
    """Without its place in a model."""
    return block.clone(parent=None, name=None)


def through(blocks: Sequence[Any], x_BxTxD: jax.Array, context: Any, deterministic: bool, again: bool) -> jax.Array:
    """The hidden states behind bound blocks that are alike.

    Args:
        again: whether each is computed again in the backward pass; otherwise all but its matrix products is.
    """
    block, params = _alone(blocks[0]), [block.variables["params"] for block in blocks]
    params_L = jax.tree.map(lambda *of_each: jnp.stack(of_each), *params)
    drops = [] if deterministic else _drops(block, params[0], x_BxTxD, context)
    seeds_L = {path: jnp.stack([dropout.seeds(_key(block, path)) for block in blocks]) for path in drops}

    def step(x_BxTxD: jax.Array, of_one: tuple[Any, dict[Path, jax.Array]]) -> tuple[jax.Array, None]:
        params, seeds = of_one

        def drop(call: Any, args: Any, kwargs: Any, called: nn.module.InterceptorContext) -> Any:
            module = called.module
            if isinstance(module, Dropout) and module.path in seeds:
                return dropout.drop(args[0], seeds[module.path], module.rate)
            return call(*args, **kwargs)

        with nn.intercept_methods(drop):
            y_BxTxD: Any = block.apply({"params": params}, x_BxTxD, context, deterministic)
        return y_BxTxD, None

    # What a loop keeps for its backward pass is written whole: without a policy that is all that JAX keeps.
    policy = None if again else jax.checkpoint_policies.dots_saveable
    return jax.lax.scan(jax.checkpoint(step, policy=policy), x_BxTxD, (params_L, seeds_L))[0]


def _drops(block: nn.Module, params: Any, x_BxTxD: jax.Array, context: Any) -> list[Path]:
    """Where in the block there is dropout, in the order in which it is met."""
    found: list[Path] = []

    def note(call: Any, args: Any, kwargs: Any, called: nn.module.InterceptorContext) -> Any:
        if isinstance(called.module, Dropout):
            found.extend([called.module.path] if called.module.rate else [])
            return args[0]
        return call(*args, **kwargs)

    with nn.intercept_methods(note):
        jax.eval_shape(lambda: block.apply({"params": params}, x_BxTxD, context, False))
    if len(set(found)) < len(found):
        raise ValueError(f"a block that meets the same dropout twice cannot be part of a loop: {found}")
    return found


def _key(block: Any, path: Path) -> Key:
    """What linen's `make_rng` gives the dropout at that path of a bound block, at its first call."""
    return LazyRng.create(block.scope.rngs["dropout"], *path, 1).as_jax_rng()
