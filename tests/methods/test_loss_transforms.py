"""R-Drop and SAM against their slow forms and optax, how they go into each other, and what they cost."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stablefit import methods
from stablefit.errors import InputError
from stablefit.paths import key_for
from tests.methods import reference
from tests.methods.trees import close, same_bits

KEY = jax.random.key(3)
LABELS, WEIGHTS = np.array([0, 2, 1, 0]), np.array([1.0, 0.5, 2.0, 0.0], np.float32)
KL = lambda z, others, targets: methods.symmetric_kl(z, others)  # noqa: E731


def forward(params, key):
    """Logits that depend on every leaf and on noise; the last example is a filler with a loss that is not finite."""
    x = jnp.linspace(-1.0, 1.0, 12).reshape(4, 3)
    logits = jnp.tanh(x @ params["a"]) * (1 + jax.random.normal(key, (4, 3))) + params["b"][None]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(LABELS))
    return methods.Pass(losses.at[3].set(jnp.nan), logits, jnp.asarray(LABELS), jnp.asarray(WEIGHTS))


@pytest.fixture(scope="module")
def params():
    rng = np.random.default_rng(0)
    return {"a": jnp.asarray(rng.normal(size=(3, 3)), jnp.float32), "b": jnp.asarray(rng.normal(size=3), jnp.float32)}


def value(transform, params, key=KEY):
    return transform.apply(forward, params, key).loss


def counted(transform, params):
    """How often a gradient of the transformed loss calls the forward pass."""
    calls = []

    def counting(p, key):
        calls.append(key)
        return forward(p, key)

    jax.grad(lambda p: transform.apply(counting, p, KEY).loss)(params)
    return len(calls)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 4.0])
def test_r_drop_is_the_slow_form(params, alpha):
    one, other = (np.asarray(forward(params, key).outputs, np.float64) for key in (KEY, key_for(KEY, "r_drop")))
    traced = methods.r_drop(jnp.float32(alpha), KL)
    expected = reference.r_drop(one[:3], other[:3], LABELS[:3], WEIGHTS[:3], alpha)
    if alpha:
        np.testing.assert_allclose(value(methods.r_drop(alpha, KL), params), expected, rtol=1e-6)
        np.testing.assert_allclose(value(traced, params), expected, rtol=1e-6)
    else:  # one pass alone, whatever a second one would say
        same_bits(value(traced, params), forward(params, KEY).loss)


def test_divergences():
    rng = np.random.default_rng(1)
    z, y = rng.normal(size=(2, 5, 3)) * 3
    softmaxes = [reference.symmetric_kl(reference.softmax(a), reference.softmax(b)) for a, b in zip(z, y, strict=True)]
    np.testing.assert_allclose(methods.symmetric_kl(jnp.float32(z), jnp.float32(y)), softmaxes, rtol=1e-4)
    p, q = reference.sigmoid(z), reference.sigmoid(y)
    binary = [reference.symmetric_kl((a, 1 - a), (b, 1 - b)) for a, b in zip(p.flat, q.flat, strict=True)]
    ours = methods.symmetric_binary_kl(jnp.float32(z), jnp.float32(y))
    np.testing.assert_allclose(np.ravel(ours), binary, rtol=1e-4)


def test_passes_without_noise_have_no_divergence(params):
    silent = lambda p, key: forward(p, KEY)  # noqa: E731
    np.testing.assert_allclose(methods.r_drop(5.0, KL).apply(silent, params, KEY).loss, silent(params, KEY).loss)


@pytest.mark.parametrize("rho", [0.05, 0.7])
def test_sam_is_the_slow_form(params, rho):
    def gradient(arrays):
        of = jax.grad(lambda p: forward(p, KEY).loss)({name: jnp.float32(x) for name, x in arrays.items()})
        return {name: np.asarray(x, np.float64) for name, x in of.items()}

    expected = reference.sam(gradient, {name: np.asarray(x, np.float64) for name, x in params.items()}, rho)
    for transform in (methods.sam(rho), methods.sam(jnp.float32(rho))):
        close(jax.grad(lambda p, t=transform: value(t, p))(params), expected, rtol=2e-6)


def test_sam_takes_the_steps_of_optax(params):
    """optax.contrib.sam in opaque mode, around Adam with momentum, for a few steps."""
    gradient = jax.grad(lambda p: forward(p, KEY).loss)
    theirs = optax.contrib.sam(
        optax.adam(0.1), optax.chain(optax.contrib.normalize(), optax.sgd(0.2)), sync_period=2, opaque_mode=True
    )
    ours, one, other = optax.adam(0.1), params, params
    state, their_state = ours.init(one), theirs.init(other)
    for _ in range(5):
        grads = jax.grad(lambda p: value(methods.sam(0.2), p))(one)
        updates, state = ours.update(grads, state, one)
        one = optax.apply_updates(one, updates)
        updates, their_state = theirs.update(gradient(other), their_state, other, grad_fn=lambda p, _: gradient(p))
        other = optax.apply_updates(other, updates)
    close(one, other, rtol=2e-5)
    assert np.abs(one["a"] - params["a"]).max() > 0.1


def test_sam_where_the_gradient_is_zero():
    flat = lambda p, key: methods.Pass(0 * p, p, p, jnp.ones(2))  # noqa: E731
    w = jnp.array([1.0, -2.0])
    gradient = jax.grad(lambda p: methods.sam(0.5).apply(flat, p, KEY).loss)(w)
    np.testing.assert_array_equal(gradient, np.zeros(2))
    np.testing.assert_array_equal(methods.sam(0.5).apply(flat, w, KEY).outputs, w)  # it goes nowhere


def test_what_is_said_of_a_step(params):
    """Of R-Drop the outputs of its first pass, which a transform around it looks at; of SAM the pass it goes to."""
    same_bits(methods.r_drop(2.0, KL).apply(forward, params, KEY).outputs, forward(params, KEY).outputs)
    slope = jax.grad(lambda p: forward(p, KEY).loss)(params)
    there = jax.tree.map(lambda w, g: w + 0.7 * g / optax.tree.norm(slope), params, slope)
    close(value(methods.sam(0.7), params), np.float64(forward(there, KEY).loss), rtol=1e-5)
    close(methods.sam(0.7).apply(forward, params, KEY).outputs, forward(there, KEY).outputs, rtol=1e-4)


def test_sam_goes_around_r_drop(params):
    r_drop, sam, chain = methods.r_drop(2.0, KL), methods.sam(0.3), methods.chain_losses
    inner = lambda p, key: r_drop.apply(forward, p, key)  # noqa: E731
    same_bits(value(chain(r_drop, sam), params), sam.apply(inner, params, KEY).loss)
    assert value(chain(sam, r_drop), params) != value(chain(r_drop, sam), params)


def test_each_pass_of_an_outer_transform_has_its_own_noise_within(params):
    r_drop, sam = methods.r_drop(2.0, KL), methods.sam(0.3)
    inner = lambda p, key: sam.apply(forward, p, key)  # noqa: E731
    same_bits(value(methods.chain_losses(sam, r_drop), params), r_drop.apply(inner, params, KEY).loss)


def test_what_a_step_costs(params):
    r_drop, sam, chain = methods.r_drop, methods.sam, methods.chain_losses
    assert counted(chain(r_drop(0.0, KL), sam(0.0)), params) == 1
    assert counted(chain(r_drop(1.0, KL), sam(0)), params) == 2
    assert counted(chain(r_drop(0, KL), sam(0.1)), params) == 2
    assert counted(chain(r_drop(1.0, KL), sam(0.1)), params) == 4
    assert chain(r_drop(0, KL), sam(0)) == methods.same_loss()


@pytest.mark.parametrize("make", [lambda x: methods.r_drop(x, KL), methods.sam])
def test_a_negative_value_is_refused(make):
    with pytest.raises(InputError, match="is -1"):
        make(-1.0)
