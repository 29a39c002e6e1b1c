"""Decay toward zero and toward the initial values: that they act, on what, and in which place."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stablefit import methods, paths
from stablefit.errors import InputError
from stablefit.paths import PatternError
from tests.methods.trees import close, encoder_tree, same_bits


def zeros(params):
    return jax.tree.map(jnp.zeros_like, params)


def on(mask) -> set[str]:
    return {name for name, value in zip(paths.names(mask), jax.tree.leaves(mask), strict=True) if value}


def moved(params):
    return jax.tree.map(lambda w: w + 1, params)


def test_mask_leaves_out_biases_and_norm_scales():
    params = encoder_tree(blocks=2)
    names = on(methods.decay_mask(params))
    assert names == {name for name in paths.names(params) if name.endswith(("kernel", "embedding"))}
    assert len(names) == 3 + 2 * 6 + 2


def test_the_scores_of_a_crf_do_not_decay():
    scores = {"transitions": jnp.ones((2, 2)), "start": jnp.ones(2), "end": jnp.ones(2)}
    mask = methods.decay_mask({"crf": scores, "head": {"kernel": jnp.ones((2, 2))}, "crf_like": {"kernel": 0}})
    assert on(mask) == {"head/kernel", "crf_like/kernel"}


@pytest.mark.parametrize("rate", [0.1, jnp.float32(0.1)], ids=["python", "traced"])
def test_weight_decay_decays_with_zero_gradients(rate):
    params = encoder_tree(blocks=1)
    decay = methods.add_weight_decay(rate)
    updates, _ = decay.update(zeros(params), decay.init(params), params)
    expected = jax.tree.map(lambda w, decays: 0.1 * w if decays else 0 * w, params, methods.decay_mask(params))
    close(updates, expected)


def test_weight_decay_takes_other_masks():
    params = encoder_tree(blocks=1)
    everything = methods.add_weight_decay(0.1, mask=None)
    updates, _ = everything.update(zeros(params), everything.init(params), params)
    close(updates, jax.tree.map(lambda w: 0.1 * w, params))
    tree = paths.select(params, ["head/.*"])
    head = methods.add_weight_decay(0.1, mask=tree)
    updates, _ = head.update(zeros(params), head.init(params), params)
    close(updates, jax.tree.map(lambda w, decays: 0.1 * w if decays else 0 * w, params, tree))


def test_anchor_weights_leave_out_the_head_and_fresh_leaves():
    params = encoder_tree(blocks=2)
    group = on(methods.decay_mask(params))
    assert on(methods.anchor_weights(params)) == group - {"head/kernel"}
    assert on(methods.anchor_weights(params, exclude=())) == group
    fresh = methods.reinit_mask(params, layers=1)
    expected = {name for name in group if not name.startswith(("head/", "encoder/layer_1/", "encoder/pooler/"))}
    assert on(methods.anchor_weights(params, fresh=fresh)) == expected
    everything = methods.anchor_weights(params, exclude=(), group=None)
    assert on(everything) == set(paths.names(params))
    with pytest.raises(PatternError, match="crf"):
        methods.anchor_weights(params, exclude=["crf/.*"])


def test_traced_reinit_gives_traced_anchor_weights():
    params = encoder_tree(blocks=2)

    def updates(layers):
        weights = methods.anchor_weights(params, fresh=methods.reinit_mask(params, layers=layers))
        decay = methods.add_decay_to_init(0.5, weights=weights)
        return decay.update(zeros(params), decay.init(params), moved(params))[0]

    for layers in (0, 1, 2):
        same_bits(jax.jit(updates)(jnp.asarray(layers)), updates(layers))


def test_only_anchored_leaves_are_kept_in_the_state():
    params = encoder_tree(blocks=1)
    state = methods.add_decay_to_init(0.5, weights=methods.anchor_weights).init(params)
    assert len(jax.tree.leaves(state)) == 3 + 6 + 1
    assert len(jax.tree.leaves(methods.add_decay_to_init(0.5).init(params))) == len(jax.tree.leaves(params))


def test_at_the_initial_values_the_decay_is_zero():
    params = encoder_tree(blocks=1)
    gradients = jax.tree.map(jnp.cos, params)
    for decay in (methods.add_decay_to_init(0.5), methods.pull_to_init(0.5)):
        same_bits(decay.update(gradients, decay.init(params), params)[0], gradients)


def test_three_placements():
    """w - u = 1 and no gradient: lr-scaled 0.1 * 0.5; unscaled 0.5; coupled, Adam makes it a whole step."""
    params = {"kernel": jnp.zeros((2, 2))}
    rate = optax.scale(-0.1)
    chains = {
        -0.05: optax.chain(methods.scale_by_adam(), methods.add_decay_to_init(0.5), rate),
        -0.5: optax.chain(methods.scale_by_adam(), rate, methods.pull_to_init(0.5)),
        -0.1: optax.chain(methods.add_decay_to_init(0.5), methods.scale_by_adam(), rate),
    }
    for expected, optimizer in chains.items():
        updates, _ = optimizer.update(zeros(params), optimizer.init(params), moved(params))
        np.testing.assert_allclose(updates["kernel"], expected, rtol=1e-5)


def test_coupled_is_the_gradient_of_half_the_squared_distance():
    params = encoder_tree(blocks=1)
    now = jax.tree.map(lambda w: w + jnp.sin(w), params)
    decay = methods.add_decay_to_init(0.3)
    updates, _ = decay.update(zeros(params), decay.init(params), now)

    def penalty(p):
        return 0.15 * sum(
            jnp.sum((a - b) ** 2) for a, b in zip(jax.tree.leaves(p), jax.tree.leaves(params), strict=True)
        )

    close(updates, jax.jit(jax.grad(penalty))(now), rtol=1e-5)


def test_multipliers_weigh_the_pull():
    params = {"a": jnp.zeros(2), "b": jnp.zeros(2), "c": jnp.zeros(2)}
    decay = methods.add_decay_to_init(0.5, weights={"a": 2.0, "b": 0, "c": jnp.float32(0.5)})
    updates, _ = decay.update(zeros(params), decay.init(params), moved(params))
    assert [float(updates[name][0]) for name in "abc"] == [1.0, 0.0, 0.25]


def test_the_anchor_survives_the_donation_of_the_parameters():
    params = {"kernel": jnp.ones(4)}
    for transform in (methods.add_decay_to_init(0.5), methods.selective_projection_decay(optax.sgd(0.1), 0.5)):
        for init in (transform.init, jax.jit(transform.init)):
            given = jax.tree.map(lambda w: w + 0, params)
            state = init(given)
            jax.jit(lambda w: jax.tree.map(lambda x: x * 3, w), donate_argnums=0)(given)
            assert given["kernel"].is_deleted()
            np.testing.assert_array_equal(state.anchor["kernel"], 1.0)


def project(step, g, w, rate=1.0):
    optimizer = methods.selective_projection_decay(optax.stateless(lambda updates, params: step), rate)
    state = optimizer.init(jnp.zeros(2))
    return optimizer.update(jnp.asarray(g), state, jnp.asarray(w))[0]


def test_projection_acts_where_descent_points_back_but_the_step_goes_away():
    w, away, back = [1.0, 0.0], jnp.asarray([1.0, 0.0]), jnp.asarray([-0.5, 0.0])
    g_back, g_away = [1.0, 0.0], [-1.0, 0.0]  # descent is -g
    np.testing.assert_allclose(project(away, g_back, w), [0.0, 0.0], atol=1e-7)  # from 2 back to 1: the ratio is 1/2
    np.testing.assert_allclose(project(away, g_back, w, rate=0.5), [0.5, 0.0], atol=1e-7)
    np.testing.assert_array_equal(project(away, g_away, w), away)  # descent itself leads away: left alone
    np.testing.assert_array_equal(project(back, g_back, w), back)  # the step returns by itself: left alone
    np.testing.assert_array_equal(project(away, g_back, [0.0, 0.0]), away)  # at the anchor


def test_projection_keeps_adam_nearer_and_rate_0_is_adam():
    target = jnp.asarray([1.0, -2.0])

    def distance(rate, steps=40):
        adam = optax.chain(methods.scale_by_adam(), optax.scale(-0.3))
        optimizer = methods.selective_projection_decay(adam, rate)
        w = jnp.zeros(2)
        state, furthest = optimizer.init(w), 0.0
        for _ in range(steps):
            updates, state = optimizer.update(w - target, state, w)
            w = w + updates
            furthest = max(furthest, float(jnp.linalg.norm(w)))
        return furthest, w

    free, w_free = distance(jnp.float32(0.0))
    held, _ = distance(1.0)
    assert held < free - 0.1  # the overshoot of momentum is taken back
    np.testing.assert_array_equal(distance(0)[1], w_free)


def test_projection_excludes_leaves_and_passes_extra_arguments():
    params = {"head": {"kernel": jnp.zeros(2)}, "body": {"kernel": jnp.zeros(2)}}
    seen = []

    def update(updates, state, params=None, *, value, **extra):
        seen.append(value)
        return jax.tree.map(jnp.ones_like, updates), state

    inner = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
    optimizer = methods.selective_projection_decay(
        inner, 1.0, weights=functools.partial(methods.anchor_weights, exclude=["head/.*"])
    )
    state = optimizer.init(params)
    updates, _ = optimizer.update(moved(params), state, moved(params), value=7)
    assert seen == [7]
    assert np.all(updates["head"]["kernel"] == 1)
    np.testing.assert_allclose(updates["body"]["kernel"], 0, atol=1e-6)


@pytest.mark.parametrize("make", [methods.add_weight_decay, methods.add_decay_to_init, methods.pull_to_init])
def test_wrong_values_raise(make):
    with pytest.raises(InputError, match="at least 0"):
        make(-0.1)
    transform = make(0.1)
    with pytest.raises(InputError, match="needs the parameters"):
        transform.update({"k": jnp.ones(1)}, transform.init({"k": jnp.ones(1)}))
