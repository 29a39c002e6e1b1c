"""The encoder against golden arrays of PyTorch transformers, and what must hold of it by itself."""

import functools
import operator

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stablefit import paths
from stablefit.errors import InputError
from stablefit.models import hf
from stablefit.models.config import EncoderConfig
from stablefit.models.dropout import Dropout
from stablefit.models.encoder import Encoder
from stablefit.models.families import read_config
from stablefit.models.heads import SequenceClassifier, init_head, init_pooler
from tests.golden import make_encoder as golden

TINY = EncoderConfig.from_dict(golden.TINY_CONFIG)


def params_from(weights: dict[str, np.ndarray], config: EncoderConfig) -> dict:
    """Our nested dict from arrays under Hugging Face's names, `bert.` left out, the head included."""
    tree: dict = {}
    for entry in hf.name_table(config):
        if entry.theirs in weights:
            array = weights[entry.theirs]
            hf._put(tree, f"encoder/{entry.ours}", array.T if entry.ours.endswith("kernel") else array)
    tree["head"] = {"kernel": weights["classifier.weight"].T, "bias": weights["classifier.bias"]}
    return tree


def inputs_of(batch: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    return batch["tokens"], batch["types"], batch["segments"]


def loss_of(model: SequenceClassifier, batch: dict[str, np.ndarray]):
    def loss(params):
        logits = model.apply({"params": params}, *inputs_of(batch), deterministic=True)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"]).mean()

    return loss


def assert_gradients_close(ours: dict, theirs: dict[str, np.ndarray], config: EncoderConfig, tolerance: float) -> float:
    """Whole-tree: the largest difference over the largest gradient (a key bias's true gradient is 0)."""
    expected = params_from({name.removeprefix("bert."): g for name, g in theirs.items()}, config)
    assert paths.names(expected) == paths.names(ours)
    largest = max(float(np.abs(g).max()) for g in jax.tree.leaves(expected))
    differences = jax.tree.map(lambda a, b: float(np.abs(np.asarray(a) - b).max()), ours, expected)
    worst = max(jax.tree.leaves(differences)) / largest
    assert worst <= tolerance
    return worst


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(golden.FILE, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def tiny_params() -> dict:
    return params_from(golden.tiny_weights() | golden.head_weights(16), TINY)


def tiny_logits(params: dict, *inputs: np.ndarray, dtype=jnp.float32, **more) -> jax.Array:
    return _tiny_apply(dtype)(params, *inputs, **more)


@functools.cache
def _tiny_apply(dtype):
    model = SequenceClassifier(TINY, 3, dropout=0.0, dtype=dtype)
    return jax.jit(lambda params, *inputs, **more: model.apply({"params": params}, *inputs, deterministic=True, **more))


@pytest.mark.parametrize("activation", golden.ACTIVATIONS)
def test_tiny_model_is_torchs(arrays, tiny_params, activation):
    config = EncoderConfig.from_dict(golden.TINY_CONFIG | {"hidden_act": activation})
    batch, theirs = golden.TINY_BATCH, lambda name: arrays[f"{activation}/{name}"]
    encoder = Encoder(config)
    model = SequenceClassifier(config, 3)

    @jax.jit
    def everything(params):
        hidden = encoder.apply({"params": params["encoder"]}, *inputs_of(batch), deterministic=True)
        logits = model.apply({"params": params}, *inputs_of(batch), deterministic=True)
        return hidden, logits, jax.grad(loss_of(model, batch))(params)

    hidden, logits, gradient = everything(tiny_params)
    real = batch["segments"].astype(bool)
    np.testing.assert_allclose(hidden[real], theirs("hidden")[-1][real], rtol=0, atol=2e-5)
    np.testing.assert_allclose(logits, theirs("logits"), rtol=0, atol=1e-5)
    gradients = {k.removeprefix(f"{activation}/gradient/"): v for k, v in arrays.items() if f"{activation}/grad" in k}
    assert_gradients_close(gradient, gradients, config, 1e-5)


def test_minilm_is_torchs(arrays):
    directory = hf.resolve(golden.MINILM)
    config = hf.load_config(directory)
    encoder, report = hf.load_encoder(directory, config)
    assert report.has_pooler
    assert report.num_parameters == 22_713_216
    head = golden.head_weights(384)
    params = {"encoder": encoder, "head": {"kernel": head["classifier.weight"].T, "bias": head["classifier.bias"]}}
    batch = golden.MINILM_BATCH

    def both(params):
        hidden = Encoder(config).apply({"params": params["encoder"]}, *inputs_of(batch), deterministic=True)
        logits = SequenceClassifier(config, 3).apply({"params": params}, *inputs_of(batch), deterministic=True)
        return hidden, logits

    hidden, logits = jax.jit(both)(params)
    real = batch["segments"].astype(bool)
    np.testing.assert_allclose(hidden[real], arrays["minilm/hidden"][real], rtol=0, atol=2e-5)
    np.testing.assert_allclose(logits, arrays["minilm/logits"], rtol=0, atol=1e-5)


def test_attention_has_a_dropout_of_its_own(tiny_params):
    def hidden(**rates):
        encoder, key = Encoder(TINY, **rates), {"dropout": jax.random.key(0)}
        return encoder.apply(
            {"params": tiny_params["encoder"]}, *inputs_of(golden.TINY_BATCH), deterministic=False, rngs=key
        )

    without = Encoder(TINY).apply({"params": tiny_params["encoder"]}, *inputs_of(golden.TINY_BATCH), deterministic=True)
    np.testing.assert_array_equal(hidden(dropout=0.5), hidden(dropout=0.5, attention_dropout=0.5))
    np.testing.assert_array_equal(hidden(dropout=0.0, attention_dropout=0.0), without)
    assert np.abs(hidden(dropout=0.0, attention_dropout=0.5) - without).max() > 0.01
    assert np.abs(hidden(dropout=0.5, attention_dropout=0.0) - hidden(dropout=0.5)).max() > 0.01


def test_parameter_names_are_the_name_tables():
    tokens = jnp.zeros((1, 4), jnp.int32)
    init = SequenceClassifier(TINY, 3, dropout=0.1).init
    shapes = jax.eval_shape(lambda k: init(k, tokens, tokens, tokens, deterministic=True), jax.random.key(0))["params"]
    found = {paths.leaf_name(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(shapes)}
    table = {f"encoder/{entry.ours}": entry.shape for entry in hf.name_table(TINY)}
    assert found == table | {"head/kernel": (16, 3), "head/bias": (3,)}
    encoder = jax.eval_shape(
        lambda k: Encoder(TINY).init(k, tokens, tokens, tokens, deterministic=True), jax.random.key(0)
    )
    assert "pooler" in encoder["params"]
    bare = Encoder(TINY, with_pooler=False)
    without = jax.eval_shape(lambda k: bare.init(k, tokens, tokens, tokens, deterministic=True), jax.random.key(0))
    assert "pooler" not in without["params"]


def test_both_segments_and_padding_reach_the_model(tiny_params):
    tokens, types, segments = inputs_of(golden.TINY_BATCH)
    logits = tiny_logits(tiny_params, tokens, types, segments)
    assert not np.allclose(logits, tiny_logits(tiny_params, tokens, 0 * types, segments), atol=1e-3)
    other_padding = np.where(segments == 0, 39, tokens)
    np.testing.assert_array_equal(logits, tiny_logits(tiny_params, other_padding, types, segments))
    wider = [np.pad(x, ((0, 0), (0, 2))) for x in (tokens, types, segments)]
    np.testing.assert_allclose(logits, tiny_logits(tiny_params, *wider), rtol=0, atol=1e-6)


def test_packed_rows_are_padded_rows(tiny_params):
    tokens, types, segments = inputs_of(golden.TINY_BATCH)
    padded = tiny_logits(tiny_params, tokens, types, segments)
    lengths = segments.sum(axis=1)
    pieces = [
        (tokens[i, :n], types[i, :n], np.full(n, k + 1), np.arange(n))
        for k, (i, n) in enumerate([(1, lengths[1]), (2, lengths[2])])
    ]
    second = [np.concatenate(column) for column in zip(*pieces, strict=True)]
    first = (tokens[0], types[0], segments[0], np.arange(10))
    rows = [np.stack([a, np.pad(b, (0, 10 - len(b)))]).astype(np.int32) for a, b in zip(first, second, strict=True)]
    cls = {"cls_rows_E": np.array([0, 1, 1]), "cls_columns_E": np.array([0, 0, lengths[1]])}
    np.testing.assert_allclose(padded, tiny_logits(tiny_params, *rows, **cls), rtol=0, atol=1e-5)


def test_a_token_outside_the_vocabulary_is_loud(tiny_params):
    tokens, types, segments = inputs_of(golden.TINY_BATCH)
    assert np.isnan(tiny_logits(tiny_params, np.where(tokens == tokens[0, 1], 40, tokens), types, segments)).any()
    with pytest.raises(InputError, match="rows of 13 tokens are too long: max_position_embeddings=12"):
        tiny_logits(tiny_params, *(np.ones((1, 13), np.int32),) * 3)


def test_bfloat16_rounds_products_only(tiny_params):
    batch = golden.TINY_BATCH
    exact = tiny_logits(tiny_params, *inputs_of(batch))
    rounded = tiny_logits(tiny_params, *inputs_of(batch), dtype=jnp.bfloat16)
    assert rounded.dtype == jnp.float32
    assert 1e-5 < np.abs(rounded - exact).max() < 0.1
    gradients = [
        jax.jit(jax.grad(loss_of(SequenceClassifier(TINY, 3, dtype=dtype), batch)))(tiny_params)
        for dtype in (jnp.float32, jnp.bfloat16)
    ]
    largest = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(gradients[0]))
    for a, b in zip(*map(jax.tree.leaves, gradients), strict=True):
        assert b.dtype == jnp.float32
        assert np.abs(a - b).max() < 0.05 * largest


def test_dropout_follows_key_and_flag(tiny_params):
    inputs = inputs_of(golden.TINY_BATCH)
    model = SequenceClassifier(TINY, 3, dropout=0.1)

    @jax.jit
    def run(seed):
        return model.apply(
            {"params": tiny_params}, *inputs, deterministic=False, rngs={"dropout": jax.random.key(seed)}
        )

    np.testing.assert_array_equal(run(0), run(0))
    assert not np.allclose(run(0), run(1), atol=1e-3)
    quiet = jax.jit(lambda: model.apply({"params": tiny_params}, *inputs, deterministic=True))
    np.testing.assert_allclose(quiet(), tiny_logits(tiny_params, *inputs), rtol=0, atol=1e-6)
    with pytest.raises(InputError, match=r"dropout=1\.0"):
        SequenceClassifier(TINY, 3, dropout=1.0).apply({"params": tiny_params}, *inputs, deterministic=False)


def test_dropout_is_where_berts_is(tiny_params):
    """After the embeddings; on attention weights, attention output and output of each layer; on the pooled vector."""
    seen = []

    def note(call, args, kwargs, context):
        if isinstance(context.module, Dropout):
            seen.append((context.module.path, context.module.rate, args[0].shape))
        return call(*args, **kwargs)

    model = SequenceClassifier(TINY, 3, dropout=0.1)
    with nn.intercept_methods(note):
        rngs = {"dropout": jax.random.key(0)}
        inputs = inputs_of(golden.TINY_BATCH)
        jax.eval_shape(lambda p: model.apply({"params": p}, *inputs, deterministic=False, rngs=rngs), tiny_params)
    hidden, weights = (3, 10, 16), (3, 4, 10, 10)
    assert [shape for _, _, shape in seen] == [hidden, *(weights, hidden, hidden) * 2, (3, 16)]
    assert {rate for _, rate, _ in seen} == {0.1}
    assert len({path for path, _, _ in seen}) == len(seen)  # each its own key


def test_members_under_vmap_are_the_members_alone(tiny_params):
    batch = golden.TINY_BATCH
    model = SequenceClassifier(TINY, 3, dropout=0.1)
    members = jax.tree.map(lambda x: jnp.stack([x, 0.5 * x]), jax.tree.map(jnp.asarray, tiny_params))

    def gradient(params, key):
        def loss(params):
            rngs = {"dropout": key}
            logits = model.apply({"params": params}, *inputs_of(batch), deterministic=False, rngs=rngs)
            return optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"]).mean()

        return jax.grad(loss)(params)

    keys = jax.random.split(jax.random.key(3), 2)
    together = jax.jit(jax.vmap(gradient))(members, keys)
    single = jax.jit(gradient)
    for i in range(2):
        alone = single(jax.tree.map(operator.itemgetter(i), members), keys[i])
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=0, atol=2e-6)


def test_new_heads_start_as_the_papers_did():
    key = jax.random.key(0)
    head, pooler = init_head(key, 1024, 100), init_pooler(key, EncoderConfig(9, 768, 1, 12, 9))
    assert head["kernel"].shape == (1024, 100)
    assert abs(float(head["kernel"].std()) - 0.02) < 2e-4  # 5 standard errors
    assert abs(float(pooler["kernel"].mean())) < 2e-4
    assert not head["bias"].any()
    np.testing.assert_array_equal(head["kernel"], init_head(key, 1024, 100)["kernel"])
    assert not np.array_equal(head["kernel"], init_head(jax.random.key(1), 1024, 100)["kernel"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "t5"}, "c.json: model_type='t5' is not supported, allowed: bert, "),
        ({"position_embedding_type": "relative_key"}, "allowed: 'absolute'"),
        ({"is_decoder": True}, "is_decoder=True is not supported"),
        ({"hidden_act": "gelu_10"}, "hidden_act='gelu_10' is not supported, allowed: gelu, gelu_new, relu"),
        ({"hidden_act": ["gelu"]}, "is not supported"),
        ({"hidden_size": None}, "hidden_size=None is not allowed"),
        ({"hidden_size": 10**9}, "must be a whole number, 1 to"),
        ({"num_hidden_layers": True}, "num_hidden_layers=True"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps=nan"),
        ({"num_attention_heads": 3}, "hidden_size=16 is no multiple of num_attention_heads=3"),
    ],
)
def test_a_config_that_cannot_be_followed_is_refused(changes, message):
    with pytest.raises(InputError) as error:
        read_config(golden.TINY_CONFIG | changes, "c.json")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_config_round_trip_and_missing_fields():
    assert read_config(TINY.to_dict()) == TINY
    for name in ("model_type", "hidden_size"):
        with pytest.raises(InputError, match=f"{name} is missing"):
            read_config({k: v for k, v in golden.TINY_CONFIG.items() if k != name})
