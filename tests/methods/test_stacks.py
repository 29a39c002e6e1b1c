"""Which leaves are blocks in other people's trees: names, several stacks, parts of a tree, blocks along an axis."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stablefit import methods, paths
from stablefit.errors import InputError
from stablefit.paths import PatternError
from tests.methods.trees import same_bits

KEY = jax.random.key(0)


def leaves(*names):
    """A nested dict with a kernel [2, 2] of ones at each name."""
    tree = {}
    for name in names:
        node = tree
        for part in name.split("/"):
            node = node.setdefault(part, {})
        node["kernel"] = jnp.ones((2, 2))
    return tree


def named(tree):
    return dict(zip(paths.names(tree), jax.tree.leaves(tree), strict=True))


def factors(tree, **where):
    return {name.removesuffix("/kernel"): k for name, k in named(methods.layer_multipliers(tree, 0.5, **where)).items()}


def changed(tree, **arguments):
    after = methods.reinit(KEY, tree, **arguments)
    pairs = zip(paths.names(tree), jax.tree.leaves(tree), jax.tree.leaves(after), strict=True)
    return {name.removesuffix("/kernel") for name, a, b in pairs if np.any(np.asarray(a) != np.asarray(b))}


NUMBERED_HEAD = leaves("layer_0", "layer_1", "head/layers_0", "head/layers_1")
TOWERS = leaves(
    "text/embeddings", "text/layer_0", "text/layer_1", "text/pooler", "image/patch_embed", "image/blocks/0",
    "image/blocks/1", "image/blocks/2", "image/pooler", "head",
)  # fmt: skip


@pytest.mark.parametrize(
    "tree",
    [
        NUMBERED_HEAD,
        TOWERS,
        leaves("encoder/layer_0", "adapter_layers_0"),
        leaves("stem/block_0", "stem/block_1", "encoder/EncoderBlock_0"),
    ],
)
def test_two_stacks_are_refused_by_both_names_and_the_argument(tree):
    prefixes = [f"{prefix}*" for prefix in dict.fromkeys(name.rstrip("0123456789") for name in named_blocks(tree))]
    for refused in (
        lambda: methods.layer_multipliers(tree, 0.5),
        lambda: methods.scale_by_layer_decay(0.5).init(tree),
        lambda: methods.reinit(KEY, tree, layers=1),
        lambda: methods.reinit_mask(tree, indices=[0]),
        lambda: methods.decay_mask(tree, exempt_top=True),
    ):
        with pytest.raises(InputError, match="stack=") as error:
            refused()
        assert all(prefix in str(error.value) for prefix in prefixes)
    assert changed(tree, patterns=[".*[/_]0/kernel"])  # what needs no blocks is not refused


def named_blocks(tree):
    names = [name.removesuffix("/kernel") for name in paths.names(tree)]
    return [name for name in names if name[-1].isdigit()]


@pytest.mark.parametrize("stack", ["layer_*", "layer_", "layer"])
def test_a_numbered_head_is_the_head(stack):
    expected = {"layer_0": 0.25, "layer_1": 0.5, "head/layers_0": 1.0, "head/layers_1": 1.0}
    assert factors(NUMBERED_HEAD, stack=stack) == expected
    assert changed(NUMBERED_HEAD, layers=2, stack=stack) == {"layer_0", "layer_1"}
    assert changed(NUMBERED_HEAD, layers=1, stack="head/layers_*") == {"head/layers_1"}
    updates, _ = methods.scale_by_layer_decay(0.5, stack=stack).update(NUMBERED_HEAD, optax.EmptyState())
    assert {name.removesuffix("/kernel"): float(u[0, 0]) for name, u in named(updates).items()} == expected


@pytest.mark.parametrize("stack", ["text/layer_*", "text"])
def test_one_of_two_towers_has_its_own_embeddings_and_pooler(stack):
    assert {name: k for name, k in factors(TOWERS, stack=stack).items() if k != 1} == {
        "text/embeddings": 0.125,
        "text/layer_0": 0.25,
        "text/layer_1": 0.5,
    }
    assert changed(TOWERS, layers=1, stack=stack) == {"text/layer_1", "text/pooler"}
    both = optax.chain(*(methods.scale_by_layer_decay(0.5, stack=tower) for tower in ("text", "image")))
    updates, _ = both.update(TOWERS, both.init(TOWERS))
    assert float(updates["image"]["patch_embed"]["kernel"][0, 0]) == 0.0625
    assert float(updates["text"]["layer_1"]["kernel"][0, 0]) == 0.5
    assert float(updates["head"]["kernel"][0, 0]) == 1.0


def test_embeddings_that_towers_share_are_below_each():
    shared = leaves("shared/embeddings", "encoder/layer_0", "decoder/layer_0")
    assert factors(shared, stack="decoder") == {"shared/embeddings": 0.25, "encoder/layer_0": 1, "decoder/layer_0": 0.5}


def test_a_wrong_stack_is_refused_by_the_names_there_are():
    with pytest.raises(PatternError, match=r"stack='video'.*image/blocks/\* and text/layer_\*"):
        methods.layer_multipliers(TOWERS, 0.5, stack="video")
    with pytest.raises(PatternError, match="names are such as: dense/kernel"):
        methods.reinit(KEY, leaves("dense"), layers=1, stack="layer_*")


@pytest.mark.parametrize(
    "name",
    ["EncoderBlock_{}", "encoderblock_{}", "block{}", "encoder_layer_{}", "TransformerLayer_{}", "resblocks/{}",
     "Transformer/encoderblock_{}", "encoder/layer/{}/attention", "transformer/h/{}", "model.layers.{}.mlp", "block/{}",
     "bert/~/encoder_layer_{}/~/linear", "CheckpointEncoderBlock_{}"],
)  # fmt: skip
def test_names_of_blocks_by_default(name):
    tree = leaves("embed", *(name.format(i) for i in range(3)), "LayerNorm_1", "Dense_0", "head")
    found = factors(tree)
    assert [found[name.format(i)] for i in range(3)] == [0.125, 0.25, 0.5]
    assert found["embed"] == 0.0625
    assert found["LayerNorm_1"] == found["Dense_0"] == found["head"] == 1
    assert changed(tree, layers=1) == {name.format(2)}


def test_what_is_numbered_within_a_block_is_a_part_of_it():
    tree = leaves("encoder/EncoderBlock_0/MlpBlock_0/layers_3", "encoder/EncoderBlock_1/MlpBlock_0/layers_3")
    assert list(factors(tree).values()) == [0.25, 0.5]


@pytest.mark.parametrize("name", ["encoder/LayerNorm_{}", "norm_layers_{}", "embed_layer_{}", "Dense_{}", "group_{}"])
def test_what_is_no_block(name):
    with pytest.raises(InputError, match=r"finds no blocks; block="):
        methods.layer_multipliers(leaves(*(name.format(i) for i in range(3))), 0.5)
    with pytest.raises(InputError, match=r"from 0 to 0.*block="):
        methods.reinit(KEY, leaves(name.format(0)), layers=1)


def test_block_names_the_pattern():
    tree = leaves("embed", "Stage_0", "Stage_1", "block_0", "head")
    where = {"block": r"Stage_(\d+)"}
    assert factors(tree, **where) == {"embed": 0.125, "Stage_0": 0.25, "Stage_1": 0.5, "block_0": 1, "head": 1}
    assert changed(tree, layers=1, **where) == {"Stage_1"}
    for block, message in [
        (r"Cell_(\d+)", "is in no name"),
        ("Stage_0", "one group"),
        ("(Stage)_.*", "must be the index"),
    ]:
        with pytest.raises(PatternError, match=message):
            methods.layer_multipliers(tree, 0.5, block=block)


def test_haiku_leaves_the_number_of_the_first_block_out():
    tree = {f"bert/~/{name}/~/linear": {"w": jnp.ones((2, 2))} for name in ("block", "block_1", "block_2")}
    assert list(methods.layer_multipliers(tree, 0.5).values()) == [{"w": 0.125}, {"w": 0.25}, {"w": 0.5}]


def test_something_that_holds_the_blocks_is_not_the_one_block():
    tree = leaves("TransformerBlocks_0/layer_0", "TransformerBlocks_0/layer_1")
    with pytest.raises(InputError, match=r"TransformerBlocks_\* and TransformerBlocks_0/layer_\*; stack="):
        methods.layer_multipliers(tree, 0.5)
    assert list(factors(tree, stack="TransformerBlocks_0/layer_*").values()) == [0.25, 0.5]


# Parts of a tree

PART = leaves("embeddings", "layer_0", "layer_1", "head")
EXPECTED = {"embeddings": 0.125, "layer_0": 0.25, "layer_1": 0.5, "head": 1.0}


def updated(transform, tree=PART):
    updates, _ = transform.update(tree, transform.init(tree), tree)
    return {name.removesuffix("/kernel"): float(u[0, 0]) for name, u in named(updates).items()}


@pytest.mark.parametrize("low", ["layer_0", "layer_1", "head"])
def test_depth_in_a_group_is_that_of_the_whole_tree(low):
    """A group of one block alone: what is left out says where it was."""
    labels = {name: {"kernel": "one" if name == low else "other"} for name in PART}
    groups = {name: methods.scale_by_layer_decay(0.5) for name in ("one", "other")}
    assert updated(optax.multi_transform(groups, labels)) == EXPECTED
    prefix = {name: "one" if name == low else "other" for name in PART}
    assert updated(optax.multi_transform(groups, prefix)) == EXPECTED
    mask = jax.tree.map(lambda label: label == "one", labels)
    alone = updated(optax.masked(methods.scale_by_layer_decay(0.5), mask))
    assert alone == {name: EXPECTED[name] if name == low else 1.0 for name in PART}


def test_a_group_that_hides_the_blocks_needs_the_whole_tree():
    tree = {"encoder": leaves("layer_0", "layer_1"), "embeddings": leaves("word")}
    labels = {"encoder": "one", "embeddings": "other"}
    groups = {name: methods.scale_by_layer_decay(0.5) for name in ("one", "other")}
    with pytest.raises(InputError, match="whole="):
        optax.multi_transform(groups, labels).init(tree)
    groups = {name: methods.scale_by_layer_decay(0.5, whole=tree) for name in ("one", "other")}
    expected = {"encoder/layer_0": 0.25, "encoder/layer_1": 0.5, "embeddings/word": 0.125}
    assert updated(optax.multi_transform(groups, labels), tree) == expected


def test_a_part_without_its_top_block():
    """What `nnx.Optimizer(wrt=...)` or a hand gives: the leaves are gone, and nothing says so."""
    part = {"layer_0": PART["layer_0"]}
    assert updated(methods.scale_by_layer_decay(0.5, whole=PART), part) == {"layer_0": 0.25}
    shapes = jax.eval_shape(lambda: PART)
    assert updated(methods.scale_by_layer_decay(0.5, whole=shapes), part) == {"layer_0": 0.25}
    with pytest.raises(InputError, match="whole has no value for 'layer_7/kernel'"):
        methods.scale_by_layer_decay(0.5, whole=PART).init(leaves("layer_7"))


def test_what_a_filter_leaves_out_is_counted():
    part = PART | {"layer_1": {"kernel": None}}  # as equinox.partition
    assert updated(methods.scale_by_layer_decay(0.5), part) == {k: v for k, v in EXPECTED.items() if k != "layer_1"}


# Blocks along an axis

WHERE = {"stack": "encoder/layers", "axis": 0}


def stacked(tree):
    """The same parameters with their blocks along the first axis of a leaf."""
    blocks = [tree["encoder"][f"layer_{i}"] for i in range(3)]
    return {
        "encoder": {
            "embeddings": tree["encoder"]["embeddings"],
            "layers": jax.tree.map(lambda *x: jnp.stack(x), *blocks),
        },
        "head": tree["head"],
    }


@pytest.fixture(scope="module")
def flat():
    def draw(seed, *shape):
        return jax.random.normal(jax.random.key(seed), shape)

    def block(i):
        return {
            "dense": {"kernel": draw(i, 3, 2), "bias": draw(i + 9, 2)},
            "LayerNorm": {"scale": draw(i + 20, 2)},
        }

    encoder = {"embeddings": {"embedding": draw(40, 4, 2)}} | {f"layer_{i}": block(i) for i in range(3)}
    return {"encoder": encoder, "head": {"kernel": draw(50, 2, 2)}}


@pytest.mark.parametrize("decay", [0.5, jnp.float32(0.5)])
@pytest.mark.parametrize("convention", ["paper", "electra"])
def test_layer_decay_acts_on_slices(flat, decay, convention):
    one = methods.scale_by_layer_decay(decay, convention=convention)
    other = methods.scale_by_layer_decay(decay, convention=convention, **WHERE)
    expected, _ = one.update(flat, one.init(flat))
    updates, _ = jax.jit(other.update)(stacked(flat), other.init(stacked(flat)))
    same_bits(updates, stacked(expected))


@pytest.mark.parametrize(
    "transform",
    [
        lambda **where: methods.clip_by_component_norm(0.5, **where),
        lambda **where: methods.selective_projection_decay(optax.trace(0.9), 0.5, **where),
    ],
    ids=["clip", "projection"],
)
def test_a_block_is_a_tensor_of_its_own(flat, transform):
    def after(params, **where):
        optimizer = transform(**where)
        state = optimizer.init(params)
        w = jax.tree.map(lambda x: 1.1 * x + 0.1, params)
        for sign in (1.0, -1.0, 1.0):
            updates, state = optimizer.update(jax.tree.map(lambda x, s=sign: s * jnp.sin(x), w), state, w)
            w = jax.tree.map(lambda x, u: x + 0.3 * u, w, updates)
        return w

    got, expected = after(stacked(flat), **WHERE), stacked(after(flat))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("arguments", [{"layers": 1}, {"layers": 2}, {"layers": 3}, {"indices": [0, 2]}, {"layers": 0}])
@pytest.mark.parametrize("traced", [False, True])
def test_reinit_acts_on_slices(flat, arguments, traced):
    params = stacked(flat)
    if traced and "layers" in arguments:
        after = jax.jit(lambda n: methods.reinit(KEY, params, layers=n, **WHERE))(arguments["layers"])
    else:
        after = methods.reinit(KEY, params, **arguments, **WHERE)
    fresh = set(arguments.get("indices", range(3 - arguments.get("layers", 0), 3)))
    for name, old, new in zip(paths.names(params), jax.tree.leaves(params), jax.tree.leaves(after), strict=True):
        if "layers" not in name:
            np.testing.assert_array_equal(new, old)
            continue
        for i in range(3):
            if i not in fresh:
                np.testing.assert_array_equal(new[i], old[i])
            elif name.endswith(("bias", "scale")):
                assert np.all(new[i] == (1 if name.endswith("scale") else 0))
            else:
                assert np.all(new[i] != old[i])
                assert np.std(new[i]) < 0.1


def test_fresh_slices_are_not_anchored(flat):
    params = stacked(flat)
    fresh = methods.reinit_mask(params, layers=1, **WHERE)
    weights = methods.anchor_weights(params, fresh=fresh)
    decay = methods.add_decay_to_init(1.0, weights=weights)
    moved = jax.tree.map(lambda x: x + 1, params)
    updates, _ = decay.update(jax.tree.map(jnp.zeros_like, params), decay.init(params), moved)
    kernel = updates["encoder"]["layers"]["dense"]["kernel"]
    assert np.allclose(kernel[:2], 1)
    assert np.all(kernel[2] == 0)


def test_a_scan_is_refused_until_it_is_said():
    class Block(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            return nn.Dense(2)(x), None

    class Encoder(nn.Module):
        @nn.compact
        def __call__(self, x):
            scan = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
            return nn.Dense(2, name="head")(scan()(x, None)[0])

    params = Encoder().init(KEY, jnp.ones((1, 2)))["params"]
    with pytest.raises(InputError, match="axis=0") as error:
        methods.layer_multipliers(params, 0.5)
    assert "stack='ScanBlock_0'" in str(error.value)
    multipliers = methods.layer_multipliers(params, 0.5, stack="ScanBlock_0", axis=0)
    assert multipliers["ScanBlock_0"]["Dense_0"]["kernel"].ravel().tolist() == [0.125, 0.25, 0.5]
    assert multipliers["head"]["bias"] == 1


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"axis": 0}, "needs stack="),
        ({"stack": "encoder/blocks", "axis": 0}, "holds no leaves with an axis 0"),
        ({"stack": "encoder/layers", "axis": 1}, "no axis of depth"),
    ],
)
def test_an_axis_that_is_none_is_refused(flat, where, message):
    tree = stacked(flat)
    tree["encoder"]["layers"]["dense"]["kernel"] = jnp.ones((3, 5, 2))
    for method in (
        functools.partial(methods.layer_multipliers, decay=0.5),
        functools.partial(methods.reinit, KEY, layers=1),
    ):
        with pytest.raises(InputError, match=message):
            method(params=tree, **where)
