"""What a leaf is, by the conventions of each library: on its own modules where it is installed, and on its names."""

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stablefit import methods, paths
from stablefit.errors import InputError
from stablefit.methods.conventions import leaf_kinds
from stablefit.paths import PatternError

KEY = jax.random.key(0)


def kinds(tree, **where):
    return dict(zip(paths.names(tree), jax.tree.leaves(leaf_kinds(tree, **where)), strict=True))


def tree_of(shapes):
    """A flat dict of arrays of threes, as a state dict: nothing starts from 3."""
    return {name: jnp.full(shape, 3.0) for name, shape in shapes.items()}


class LinenNet(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Embed(3, 4, name="embed")(x)
        x = nn.BatchNorm(use_running_average=False, name="bn")(nn.Dense(4, name="dense")(x))
        return nn.RMSNorm(name="rms")(
            nn.LayerNorm(name="layer_norm")(nn.MultiHeadDotProductAttention(2, name="mha")(x))
        )


def test_linen():
    variables = LinenNet().init(KEY, jnp.zeros((2, 3), int))
    assert kinds(variables) == {
        "batch_stats/bn/mean": "fixed",
        "batch_stats/bn/var": "fixed",
        "params/bn/bias": "bias",
        "params/bn/scale": "scale",
        "params/dense/bias": "bias",
        "params/dense/kernel": "kernel",
        "params/embed/embedding": "kernel",
        "params/layer_norm/bias": "bias",
        "params/layer_norm/scale": "scale",
        **{f"params/mha/{part}/bias": "bias" for part in ("key", "out", "query", "value")},
        **{f"params/mha/{part}/kernel": "kernel" for part in ("key", "out", "query", "value")},
        "params/rms/scale": "scale",
    }


class NnxNet(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(3, 4, rngs=rngs)
        self.bn = nnx.BatchNorm(4, rngs=rngs)
        self.norm = nnx.LayerNorm(4, rngs=rngs)
        self.dense = nnx.Linear(4, 4, rngs=rngs)
        self.lora = nnx.LoRA(4, 2, 4, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)


def test_nnx_with_statistics_random_keys_and_counts():
    state = nnx.state(NnxNet(nnx.Rngs(0)))
    assert kinds(state) == {
        "bn/bias": "bias",
        "bn/mean": "fixed",
        "bn/scale": "scale",
        "bn/var": "fixed",
        "dense/bias": "bias",
        "dense/kernel": "kernel",
        "dropout/rngs/count": "fixed",
        "dropout/rngs/key": "fixed",
        "embed/embedding": "kernel",
        "lora/lora_a": "kernel",
        "lora/lora_b": "zero",
        "norm/bias": "bias",
        "norm/scale": "scale",
    }
    after = methods.reinit(KEY, jax.tree.map(lambda x: x, state), patterns=[".*"])
    for name, old, new in zip(paths.names(state), jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        if kinds(state)[name] == "fixed":
            assert new is old, name


def test_equinox():
    keys = jax.random.split(KEY, 3)
    model = {
        "linear": eqx.nn.Linear(3, 4, key=keys[0]),
        "norm": eqx.nn.LayerNorm(4),
        "embed": eqx.nn.Embedding(3, 4, key=keys[1]),
        "attention": eqx.nn.MultiheadAttention(2, 4, use_output_bias=True, key=keys[2]),
        "activation": jax.nn.gelu,
        "dropout": eqx.nn.Dropout(0.1),
    }
    found = kinds(eqx.filter(model, eqx.is_array))
    assert found["linear/weight"] == found["embed/weight"] == found["attention/query_proj/weight"] == "kernel"
    assert found["norm/weight"] == "scale"
    assert found["linear/bias"] == found["norm/bias"] == found["attention/output_proj/bias"] == "bias"
    assert kinds(model)["activation"] == "fixed"  # a function is a leaf of an unfiltered module
    after = methods.reinit(KEY, model, patterns=[".*"])
    assert after["activation"] is jax.nn.gelu
    assert after["dropout"].p == 0.1
    assert np.all(after["norm"].weight == 1)


def test_haiku():
    def net(x):
        x = hk.LayerNorm(-1, create_scale=True, create_offset=True)(hk.Linear(4)(hk.Embed(3, 4)(x)))
        return hk.BatchNorm(True, True, 0.9)(x, is_training=True)

    params, state = hk.transform_with_state(net).init(KEY, jnp.zeros((2,), int))
    assert kinds(params) == {
        "batch_norm/offset": "bias",
        "batch_norm/scale": "scale",
        "embed/embeddings": "kernel",
        "layer_norm/offset": "bias",
        "layer_norm/scale": "scale",
        "linear/b": "bias",
        "linear/w": "kernel",
    }
    assert set(kinds(state).values()) == {"fixed"}


TORCH = {
    "encoder.layer.0.attention.self.query.weight": ((4, 4), "kernel"),
    "encoder.layer.0.attention.self.query.bias": ((4,), "bias"),
    "encoder.layer.0.LayerNorm.weight": ((4,), "scale"),
    "encoder.layer.0.LayerNorm.bias": ((4,), "bias"),
    "encoder.layer.0.LayerNorm.gamma": ((4,), "scale"),  # old releases of BERT
    "encoder.layer.0.LayerNorm.beta": ((4,), "bias"),
    "embeddings.word_embeddings.weight": ((5, 4), "kernel"),
    "self_attn.in_proj_weight": ((12, 4), "kernel"),
    "self_attn.in_proj_bias": ((12,), "bias"),
    "attention.q_bias": ((4,), "bias"),
    "rnn.weight_ih_l0": ((8, 4), "kernel"),
    "rnn.bias_hh_l0_reverse": ((8,), "bias"),
    "bn.running_mean": ((4,), "fixed"),
    "bn.num_batches_tracked": ((), "fixed"),
    "q_proj.lora_A.default.weight": ((2, 4), "kernel"),
    "q_proj.lora_B.default.weight": ((4, 2), "zero"),
}
KERAS = {
    "layer_normalization/gamma": ((4,), "scale"),
    "layer_normalization/beta": ((4,), "bias"),
    "batch_normalization/moving_variance": ((4,), "fixed"),
    "dense/kernel": ((4, 4), "kernel"),
}
EQUINOX = {
    "layers/0/mlp/weight": ((4, 4), "kernel"),
    "layers/0/norm1/weight": ((4,), "scale"),
    "layers/0/norm1/bias": ((4,), "bias"),
    "ln/weight": ((3, 4), "scale"),  # of three blocks, one after the other along an axis
}
HAIKU = {
    "linear/w": ((4, 4), "kernel"),
    "linear/b": ((4,), "bias"),
    "layer_norm/offset": ((4,), "bias"),
    "batch_norm/~/mean_ema/average": ((1, 4), "fixed"),
}
OURS = {
    "crf/start": ((3,), "scores"),
    "crf/transitions": ((3, 3), "scores"),
    "encoder/layer_0/LayerNorm/scale": ((4,), "scale"),
    "encoder/embeddings/word_embeddings/embedding": ((4, 4), "kernel"),
}
TABLES = pytest.mark.parametrize(
    "table", [TORCH, KERAS, EQUINOX, HAIKU, OURS], ids=["torch", "keras", "eqx", "haiku", "ours"]
)


@TABLES
def test_names_of_each_library(table):
    tree = tree_of({name: shape for name, (shape, _) in table.items()})
    assert kinds(tree) == {name: kind for name, (_, kind) in table.items()}


@TABLES
def test_what_starts_anew_and_what_decays(table):
    tree = tree_of({name: shape for name, (shape, _) in table.items()})
    fresh = methods.reinit(KEY, tree, patterns=[".*"])
    decays = methods.decay_mask(tree)
    after, _ = methods.add_weight_decay(0.5).update(tree, None, tree)
    for name, (_, kind) in table.items():
        values = np.asarray(fresh[name])
        if kind in ("scale", "bias", "zero", "fixed"):
            assert np.all(values == {"scale": 1, "bias": 0, "zero": 0, "fixed": 3}[kind]), name
        else:
            assert np.all((np.abs(values) < 0.2) & (values != 0)), name
        assert decays[name] is (kind in ("kernel", "zero")), name
        assert np.all(after[name] == (4.5 if decays[name] else 3)), name


def test_torch_modules_have_these_names():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    layer = torch.nn.TransformerEncoderLayer(4, 2, 8)
    found = kinds({name: np.asarray(x.detach()) for name, x in layer.state_dict().items()})
    assert found["self_attn.in_proj_weight"] == found["linear1.weight"] == "kernel"
    assert found["norm1.weight"] == "scale"
    assert found["self_attn.in_proj_bias"] == found["norm2.bias"] == "bias"
    batch_norm = {name: np.asarray(x) for name, x in torch.nn.BatchNorm1d(4).state_dict().items()}
    assert kinds(batch_norm)["running_var"] == kinds(batch_norm)["num_batches_tracked"] == "fixed"


UNKNOWN = {"layer_0": {"alpha": jnp.ones(3), "kernel": jnp.ones((2, 2))}, "layer_1": {"kernel": jnp.ones((2, 2))}}


@pytest.mark.parametrize(
    "method",
    [
        lambda **say: methods.decay_mask(UNKNOWN, **say),
        lambda **say: methods.reinit(KEY, UNKNOWN, indices=[0], **say),
        lambda **say: methods.reinit_mask(UNKNOWN, layers=2, **say),
    ],
    ids=["decay", "reinit", "mask"],
)
def test_a_vector_of_unknown_name_is_refused_by_name(method):
    with pytest.raises(InputError, match=r"'layer_0/alpha'.*kinds="):
        method()
    method(kinds={".*/alpha": "scale"})
    with pytest.raises(PatternError, match="gamma"):
        method(kinds={".*/gamma": "scale"})
    with pytest.raises(InputError, match="'norm'; it must be one of kernel, scale"):
        method(kinds={".*/alpha": "norm"})


@pytest.mark.parametrize(("kind", "start"), [("scale", 1), ("bias", 0), ("zero", 0), ("fixed", 3)])
def test_kinds_say_what_a_leaf_is(kind, start):
    tree = jax.tree.map(lambda x: 3 * x, UNKNOWN)
    say = {"kinds": {".*/alpha": kind}}
    assert np.all(methods.reinit(KEY, tree, indices=[0], **say)["layer_0"]["alpha"] == start)
    assert methods.decay_mask(tree, **say)["layer_0"]["alpha"] is (kind == "zero")


def test_a_vector_that_stays_is_not_asked_for():
    assert methods.reinit(KEY, UNKNOWN, layers=1)["layer_0"]["alpha"] is UNKNOWN["layer_0"]["alpha"]


@pytest.mark.parametrize("name", ["ls1/gamma", "layer_scale2/gamma", "logit_scale", "gate"])
def test_what_only_looks_like_a_norm_is_refused(name):
    with pytest.raises(InputError, match=name):
        methods.decay_mask({name: jnp.ones((4,) if "/" in name else ())})


def test_a_pattern_of_what_is_left_alone_is_refused():
    tree = {"kernel": jnp.ones((2, 2)), "batch_stats": {"mean": jnp.ones(2)}, "key": KEY}
    for pattern in ("batch_stats/.*", "key"):
        with pytest.raises(PatternError, match="left alone"):
            methods.reinit(KEY, tree, patterns=[pattern])
    assert methods.reinit(KEY, tree, patterns=[".*"])["key"] is KEY


def test_decays_and_mixout_leave_random_keys_and_counts_alone():
    params = {"kernel": jnp.ones((2, 2)), "key": KEY, "count": jnp.int32(3)}
    updates = {"kernel": jnp.ones((2, 2)), "key": KEY, "count": jnp.int32(0)}
    for transform in (methods.add_decay_to_init(0.5), methods.add_weight_decay(0.5, None)):
        after, _ = transform.update(updates, transform.init(params), params)
        assert after["key"] is KEY
        assert after["count"] is updates["count"]
    mixed = methods.mixout(0.5, where=[".*"])
    assert mixed.apply(KEY, params, mixed.init(params))["key"] is KEY


def shared(name, shape, **where):
    """Along which axes of a leaf mixout draws anew."""
    params = {name: jnp.ones(shape)}
    transform = methods.mixout(0.5, **where)
    masks = jax.vmap(lambda key: transform.apply(key, params, transform.init({name: jnp.zeros(shape)}))[name])(
        jax.random.split(KEY, 64)
    )
    return [axis for axis in range(len(shape)) if np.any(np.asarray(masks) != np.take(masks, [0], axis + 1))]


@pytest.mark.parametrize(
    ("name", "shape", "axes", "where"),
    [
        ("dense/kernel", (4, 3), [0], {}),
        ("linear/w", (4, 3), [0], {}),
        ("linear/weight", (4, 3), [1], {}),  # [out, in]
        ("self_attn.in_proj_weight", (6, 3), [1], {}),
        ("layers/weight", (2, 4, 3), [0, 2], {"stack": "layers", "axis": 0}),
        ("layers/kernel", (2, 4, 3), [0, 1], {}),
        ("embed/weight", (4, 3), [0], {"where": [".*"]}),
        ("conv/weight", (4, 3, 2), [0, 1, 2], {"unit": "weight"}),
    ],
)
def test_mixout_draws_for_inputs_whichever_axis_they_are(name, shape, axes, where):
    assert shared(name, shape, **where) == axes


def test_mixout_does_not_guess_an_axis():
    params = {"layers": {"weight": jnp.ones((2, 4, 3))}}
    transform = methods.mixout(0.5)
    transform = methods.mixout(0.5)
    state = transform.init(params)
    with pytest.raises(InputError, match=r"'layers/weight'.*stack=.*unit='weight'"):
        transform.apply(KEY, params, state)


def test_mixout_mixes_matrices_by_default_and_neither_embeddings_nor_norms():
    tree = tree_of({name: shape for name, (shape, _) in TORCH.items() if "lora" not in name})
    anchor = methods.mixout(0.5).init(tree).anchor
    mixed = {name for name in tree if isinstance(anchor[name], jax.Array)}
    assert mixed == {"encoder.layer.0.attention.self.query.weight", "self_attn.in_proj_weight"}


def test_mixout_does_not_guess_between_adapters_and_what_they_adapt():
    tree = {"dense": {"kernel": jnp.ones((2, 2)), "lora_a": jnp.ones((2, 1)), "lora_b": jnp.ones((1, 2))}}
    with pytest.raises(InputError, match=r"'dense/lora_a'.*where="):
        methods.mixout(0.5).init(tree)
    mixed = methods.mixout(1.0, where=[".*/lora_a"])
    after = mixed.apply(KEY, tree, mixed.init(jax.tree.map(jnp.zeros_like, tree)))["dense"]
    assert np.all(after["lora_a"] == 0)
    assert np.all(after["kernel"] == 1)
