"""Adam's correction: what leaving it out does, in numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stablefit import methods
from stablefit.errors import InputError
from tests.methods.trees import close, encoder_tree

# t: r(t), at b1 = 0.9, b2 = 0.999.
RATIOS = {1: 3.162, 2: 4.250, 5: 5.797, 10: 6.528, 12: 6.569, 23: 6.042, 34: 5.316, 54: 4.346, 80: 3.605, 100: 3.241}
RATIOS |= {234: 2.189, 345: 1.851, 540: 1.548, 804: 1.345, 1000: 1.258, 3000: 1.026}


def test_ratio_is_as_tabulated():
    for t, expected in RATIOS.items():
        assert float(methods.bias_correction_ratio(t)) == pytest.approx(expected, abs=5e-4)
    ratios = methods.bias_correction_ratio(jnp.arange(1, 5000))
    assert int(jnp.argmax(ratios)) + 1 == 12


@pytest.mark.parametrize(("b2", "first", "largest"), [(0.999, 3.16, 6.57), (0.99, 1.00, 2.13), (0.98, 0.71, 1.55)])
def test_ratio_depends_on_b2(b2, first, largest):
    ratios = methods.bias_correction_ratio(jnp.arange(1, 5000), 0.9, b2)
    assert float(ratios[0]) == pytest.approx(first, abs=6e-3)
    assert float(jnp.max(ratios)) == pytest.approx(largest, abs=6e-3)


@pytest.mark.parametrize("b2", [0.999, 0.98])
def test_none_is_both_times_the_ratio_at_eps_0(b2):
    both = methods.scale_by_adam(b2=b2, eps=0.0)
    none = methods.scale_by_adam(b2=b2, eps=0.0, bias_correction="none")

    def step(states, t):
        g = jnp.cos(jnp.arange(5.0) + t)
        with_correction, state_both = both.update(g, states[0])
        without, state_none = none.update(g, states[1])
        return (state_both, state_none), (without, with_correction * methods.bias_correction_ratio(t, 0.9, b2))

    start = jnp.zeros(5)
    _, (left, right) = jax.lax.scan(step, (both.init(start), none.init(start)), jnp.arange(1, 301))
    np.testing.assert_allclose(left, right, rtol=2e-5)


def test_default_is_the_adam_of_optax():
    params = {"a": jnp.linspace(-1, 1, 5)}
    ours, theirs = methods.scale_by_adam(), optax.scale_by_adam()
    state, state_theirs = ours.init(params), theirs.init(params)
    for t in range(5):
        g = jax.tree.map(lambda w, t=t: jnp.sin(w * 3 + t), params)
        updates, state = ours.update(g, state)
        expected, state_theirs = theirs.update(g, state_theirs)
        close(updates, expected, rtol=1e-4)  # optax's 1 - 0.999^t is rounded in float32
    close(state.nu, state_theirs.nu)


def test_first_step_is_exact_in_float32():
    """1 - b2^t must not lose digits at t = 1: the direction is the sign of the gradient."""
    adam = methods.scale_by_adam(eps=0.0)
    update, _ = adam.update(jnp.asarray([3e-5, -7.0]), adam.init(jnp.zeros(2)))
    np.testing.assert_allclose(update, [1, -1], rtol=2e-7)


@pytest.mark.parametrize(
    ("correction", "eps_hat", "eps", "expected"),
    [
        ("none", False, 1e-6, 0.097),
        ("none", False, 1e-8, 2.40),
        ("both", False, 1e-8, 0.99),
        ("both", False, 1e-6, 0.50),
        ("both", True, 1e-8, 0.76),
        ("both", True, 1e-6, 0.031),
    ],
)
def test_eps_and_its_place_matter_for_small_gradients(correction, eps_hat, eps, expected):
    adam = methods.scale_by_adam(eps=eps, bias_correction=correction, eps_hat=eps_hat)
    update, _ = adam.update(jnp.float32(1e-6), adam.init(jnp.float32(0)))
    assert float(update) == pytest.approx(expected, rel=0.02)


def test_names_booleans_and_pairs_are_one_option():
    g = jnp.asarray([0.5, -2.0])

    def first_update(correction):
        adam = methods.scale_by_adam(bias_correction=correction)
        return adam.update(g, adam.init(g))[0]

    for same in (("both", True, (True, True), jnp.asarray(True)), ("none", False, [0, 0], jnp.zeros(()))):
        for correction in same[1:]:
            np.testing.assert_array_equal(first_update(correction), first_update(same[0]))
    traced = jax.jit(first_update)
    np.testing.assert_allclose(traced((jnp.asarray(1.0), jnp.asarray(0.0))), first_update("first"), rtol=1e-6)
    np.testing.assert_allclose(first_update((False, True)), first_update("second"), rtol=1e-6)


def test_a_flag_may_differ_between_members_of_a_vmap():
    g = jnp.asarray([0.5, -2.0])

    def update(flag):
        adam = methods.scale_by_adam(bias_correction=flag)
        return adam.update(g, adam.init(g))[0]

    both, none = jax.vmap(update)(jnp.asarray([1.0, 0.0]))
    np.testing.assert_allclose(none, both * RATIOS[1], rtol=1e-3)


def test_bert_adam_decays_without_a_gradient():
    """The released code of the paper loses its weight decay: a zero gradient must shrink kernels and only those."""
    params = encoder_tree(blocks=1)
    for optimizer in (methods.bert_adam(0.5, weight_decay=0.1), methods.adamw(0.5, weight_decay=0.1)):
        updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
        after = optax.apply_updates(params, updates)
        expected = jax.tree.map(lambda w, on: w * 0.95 if on else w, params, methods.decay_mask(params))
        close(after, expected)
        assert any(np.any(u != 0) for u in jax.tree.leaves(updates))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bias_correction": "all"}, "bias_correction is 'all'"),
        ({"bias_correction": (True, True, True)}, "has 3 parts"),
        ({"b1": 1.0}, "b1 is 1.0"),
        ({"b2": -0.1}, "b2 is -0.1"),
        ({"eps": -1e-8}, "eps is -1e-08"),
    ],
)
def test_wrong_values_raise(arguments, message):
    with pytest.raises(InputError, match=message):
        methods.scale_by_adam(**arguments)
