"""The multiplier of every leaf, and why it acts after Adam."""

import functools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stablefit import methods, paths
from stablefit.errors import InputError
from stablefit.paths import PatternError
from tests.methods.trees import close, encoder_tree, same_bits


@pytest.fixture(scope="module")
def large():
    return encoder_tree(blocks=24, width=1)


def named(tree):
    return dict(zip(paths.names(tree), jax.tree.leaves(tree), strict=True))


@pytest.mark.parametrize(
    ("decay", "top", "bottom", "embeddings"), [(0.95, 0.95, 0.292, 0.277), (0.9, 0.9, 0.080, 0.072)]
)
def test_every_leaf_of_24_layers(large, decay, top, bottom, embeddings):
    multipliers = named(methods.layer_multipliers(large, decay))
    assert len(multipliers) == 5 + 24 * 16 + 4
    for name, multiplier in multipliers.items():
        block = re.match(r"encoder/layer_(\d+)/", name)
        if block:
            expected = decay ** (24 - int(block.group(1)))
        elif name.startswith("encoder/embeddings/"):
            expected = decay**25
        else:
            assert name.startswith(("encoder/pooler/", "head/"))
            expected = 1.0
        assert multiplier == expected, name
    assert multipliers["encoder/layer_23/output/kernel"] == top
    assert multipliers["encoder/layer_0/output/kernel"] == pytest.approx(bottom, abs=5e-4)
    assert multipliers["encoder/embeddings/LayerNorm/scale"] == pytest.approx(embeddings, abs=5e-4)


def test_layer_1_is_not_layer_10(large):
    multipliers = named(methods.layer_multipliers(large, 0.9))
    assert multipliers["encoder/layer_1/LayerNorm/bias"] == pytest.approx(0.9**23)
    assert multipliers["encoder/layer_10/LayerNorm/bias"] == pytest.approx(0.9**14)


def test_electra_has_one_more_power_everywhere_but_on_top(large):
    paper = named(methods.layer_multipliers(large, 0.9))
    electra = named(methods.layer_multipliers(large, 0.9, convention="electra"))
    for name, multiplier in electra.items():
        below_top = "layer_" in name or "embeddings" in name
        assert multiplier == pytest.approx(paper[name] * (0.9 if below_top else 1)), name
    assert electra["encoder/layer_23/output/kernel"] == pytest.approx(0.81)


def test_after_adam_it_scales_and_before_adam_it_cancels():
    params = encoder_tree(blocks=2, width=2)
    gradients = jax.tree.map(jnp.sin, params)
    adam = methods.scale_by_adam(eps=0.0)

    def updates(*parts):
        optimizer = optax.chain(*parts)
        return optimizer.update(gradients, optimizer.init(params), params)[0]

    plain = updates(adam)
    close(updates(methods.scale_by_layer_decay(0.5), adam), plain, rtol=1e-5)
    expected = jax.tree.map(lambda u, k: k * u, plain, methods.layer_multipliers(params, 0.5))
    close(updates(adam, methods.scale_by_layer_decay(0.5)), expected)


def test_weight_decay_is_scaled_with_the_layer():
    params = encoder_tree(blocks=2, width=2)
    optimizer = optax.chain(methods.add_weight_decay(0.1), methods.scale_by_layer_decay(0.5))
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    kernel = params["encoder"]["layer_0"]["output"]["kernel"]
    np.testing.assert_allclose(updates["encoder"]["layer_0"]["output"]["kernel"], 0.1 * 0.25 * kernel, rtol=1e-6)


def test_rules_the_first_match_counts():
    params = encoder_tree(blocks=2, width=2)
    rules = [("head/bias", 3.0), ("head/.*", 100.0), ("encoder/layer_1/.*", jnp.float32(0.5))]
    multipliers = named(methods.path_multipliers(params, rules))
    assert (multipliers["head/bias"], multipliers["head/kernel"]) == (3.0, 100.0)
    assert {float(m) for name, m in multipliers.items() if "layer_1/" in name} == {0.5}
    assert {m for name, m in multipliers.items() if "layer_0/" in name or "embeddings" in name} == {1.0}
    updates, _ = methods.scale_by_path(rules).update(params, optax.EmptyState())
    same_bits(updates["encoder"]["layer_0"], params["encoder"]["layer_0"])


def test_multipliers_of_depth_and_path_multiply():
    params = encoder_tree(blocks=2, width=2)
    both = optax.chain(methods.scale_by_layer_decay(0.5), methods.scale_by_path([(".*/embedding", 4.0)]))
    updates, _ = both.update(jax.tree.map(jnp.ones_like, params), both.init(params))
    assert np.all(updates["encoder"]["embeddings"]["word_embeddings"]["embedding"] == 0.5)


def test_wrong_values_raise():
    params = encoder_tree(blocks=1)
    with pytest.raises(PatternError, match="crf"):
        methods.scale_by_path([("crf/.*", 100.0)]).init(params)
    with pytest.raises(InputError, match="no blocks"):
        methods.scale_by_layer_decay(0.9).init({"dense": {"kernel": jnp.ones(1)}})
    with pytest.raises(InputError, match="at least 0"):
        methods.scale_by_layer_decay(-0.9)
    with pytest.raises(InputError, match="'bert'"):
        methods.layer_multipliers(params, 0.9, convention="bert")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("decay", ["weight_decay", "init_decay"])
def test_what_the_released_grouping_leaves_out_of_a_run_of_rte(decay):
    """How far ours takes the pooler back, at the paper's learning rates and the top of each grid; the page says it."""
    official = functools.partial(methods.decay_mask, exempt_top=True)
    tree = {"layer_0": {"kernel": jnp.ones((2, 2))}, "pooler": {"kernel": jnp.ones((2, 2))}}
    links = {
        "weight_decay": lambda group: methods.add_weight_decay(0.1, group),
        "init_decay": lambda group: methods.add_decay_to_init(
            1.0, weights=functools.partial(methods.anchor_weights, exclude=(), group=group)
        ),
    }

    def left(group):
        """What is left of a way of 1 after all updates, if no gradient moves anything."""
        optimizer = optax.chain(
            links[decay](group),
            methods.scale_by_layer_decay(0.95),
            optax.scale_by_learning_rate(methods.warmup_linear(2e-5, total_steps=234, warmup_steps=23)),
        )
        zeros = jax.tree.map(jnp.zeros_like, tree)

        def step(_, carried):
            updates, state = optimizer.update(zeros, carried[1], carried[0])
            return optax.apply_updates(carried[0], updates), state

        start = tree if decay == "weight_decay" else zeros  # the decay to the start goes from 1 back to 0
        return jax.jit(lambda: jax.lax.fori_loop(0, 234, step, (tree, optimizer.init(start)))[0])()

    ours, theirs = left(methods.decay_mask), left(official)
    same_bits(ours["layer_0"], theirs["layer_0"])
    assert np.all(theirs["pooler"]["kernel"] == 1)
    taken = 100 * (1 - float(ours["pooler"]["kernel"][0, 0]))
    page = (Path(__file__).parents[2] / "docs" / "reproducing.md").read_text()
    said = {"weight_decay": "0.02 % of a weight", "init_decay": "0.23 % of the way"}[decay]
    assert said in page
    assert f"{taken:.2f}" == said.split()[0]
