"""Blocks that are alike as one loop: what the blocks one after the other compute, masks of dropout included."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stablefit.models import alike
from stablefit.models.dropout import Dropout


class Block(nn.Module):
    """A dense layer and two dropouts, or one that is met twice."""

    twice: bool = False

    @nn.compact
    def __call__(self, x_BxTxD, context, deterministic):
        y_BxTxD = nn.Dense(4)(x_BxTxD) + context
        first = Dropout(0.5)
        second = first if self.twice else Dropout(0.3)
        return second(jnp.tanh(first(y_BxTxD, deterministic=deterministic)), deterministic=deterministic)


class Stack(nn.Module):
    """Three blocks, one by one or as a loop."""

    again: bool = False
    loop: bool = False
    twice: bool = False

    def setup(self):
        self.layers = [Block(self.twice) for _ in range(3)]

    def __call__(self, x_BxTxD, deterministic=False):
        if self.loop:
            return alike.through(self.layers, x_BxTxD, jnp.float32(0.1), deterministic, self.again)
        for layer in self.layers:
            x_BxTxD = layer(x_BxTxD, jnp.float32(0.1), deterministic)
        return x_BxTxD


X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
PARAMS = Stack().init({"params": jax.random.key(0), "dropout": jax.random.key(1)}, X)


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("again", [False, True])
def test_a_loop_has_the_outputs_and_gradients_of_its_blocks(again, deterministic):
    def outputs(model, params):
        return model.apply(params, X, deterministic, rngs={"dropout": jax.random.key(2)})

    def loss(params, model):
        return jnp.square(outputs(model, params)).sum()

    one_by_one, loop = Stack(), Stack(again=again, loop=True)
    out = outputs(one_by_one, PARAMS)
    assert deterministic == bool((out != 0).all())
    np.testing.assert_allclose(outputs(loop, PARAMS), out, rtol=1e-6, atol=1e-7)
    right, found = (jax.grad(loss)(PARAMS, model) for model in (one_by_one, loop))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, right)


def test_a_block_that_meets_a_dropout_twice_is_no_part_of_a_loop():
    model = Stack(loop=True, twice=True)
    assert model.apply(PARAMS, X, True).shape == X.shape  # without dropout it may be
    with pytest.raises(ValueError, match=r"the same dropout twice .*Dropout_0"):
        model.apply(PARAMS, X, False, rngs={"dropout": jax.random.key(2)})


def test_runs_are_of_neighbours_that_are_alike():
    one, other, shared = Block(), Block(twice=True), Block()
    assert alike.runs([Block(), Block(), other, Block()]) == [range(2), range(2, 3), range(3, 4)]
    assert alike.runs([one, one]) == [range(1), range(1, 2)]  # one block, used twice
    assert alike.runs([shared]) == [range(1)]
    assert alike.runs([]) == []
