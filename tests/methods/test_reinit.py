"""Re-initialisation changes exactly the leaves it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stablefit import methods, paths
from stablefit.errors import InputError
from stablefit.paths import PatternError
from tests.methods.trees import encoder_tree, same_bits

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def params():
    """Twelve blocks; biases 0.5 and scales 2, so that a fresh one is seen."""
    tree = encoder_tree(blocks=12, width=3)
    values = {"bias": 0.5, "scale": 2.0}
    return paths.map_named(
        lambda name, x: jnp.asarray(np.full(x.shape, values.get(name.split("/")[-1], 9.0), x.dtype)), tree
    )


def changed(before, after) -> set[str]:
    assert jax.tree.structure(before) == jax.tree.structure(after)
    pairs = zip(paths.names(before), jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    return {name for name, a, b in pairs if np.any(np.asarray(a) != np.asarray(b))}


@pytest.mark.parametrize("layers", [0, 1, 5, 12])
def test_top_blocks_and_the_pooler_change_and_nothing_else(params, layers):
    after = methods.reinit(KEY, params, layers=layers)
    names = changed(params, after)
    assert len(names) == (16 * layers + 2 if layers else 0)
    assert {paths.block_index(name) for name in names} - {None} == set(range(12 - layers, 12))
    assert {name for name in names if paths.block_index(name) is None} == (
        {"encoder/pooler/kernel", "encoder/pooler/bias"} if layers else set()
    )


@pytest.mark.parametrize("layers", [0, 2])
def test_traced_layers_give_the_same_bits(layers):
    params = encoder_tree(blocks=3)
    traced = jax.jit(lambda n: methods.reinit(KEY, params, layers=n))(layers)
    same_bits(traced, methods.reinit(KEY, params, layers=layers))


def test_layer_1_is_not_layer_10(params):
    names = changed(params, methods.reinit(KEY, params, indices=[1], pooler=False))
    assert len(names) == 16
    assert all(name.startswith("encoder/layer_1/") for name in names)


@pytest.mark.parametrize("std", [0.02, 0.3])
def test_values_are_normal_with_the_std_and_norms_and_biases_are_plain(std):
    params = encoder_tree(blocks=1, width=40)
    arguments = {} if std == 0.02 else {"std": std}  # BERT's is the default
    block = methods.reinit(KEY, params, layers=1, **arguments)["encoder"]["layer_0"]
    drawn = np.concatenate([block["intermediate"]["kernel"].ravel(), block["output"]["kernel"].ravel()])
    assert np.std(drawn) == pytest.approx(std, rel=0.05)
    assert abs(np.mean(drawn)) < 0.1 * std
    assert np.max(np.abs(drawn)) > 2.5 * std  # not truncated at 2
    assert np.all(block["LayerNorm"]["scale"] == 1)
    assert np.all(block["attention"]["LayerNorm"]["bias"] == 0)
    assert np.all(block["attention"]["query"]["bias"] == 0)


def test_embeddings_are_normal_too(params):
    after = methods.reinit(KEY, params, patterns=["encoder/embeddings/.*"])
    assert len(changed(params, after)) == 5
    assert np.max(np.abs(after["encoder"]["embeddings"]["word_embeddings"]["embedding"])) < 0.2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"pooler": True}, 2),
        ({"pooler": False}, 0),
        ({}, 0),
        ({"layers": 1, "pooler": False}, 16),
        ({"indices": [0]}, 18),
        ({"patterns": [".*/LayerNorm/.*"]}, 2 * 25),
        ({"patterns": ["head/.*"], "layers": 1}, 20),
    ],
)
def test_the_pooler_goes_with_blocks_unless_told(params, arguments, expected):
    assert len(changed(params, methods.reinit(KEY, params, **arguments))) == expected


def test_without_a_pooler():
    params = encoder_tree(blocks=2, pooler=False)
    assert len(changed(params, methods.reinit(KEY, params, layers=1))) == 16
    with pytest.raises(PatternError, match="pooler=True"):
        methods.reinit(KEY, params, pooler=True)


@pytest.mark.parametrize("arguments", [{"layers": 3}, {"indices": [0, 4]}, {"patterns": ["head/.*"]}, {"pooler": True}])
def test_mask_names_the_leaves_that_change(params, arguments):
    mask = methods.reinit_mask(params, **arguments)
    names = {name for name, on in zip(paths.names(mask), jax.tree.leaves(mask), strict=True) if on}
    assert names == changed(params, methods.reinit(KEY, params, **arguments))


def test_a_leaf_s_values_depend_on_the_key_and_its_name_only(params):
    one, more = (methods.reinit(KEY, params, layers=n)["encoder"]["layer_11"] for n in (1, 4))
    same_bits(one, more)
    attention = one["attention"]
    assert np.any(attention["query"]["kernel"] != attention["key"]["kernel"])
    other = methods.reinit(jax.random.key(4), params, layers=1)["encoder"]["layer_11"]
    assert np.any(other["output"]["kernel"] != one["output"]["kernel"])


def test_numpy_leaves_and_bfloat16(params):
    as_numpy = jax.tree.map(np.asarray, params)
    same_bits(methods.reinit(KEY, as_numpy, layers=1), methods.reinit(KEY, params, layers=1))
    low = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
    expected = jax.tree.map(lambda x: x.astype(jnp.bfloat16), methods.reinit(KEY, params, layers=1))
    same_bits(methods.reinit(KEY, low, layers=1), expected)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layers": 13}, InputError, "13 layers; it must be an integer from 0 to 12"),
        ({"layers": -1}, InputError, "-1 layers"),
        ({"layers": 1.5}, InputError, "1.5 layers"),
        ({"indices": [12]}, InputError, "block 12; an index must lie from 0 to 11"),
        ({"patterns": ["decoder/.*"]}, PatternError, "decoder"),
        ({"std": -0.02}, InputError, "-0.02"),
    ],
)
def test_wrong_values_raise(params, arguments, error, message):
    with pytest.raises(error, match=message):
        methods.reinit(KEY, params, **arguments)
