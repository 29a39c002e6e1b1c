"""The methods inside what others wrap around them: optax's wrappers, masks of any form, boxes and modules as trees."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from stablefit import methods, paths
from stablefit.errors import InputError
from tests.methods.trees import close, same_bits

KEY = jax.random.key(5)
PARAMS = {
    "layer_0": {"kernel": jnp.full((2, 2), 2.0), "bias": jnp.full(2, 2.0)},
    "layer_1": {"kernel": jnp.full((2, 2), 3.0), "scale": jnp.full(2, 3.0)},
    "head": {"kernel": jnp.full((2, 2), 4.0)},
}
ZEROS = jax.tree.map(jnp.zeros_like, PARAMS)


def leaves_of(tree):
    return dict(zip(paths.names(tree), jax.tree.leaves(tree), strict=True))


# A parameter transform takes its own gradient: it must stand outside of what looks at gradients.


def micro_batch(sign):
    return {"grad_fn": lambda params, step: jax.tree.map(lambda w: jnp.array([sign, 0.0]) + 0 * w, params)}


LINK = functools.partial(methods.as_gradient_transformation, methods.mixout(0.5, gradient="official", where=["w"]), KEY)


@pytest.mark.parametrize("jit", [False, True])
def test_accumulation_around_mixout_is_refused_and_the_remedy_is_right(jit):
    params = {"w": jnp.zeros(2)}
    zeros = {"w": jnp.zeros(2)}
    inside = optax.MultiSteps(optax.chain(LINK(), optax.scale(-1.0)), 2)
    update = functools.partial(inside.update, **micro_batch(1.0))
    with pytest.raises(InputError, match=r"optax.MultiSteps.*put it outside: .*MultiSteps\(..., k\).gradient_transf"):
        (jax.jit(update) if jit else update)(zeros, inside.init(params), params)

    identity = methods.ParamTransform(lambda params: (), lambda key, params, state: jax.tree.map(lambda w: w, params))
    link = methods.as_gradient_transformation(identity, KEY)
    outside = optax.chain(link, optax.MultiSteps(optax.scale(-1.0), 2).gradient_transformation())
    state = outside.init(params)
    for sign, expected in ((1.0, [0.0, 0.0]), (0.0, [-0.5, 0.0])):
        update = functools.partial(outside.update, **micro_batch(sign))
        updates, state = (jax.jit(update) if jit else update)(zeros, state, params)
        np.testing.assert_array_equal(updates["w"], expected)


def test_a_check_for_infinity_around_mixout_is_refused_and_the_remedy_is_right():
    params = {"w": jnp.ones(2)}
    nan = {"grad_fn": lambda params, step: jax.tree.map(lambda w: w * jnp.nan, params)}
    inside = optax.apply_if_finite(optax.chain(LINK(), optax.scale(-1.0)), 3)
    with pytest.raises(InputError, match=r"optax.apply_if_finite.*put it outside"):
        inside.update({"w": jnp.zeros(2)}, inside.init(params), params, **nan)
    outside = optax.chain(LINK(), optax.apply_if_finite(optax.scale(-1.0), 3))
    updates, state = outside.update({"w": jnp.zeros(2)}, outside.init(params), params, **nan)
    assert np.all(updates["w"] == 0)
    assert int(state[1].total_notfinite) == 1


@pytest.mark.parametrize("labels", [{name: name == "head" for name in PARAMS}, None])
def test_mixout_in_a_group_is_refused(labels):
    labels = labels or jax.tree.map(lambda x: x.ndim == 2, PARAMS)
    link = methods.as_gradient_transformation(methods.mixout(0.5), KEY)
    for wrapped in (optax.multi_transform({True: link, False: optax.identity()}, labels), optax.masked(link, labels)):
        with pytest.raises(InputError, match=r"is masked; put it outside.*multi_transform.*where="):
            wrapped.init(PARAMS)


def test_mixout_outside_of_groups():
    labels = {"layer_0": "low", "layer_1": "high", "head": "high"}
    groups = optax.multi_transform({"low": optax.scale(-0.5), "high": optax.scale(-1.0)}, labels)
    optimizer = optax.chain(methods.as_gradient_transformation(methods.mixout(0.5, gradient="official"), KEY), groups)
    grad_fn = lambda params, step: jax.tree.map(jnp.ones_like, params)  # noqa: E731
    updates, _ = optimizer.update(ZEROS, optimizer.init(PARAMS), PARAMS, grad_fn=grad_fn)
    assert set(np.unique(updates["layer_0"]["kernel"])) <= {-0.5, 0.0}
    assert np.all(updates["layer_0"]["bias"] == -0.5)
    assert np.all(updates["layer_1"]["scale"] == -1)


# inject_hyperparams, schedules


@pytest.mark.parametrize(
    ("factory", "arguments"),
    [
        (methods.adamw, {"learning_rate": 0.1, "weight_decay": 0.5}),
        (methods.adamw, {"learning_rate": 0.1}),
        (methods.bert_adam, {"learning_rate": 0.1}),
        (methods.add_weight_decay, {"rate": 0.5}),
        (methods.add_decay_to_init, {"rate": 0.5}),
        (methods.pull_to_init, {"rate": 0.5}),
        (methods.scale_by_adam, {}),
        (methods.scale_by_layer_decay, {"decay": 0.5}),
        (methods.clip_by_global_norm, {"max_norm": 0.5}),
        (methods.clip_by_component_norm, {"max_norm": 0.5}),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_inject_hyperparams_at_the_defaults(factory, arguments):
    plain, injected = factory(**arguments), optax.inject_hyperparams(factory)(**arguments)
    moved = jax.tree.map(lambda w: 2 * w, PARAMS)
    state, injected_state = plain.init(PARAMS), injected.init(PARAMS)
    for _ in range(2):
        expected, state = plain.update(jax.tree.map(jnp.sin, moved), state, moved)
        updates, injected_state = injected.update(jax.tree.map(jnp.sin, moved), injected_state, moved)
        close(updates, expected, rtol=1e-5)  # b2 is 0.999 in float32 there
    assert injected_state.hyperparams.keys() >= arguments.keys()


@pytest.mark.parametrize(
    ("argument", "factory"),
    [
        ("mask", lambda: optax.inject_hyperparams(methods.add_weight_decay)(0.5, mask=methods.decay_mask)),
        ("weights", lambda: optax.inject_hyperparams(methods.add_decay_to_init)(0.5, weights=methods.anchor_weights)),
    ],
)
def test_a_function_that_is_taken_for_a_schedule_is_refused(argument, factory):
    with pytest.raises(InputError, match=f"static_args='{argument}'"):
        factory().init(PARAMS)


@pytest.mark.parametrize(
    "make",
    [
        methods.add_weight_decay,
        methods.add_decay_to_init,
        methods.pull_to_init,
        lambda rate: methods.adamw(0.1, weight_decay=rate),
        lambda rate: methods.bert_adam(0.1, weight_decay=rate),
        lambda rate: methods.selective_projection_decay(optax.trace(0.9), rate),
    ],
    ids=["decay", "to_init", "pull", "adamw", "bert_adam", "projection"],
)
def test_a_rate_of_decay_may_be_a_schedule(make):
    by_schedule = make(lambda step: jnp.array([0.25, 0.5])[step])
    numbers = [make(rate) for rate in (0.25, 0.5)]
    params = jax.tree.map(lambda w: w + 1, PARAMS)
    state, plain = by_schedule.init(PARAMS), numbers[0].init(PARAMS)
    update = jax.jit(by_schedule.update)
    for number, sign in zip(numbers, (1.0, -1.0), strict=True):
        g = jax.tree.map(lambda w, s=sign: s * w, params)
        updates, state = update(g, state, params)
        expected, plain = number.update(g, plain, params)
        close(updates, expected)


def test_optax_has_the_same_decay_by_a_schedule():
    schedule = optax.linear_schedule(0.0, 1.0, 4)
    ours, theirs = methods.add_weight_decay(schedule, None), optax.add_decayed_weights(schedule)
    state, their_state = ours.init(PARAMS), theirs.init(PARAMS)
    for _ in range(3):
        updates, state = ours.update(ZEROS, state, PARAMS)
        expected, their_state = theirs.update(ZEROS, their_state, PARAMS)
        same_bits(updates, expected)


@pytest.mark.parametrize(
    "make",
    [methods.mixout, methods.scale_by_layer_decay, methods.clip_by_global_norm, methods.sam, methods.warmup_linear],
    ids=lambda make: make.__name__,
)
@pytest.mark.parametrize("value", [lambda step: 0.5, "half", None, np.ones(2), jnp.ones(2), np.float32(-1.5)])
def test_what_is_no_number_is_refused(make, value):
    """A schedule too, where none is taken; and a NumPy number out of its range is out of its range."""
    with pytest.raises(InputError, match=r"it must be a number|it must be one number|-1.5; it must"):
        make(value, total_steps=3) if make is methods.warmup_linear else make(value)


@pytest.mark.parametrize("rate", [np.float32(1.5), np.float64(1.5), np.array(1.5), np.float16(1.5), float("nan")])
def test_numpy_numbers_are_looked_at(rate):
    with pytest.raises(InputError, match=r"lie in \[0, 1\]"):
        methods.mixout(rate)
    with pytest.raises(InputError, match=r"b1 is (nan|1.5)"):
        methods.scale_by_adam(b1=rate)


def test_numpy_integers_are_looked_at():
    with pytest.raises(InputError, match="from 0 to 2"):
        methods.reinit(KEY, PARAMS, layers=np.int64(3))
    same_bits(methods.reinit(KEY, PARAMS, layers=np.int64(1)), methods.reinit(KEY, PARAMS, layers=1))


# Masks


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Module:
    """As one of Equinox: a tree that can be called."""

    kernel: object
    bias: object

    def __call__(self, x):
        return x


@pytest.mark.parametrize("jit", [False, True])
def test_a_tree_that_can_be_called_is_a_tree(jit):
    params = {"layer_0": Module(jnp.full((2, 2), 2.0), jnp.full(2, 2.0))}
    module = Module(jnp.full((2, 2), 2.0), jnp.full(2, 2.0))
    weights = methods.anchor_weights(module, exclude=())
    assert weights == Module(True, False)
    for decay in (methods.add_weight_decay(0.5, Module(True, False)), methods.add_decay_to_init(0.5, weights=weights)):
        update = jax.jit(decay.update) if jit else decay.update
        updates, _ = update(module, decay.init(Module(jnp.zeros((2, 2)), jnp.zeros(2))), module)
        assert np.all(updates.kernel == 3)
        assert np.all(updates.bias == 2)
    updates, _ = methods.add_weight_decay(0.5).update(params, None, params)
    assert np.all(updates["layer_0"].kernel == 3)


PREFIX = {"layer_0": True, "layer_1": {"kernel": False, "scale": True}, "head": False}


@pytest.mark.parametrize("form", [lambda mask: mask, lambda mask: lambda params: mask], ids=["tree", "function"])
@pytest.mark.parametrize("make", [methods.add_weight_decay, methods.add_decay_to_init])
def test_the_top_of_a_mask_is_a_mask(make, form):
    transform = make(0.5, form(PREFIX)) if make is methods.add_weight_decay else make(0.5, weights=form(PREFIX))
    updates, _ = transform.update(ZEROS, transform.init(ZEROS), PARAMS)
    assert {name for name, u in leaves_of(updates).items() if np.any(u != 0)} == {
        "layer_0/kernel",
        "layer_0/bias",
        "layer_1/scale",
    }
    everything, _ = methods.add_weight_decay(0.5, True).update(ZEROS, None, PARAMS)
    close(everything, jax.tree.map(lambda w: 0.5 * w, PARAMS))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"layer_0": True, "layer_1": True}, "mask has no value for 'head/kernel'"),
        (PREFIX | {"tail": True}, "mask has a value for 'tail', which is no parameter"),
        ("kernels", "it must be 'default', a tree"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_by_name(mask, message):
    with pytest.raises(InputError, match=message):
        methods.add_weight_decay(0.5, mask).update(ZEROS, None, PARAMS)


def test_group_and_fresh_of_the_anchor_may_be_the_top_of_a_tree():
    weights = methods.anchor_weights(
        PARAMS, fresh={"layer_0": False, "layer_1": True, "head": False}, group=lambda _: True
    )
    assert {name for name, on in leaves_of(weights).items() if on} == {"layer_0/kernel", "layer_0/bias"}


def test_a_mask_of_the_whole_tree_in_a_group():
    mask = methods.decay_mask(PARAMS)
    labels = {"layer_0": "decays", "layer_1": "other", "head": "other"}
    groups = {"decays": methods.add_weight_decay(0.5, mask), "other": optax.identity()}
    optimizer = optax.multi_transform(groups, labels)
    updates, _ = optimizer.update(ZEROS, optimizer.init(PARAMS), PARAMS)
    assert np.all(updates["layer_0"]["kernel"] == 1)
    assert {name for name, u in leaves_of(updates).items() if np.any(u != 0)} == {"layer_0/kernel"}


# Names


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Attention:
    """A dataclass with a field named as nnx's boxes have one."""

    query: object
    value: object


def test_a_field_called_value_is_no_box():
    tree = {"layer_0": Attention(jnp.ones((2, 2)), jnp.ones((2, 2)))}
    assert paths.names(tree) == ["layer_0/query", "layer_0/value"]
    assert paths.map_named(lambda name, _: name, tree)["layer_0"] == Attention("layer_0/query", "layer_0/value")
    mixed = methods.mixout(1.0, where=[".*/value"])
    after = mixed.apply(KEY, tree, mixed.init(jax.tree.map(jnp.zeros_like, tree)))
    assert np.all(after["layer_0"].value == 0)
    assert np.all(after["layer_0"].query == 1)


class Own(nnx.Param):
    """A box of one's own."""


def test_boxes_are_left_out_of_names():
    class Net(nnx.Module):
        def __init__(self):
            self.plain = nnx.Param(jnp.ones(2))
            self.own = Own(jnp.ones(2))
            self.tree = nnx.Param(Attention(jnp.ones(2), jnp.ones(2)))

    assert paths.names(nnx.state(Net())) == ["own", "plain", "tree/query", "tree/value"]
    assert paths.names(Net()) == ["own", "plain", "tree/query", "tree/value"]


def test_boxes_of_linen_s_partitioning_are_left_out_of_names():
    import flax.linen as nn

    init = nn.with_partitioning(nn.initializers.ones, ("data", None))
    params = nn.Dense(2, kernel_init=init, name="layer_0").init(KEY, jnp.ones((1, 2)))["params"]
    assert paths.names(params) == ["bias", "kernel"]


# Layer decay and the grouping of the released code


def test_the_released_grouping_exempts_what_is_above_the_blocks():
    tree = {"encoder": PARAMS | {"pooler": {"kernel": jnp.full((2, 2), 5.0)}}, "head": {"kernel": jnp.ones((2, 2))}}
    del tree["encoder"]["head"]
    official = functools.partial(methods.decay_mask, exempt_top=True)
    assert {name for name, on in leaves_of(official(tree)).items() if on} == {
        "encoder/layer_0/kernel",
        "encoder/layer_1/kernel",
    }
    assert {name for name, on in leaves_of(methods.decay_mask(tree)).items() if on} == {
        "encoder/layer_0/kernel",
        "encoder/layer_1/kernel",
        "encoder/pooler/kernel",
        "head/kernel",
    }
    optimizer = optax.chain(methods.add_weight_decay(0.5, official), methods.scale_by_layer_decay(0.5))
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, tree), optimizer.init(tree), tree)
    assert float(updates["encoder"]["layer_0"]["kernel"][0, 0]) == 0.5 * 2.0 * 0.25
    assert np.all(updates["encoder"]["pooler"]["kernel"] == 0)
    anchored = methods.anchor_weights(tree, group=official)
    assert anchored["encoder"]["pooler"] == {"kernel": False}
    assert anchored["encoder"]["layer_1"]["kernel"] is True
    with pytest.raises(InputError, match="finds none; block="):
        official({"dense": {"kernel": jnp.ones((2, 2))}})
