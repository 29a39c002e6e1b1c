"""Names, patterns, keys and depths."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stablefit import paths
from stablefit.errors import InputError
from stablefit.paths import PatternError

TREE = {
    "encoder": {
        "embeddings": {"word_embeddings": {"embedding": 0}, "LayerNorm": {"scale": 1}},
        "layer_1": {"kernel": 2},
        "layer_10": {"kernel": 3},
        "pooler": {"kernel": 4},
    },
    "head": {"kernel": 5},
}


class NnxNet(nnx.Module):
    def __init__(self):
        self.layer_0 = nnx.Linear(2, 3, rngs=nnx.Rngs(0))


class LinenNet(flax.linen.Module):
    @flax.linen.compact
    def __call__(self, x):
        return flax.linen.Dense(3, name="layer_0")(x)


def test_names_are_in_the_order_of_leaves():
    assert paths.names(TREE) == [
        "encoder/embeddings/LayerNorm/scale",
        "encoder/embeddings/word_embeddings/embedding",
        "encoder/layer_1/kernel",
        "encoder/layer_10/kernel",
        "encoder/pooler/kernel",
        "head/kernel",
    ]
    assert jax.tree.leaves(paths.map_named(lambda name, _: name, TREE)) == paths.names(TREE)


def test_linen_nnx_and_plain_dicts_have_the_same_names():
    expected = ["layer_0/bias", "layer_0/kernel"]
    assert paths.names({"layer_0": {"kernel": 0, "bias": 0}}) == expected
    assert paths.names(LinenNet().init(jax.random.key(0), jnp.ones((1, 2)))["params"]) == expected
    assert paths.names(nnx.state(NnxNet(), nnx.Param)) == expected


def test_a_dict_key_called_value_is_kept():
    assert paths.names({"attention": {"value": {"kernel": 0}, "other": {"value": 0}}}) == [
        "attention/other/value",
        "attention/value/kernel",
    ]


def test_lists_and_tuples_are_named_by_index():
    assert paths.names({"layers": [{"kernel": 0}, {"kernel": 0}]}) == ["layers/0/kernel", "layers/1/kernel"]


def test_map_named_takes_other_trees():
    assert paths.map_named(lambda name, x, y: (name, x + y), {"a": 1}, {"a": 2}) == {"a": ("a", 3)}


def test_select_matches_whole_names():
    chosen = paths.select(TREE, ["encoder/layer_1/.*", "head/kernel"])
    assert [name for name, on in zip(paths.names(TREE), jax.tree.leaves(chosen), strict=True) if on] == [
        "encoder/layer_1/kernel",
        "head/kernel",
    ]
    assert not any(jax.tree.leaves(paths.select(TREE, [])))


def test_select_takes_no_name_for_a_part_of_it():
    tree = {"kernel": 0, "head": {"kernel": 0, "kernel_norm": 0}}
    assert paths.select(tree, ["kernel"]) == {"kernel": True, "head": {"kernel": False, "kernel_norm": False}}
    assert paths.select(tree, ["head/kernel"]) == {"kernel": False, "head": {"kernel": True, "kernel_norm": False}}


@pytest.mark.parametrize("pattern", ["kernel", "layer_1", "encoder/layer_2/.*", "HEAD/.*"])
def test_a_pattern_that_matches_nothing_raises(pattern):
    with pytest.raises(PatternError, match=r"matches no parameter.*encoder/"):
        paths.select(TREE, ["head/.*", pattern])
    assert issubclass(PatternError, InputError)


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|a)*b", "(.*)*", "((a+)x)+", "(?:a*){3,}", "(?P<n>a|b){12}", "((a|b)x)*"]
)
def test_a_pattern_that_may_take_for_ever_raises(pattern):
    with pytest.raises(paths.PatternError, match="may take for ever; repeat one of them only"):
        paths.select(TREE, [pattern])


@pytest.mark.parametrize(
    "pattern", ["(head|pooler)/.*", "encoder/(?:layer_(?:0|1))/.*", "[(+]*.*", "(encoder/)?.*", r".*(?:\(\+\))?"]
)
def test_a_pattern_with_groups_is_one(pattern):
    assert any(jax.tree.leaves(paths.select(TREE, [pattern])))


def test_a_pattern_that_is_no_expression_raises():
    with pytest.raises(PatternError, match="not a regular expression"):
        paths.select(TREE, ["head/("])


def test_keys_depend_on_the_name_and_the_key_alone():
    def data(key):
        return jax.random.key_data(key)

    key = jax.random.key(0)
    np.testing.assert_array_equal(data(paths.key_for(key, "a/b")), data(paths.key_for(jax.random.key(0), "a/b")))
    others = [paths.key_for(key, name) for name in ("a/b", "a/c", "mixout/a/b", "reinit/a/b")]
    assert len({tuple(np.asarray(data(k)).tolist()) for k in [*others, key]}) == 5
    pinned = np.asarray(data(paths.key_for(key, "head/kernel")))
    traced = jax.jit(lambda k: paths.key_for(k, "head/kernel"))(key)
    np.testing.assert_array_equal(data(traced), pinned)
    together = paths.keys_for(key, ["a/b", "head/kernel"])
    np.testing.assert_array_equal(data(together)[1], pinned)
    np.testing.assert_array_equal(data(together)[0], data(paths.key_for(key, "a/b")))


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("encoder/layer_1/kernel", 1),
        ("encoder/layer_10/kernel", 10),
        ("layer_0", 0),
        ("layers/3/kernel", 3),
        ("blocks_7/kernel", 7),
        ("transformer/h/11/attn/kernel", 11),
        ("encoder/pooler/kernel", None),
        ("encoder/my_layer_3x/kernel", None),
        ("encoder/layer_norm/scale", None),
        ("encoder/layernorm_1/scale", None),
    ],
)
def test_block_index(name, index):
    assert paths.block_index(name) == index


def test_depths():
    depths = dict(zip(paths.names(TREE), jax.tree.leaves(paths.depths(TREE)), strict=True))
    assert paths.num_blocks(TREE) == 11
    assert depths == {
        "encoder/embeddings/LayerNorm/scale": 0,
        "encoder/embeddings/word_embeddings/embedding": 0,
        "encoder/layer_1/kernel": 2,
        "encoder/layer_10/kernel": 11,
        "encoder/pooler/kernel": 12,
        "head/kernel": 12,
    }
    assert paths.num_blocks({"a": 0}) == 0
