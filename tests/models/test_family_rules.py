"""What must hold of every family beside being PyTorch's: names, packing, files, export, depth, messages."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from safetensors.numpy import load_file, save_file

from stablefit import paths
from stablefit.errors import InputError
from stablefit.models import heads, hf, hf_export
from stablefit.models.config import EncoderConfig
from stablefit.models.families import FAMILIES, bart, family_of
from tests.models import family_cases as cases
from tests.models.test_families import DIFFERENT, NAMES, config_of, in_files, inputs_of, params_of


@pytest.mark.parametrize("name", NAMES)
def test_names_are_those_of_its_modules(name):
    config = config_of(name)
    init = heads.SequenceClassifier(config, cases.N_LABELS, dropout=0.1).init
    tokens = jnp.zeros((1, 4), jnp.int32)
    shapes = jax.eval_shape(lambda k: init(k, tokens, tokens, tokens, deterministic=True), jax.random.key(0))["params"]
    found = {paths.leaf_name(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(shapes)}
    table = {f"encoder/{entry.ours}": entry.shape for entry in hf.name_table(config)}
    assert found == table | {"head/kernel": (12, cases.N_LABELS), "head/bias": (cases.N_LABELS,)}
    pooler = heads.init_pooler(jax.random.key(0), config)
    assert jax.tree.map(jnp.shape, pooler) == jax.tree.map(jnp.shape, params_of(name)["encoder"]["pooler"])


def packed(batch: dict[str, np.ndarray], pad: int) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
    """The rows of a batch behind one another in rows twice as wide, their examples' rows and columns."""
    lengths = batch["segments"].sum(1)
    width = 2 * batch["tokens"].shape[1]
    rows, columns = np.array([0, 1, 0]), np.array([0, 0, lengths[0]])
    out = [np.full((2, width), fill, np.int32) for fill in (pad, 0, 0, 0)]
    for i, (row, column, length) in enumerate(zip(rows, columns, lengths, strict=True)):
        here = slice(column, column + length)
        of = batch["tokens"][i, :length], batch["types"][i, :length], i + 1, np.arange(length)
        for array, value in zip(out, of, strict=True):
            array[row, here] = value
    return tuple(out), rows, columns


# One of each way to count positions: absolute, from the padding index, relative by buckets, rotary, by sines; shared
# blocks, and a decoder.
POSITIONS = ("bert", "roberta", "deberta, v2", "mpnet", "albert", "modernbert", "xlnet", "bart, scaled")


@pytest.mark.parametrize("name", cases.fast(DIFFERENT, *POSITIONS))
def test_packed_rows_give_what_padded_ones_give(name):
    packed_and_padded_agree(name, "pooler")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "pool"), [("deberta", "cls"), ("mpnet", "mean")])
def test_so_they_do_without_a_pooler(name, pool):
    packed_and_padded_agree(name, pool)


def packed_and_padded_agree(name, pool):
    config, batch = config_of(name), cases.batch(cases.CASES[name])
    params = dict(params_of(name))
    if pool != "pooler":
        params["encoder"] = {key: value for key, value in params["encoder"].items() if key != "pooler"}
    if pool == "mean":
        params["pooling"] = {"LayerNorm": {"scale": np.full(12, 1.1, np.float32), "bias": np.full(12, 0.1, np.float32)}}
    inputs, rows, columns = packed(batch, cases.pad_id(cases.CASES[name]))

    def loss(params, *inputs, serving=False):
        model = heads.SequenceClassifier(config, cases.N_LABELS, pool=pool, serving=serving)
        logits = model.apply({"params": params}, *inputs, deterministic=True)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"]).mean(), logits

    both = jax.jit(jax.grad(loss, has_aux=True))
    (one, padded), (other, together) = both(params, *inputs_of(batch)), both(params, *inputs, rows, columns)
    np.testing.assert_allclose(together, padded, rtol=0, atol=2e-6)
    largest = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(one))
    apart = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()) / largest, one, other)
    assert max(jax.tree.leaves(apart)) <= 2e-6, apart
    served = jax.jit(functools.partial(loss, serving=True))(params, *inputs, rows, columns)[1]
    np.testing.assert_allclose(served, padded, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", cases.fast(NAMES, "bert", "albert"))
def test_blocks_that_are_computed_again_give_the_same_gradient(name):
    """With dropout, whose masks are drawn once more."""
    config, inputs, params = config_of(name), inputs_of(cases.batch(cases.CASES[name])), params_of(name)

    def loss(params, remat):
        model = heads.SequenceClassifier(config, cases.N_LABELS, 0.3, remat=remat)
        rngs = {"dropout": jax.random.key(1)}
        return jnp.square(model.apply({"params": params}, *inputs, deterministic=False, rngs=rngs)).sum()

    programs = [str(jax.make_jaxpr(jax.grad(loss), static_argnums=1)(params, remat)) for remat in (False, True)]
    assert ["remat" in program or "checkpoint" in program for program in programs] == [False, True]
    one, other = (jax.jit(jax.grad(loss), static_argnums=1)(params, remat) for remat in (False, True))
    largest = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(one))
    apart = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()) / largest, one, other)
    assert max(jax.tree.leaves(apart)) <= 2e-6, apart


@pytest.mark.parametrize("name", cases.fast(NAMES, "bert"))
def test_blocks_in_a_loop_give_the_same_gradient(name):
    """With the masks that each has on its own; those that are not alike, or are used again, are not in a loop."""
    config, inputs = config_of(name), inputs_of(cases.batch(cases.CASES[name]))
    if not name.startswith(("bart", "modernbert")):  # which have a field for each block, and enough of them
        config = dataclasses.replace(config, num_hidden_layers=4)
    plain = heads.SequenceClassifier(config, cases.N_LABELS, 0.3)
    params = jax.jit(functools.partial(plain.init, deterministic=True))(jax.random.key(0), *inputs)["params"]

    def loss(params, scan):
        model = plain.clone(remat=scan, scan=scan)
        rngs = {"dropout": jax.random.key(1)}
        return jnp.square(model.apply({"params": params}, *inputs, deterministic=False, rngs=rngs)).sum()

    grad = jax.jit(jax.value_and_grad(loss), static_argnums=1)
    (one, first), (other, second) = grad(params, False), grad(params, True)
    assert float(one) == pytest.approx(float(other), rel=2e-6)
    largest = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(first))
    apart = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()) / largest, first, second)
    assert max(jax.tree.leaves(apart)) <= 2e-6, apart
    program = str(jax.make_jaxpr(loss, static_argnums=1)(params, True))
    alike = not name.startswith(("albert", "modernbert")) and name != "bart, scaled"
    assert ("scan[" in program) == alike
    assert plain.clone(scan=True).apply({}, method=lambda head: head.encoder.looped()) == alike


def test_barts_decoder_is_given_each_example_a_place_later():
    """Its own last token in front: texts that all end alike would not show another's."""
    segments = np.array([[1, 1, 1, 2, 2, 0], [1, 2, 2, 2, 0, 0]])
    found = bart.before(jnp.asarray(segments[:, :, None] == segments[:, None, :]))
    assert found.tolist() == [[2, 0, 1, 4, 3, 5], [0, 3, 1, 2, 5, 4]]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_is_loaded_bit_for_bit(name, tmp_path):
    config, params = config_of(name), params_of(name)
    hf.save_encoder(tmp_path / "a", params, cases.CASES[name])
    again = hf.load_config(tmp_path / "a")
    assert again == config
    encoder, report = hf.load_encoder(tmp_path / "a", again)
    assert report.has_pooler
    jax.tree.map(np.testing.assert_array_equal, encoder, params["encoder"])
    jax.tree.map(np.testing.assert_array_equal, hf.load_head(tmp_path / "a", again), params["head"])
    hf.save_encoder(tmp_path / "b", {"encoder": encoder, "head": params["head"]}, config.to_dict())
    files = [(tmp_path / one / "model.safetensors").read_bytes() for one in "ab"]
    assert files[0] == files[1]
    unused = {"transformer.mask_emb": (1, 1, 12)} if config.model_type == "xlnet" else {}  # of pre-training alone
    stored = {key: value.shape for key, value in load_file(tmp_path / "b" / "model.safetensors").items()}
    assert stored == in_files(config) | unused
    assert hf.load_config(tmp_path / "b") == config


@pytest.mark.parametrize("prefixed", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_files_of_bare_models_and_of_other_heads_are_read(name, prefixed, tmp_path):
    config = config_of(name)
    family = family_of(config)
    values = {entry.in_file: value for entry, value in _stored(config).items() if not entry.is_pooler}
    aside = {
        "roberta": "lm_head.dense.weight",
        "deberta": "mask_predictions.dense.weight",
        "modernbert": "decoder.bias",
        "xlnet": "transformer.mask_emb",
        "bart": "final_logits_bias",
    }
    other = aside.get(name.split(",")[0], "classifier.other.weight")
    if not prefixed:
        values = {key.removeprefix(family.prefix): value for key, value in values.items()}
    save_file(values | {other: np.zeros(3, np.float32)}, tmp_path / "model.safetensors")
    encoder, report = hf.load_encoder(tmp_path, config)
    assert (report.has_pooler, report.ignored) == (False, (other,))
    expected = {key: value for key, value in params_of(name)["encoder"].items() if key != "pooler"}
    jax.tree.map(np.testing.assert_array_equal, encoder, expected)


def _stored(config: EncoderConfig) -> dict[Any, np.ndarray]:
    values = cases.weights(in_files(config))
    return {entry: values[entry.in_file] for entry in hf.name_table(config)}


@pytest.mark.parametrize("name", [name for name in DIFFERENT if "," not in name])
def test_a_token_outside_the_table_is_nan(name):
    config, batch = config_of(name), cases.batch(cases.CASES[name])
    batch["tokens"][0, 2] = config.vocab_size
    apply = functools.partial(family_of(config).encoder(config).apply, deterministic=True)
    hidden = jax.jit(apply)({"params": params_of(name)["encoder"]}, *inputs_of(batch))
    assert np.isnan(hidden[0]).all() or np.isnan(hidden[0, 2]).all()
    assert not np.isnan(hidden[1]).any()


@pytest.mark.parametrize("name", cases.fast(DIFFERENT, "roberta", "deberta, v2", "modernbert"))
def test_it_learns_with_dropout_in_bfloat16(name):
    config, batch = config_of(name), cases.batch(cases.CASES[name])
    model = heads.SequenceClassifier(config, cases.N_LABELS, dropout=0.1, dtype=jnp.bfloat16)

    def loss(params):
        rngs = {"dropout": jax.random.key(0)}
        logits = model.apply({"params": params}, *inputs_of(batch), deterministic=False, rngs=rngs)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"]).mean()

    gradient = jax.jit(jax.grad(loss))(params_of(name))
    dead = {key for key, g in zip(paths.names(gradient), jax.tree.leaves(gradient), strict=True) if not jnp.any(g)}
    assert dead <= {"encoder/embeddings/token_type_embeddings/embedding"}
    assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(gradient))


def reading(name: str, pooling: str) -> dict[str, Any]:
    """Parameters of a classifier that reads so."""
    params = dict(params_of(name))
    params["encoder"] = {key: value for key, value in params["encoder"].items() if key != "pooler"}
    if pooling == "mean":
        random = np.random.default_rng(0)
        norm = {"scale": 1 + 0.2 * random.standard_normal(12), "bias": 0.2 * random.standard_normal(12)}
        params["pooling"] = {"LayerNorm": {key: value.astype(np.float32) for key, value in norm.items()}}
    return params


STOCK = [(name, pooling) for name in DIFFERENT for pooling in ("cls", "mean")]


@pytest.mark.parametrize(("name", "pooling"), STOCK)
def test_the_stock_classifier_has_our_logits_or_it_is_refused(name, pooling):
    config, batch = config_of(name), cases.batch(cases.CASES[name])
    family, params = family_of(config), reading(name, pooling)
    if family.mean == "own" if pooling == "cls" else not family.mean:
        with pytest.raises(InputError, match=f"classifier of {family.title} cannot read a text by pooling='{pooling}'"):
            hf_export.stock(params, config, pooling)
        return

    def logits(params, config, pool):
        model = heads.SequenceClassifier(config, cases.N_LABELS, pool=pool)
        return jax.jit(model.apply, static_argnames="deterministic")(
            {"params": params}, *inputs_of(batch), deterministic=True
        )

    stock, deeper = hf_export.stock(params, config, pooling)
    ours = logits(params, config, pooling)
    # What passes an activation by SHIFT is rounded there, by half a unit in the last place of h + SHIFT.
    shifts = np.any(stock["encoder"]["pooler"].get("bias", 0))
    rounding = 2.0**-18 * np.abs(params["head"]["kernel"]).sum(0).max() if shifts else 0.0
    np.testing.assert_allclose(logits(stock, deeper, "pooler"), ours, rtol=0, atol=1e-5 + rounding)
    assert np.ptp(ours, axis=0).min() > 0.1


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.title)
def test_blocks_and_embeddings_are_what_methods_take_them_for(family):
    of_type = [name for name in NAMES if cases.CASES[name]["model_type"] in family.classes]
    assert {cases.CASES[name]["model_type"] for name in of_type} == set(family.classes), "a row of the table is missing"
    for name in of_type:
        config, tree = config_of(name), params_of(name)
        depth = dict(zip(paths.names(tree), jax.tree.leaves(paths.depths(tree)), strict=True))
        n = paths.num_blocks(tree)
        assert n == (0 if family.one_block else config.num_hidden_layers)
        for key, value in depth.items():
            part = key.split("/")[1] if key.startswith("encoder/") else key.split("/")[0]
            if "embeddings" in part:
                assert value == 0, key
            elif part.startswith("layer_"):
                assert value == int(part.removeprefix("layer_")) + 1, key
            else:
                assert value == n + 1, key


def test_messages_name_the_next_step(tmp_path):
    def message(fields):
        (tmp_path / "config.json").write_text(json.dumps(fields))
        with pytest.raises(InputError) as error:
            hf.load_config(tmp_path)
        return str(error.value)

    where = Path(tmp_path / "config.json")
    assert message({"model_type": "t5"}).startswith(
        f"{where}: model_type='t5' is not supported, allowed: bert, roberta"
    )
    assert "merge" in message({"peft_type": "LORA"})
    assert "sentence-transformers" in message({"__version__": {"sentence_transformers": "2.0"}})
    assert 'write "model_type": "bert"' in message({"hidden_size": 3})
    wrong = cases.CASES["modernbert"] | {"layer_types": ["full_attention"]}
    assert "it must be 4 of full_attention, sliding_attention" in message(wrong)
    assert "rope_type 'default'" in message(cases.CASES["modernbert"] | {"rope_scaling": {"rope_type": "yarn"}})
    wrong = cases.CASES["bart"] | {"decoder_ffn_dim": 24}
    assert "decoder_ffn_dim=24 is not supported, it must be encoder_ffn_dim=20" in message(wrong)
    wrong = cases.CASES["bart"] | {"decoder_start_token_id": 0}
    assert "decoder_start_token_id=0 is not supported, it must be eos_token_id=2" in message(wrong)
    assert "summary_type='mean' is not supported" in message(cases.CASES["xlnet"] | {"summary_type": "mean"})
    assert "pos_att_type='p2p' is not supported" in message(cases.CASES["deberta"] | {"pos_att_type": "p2p"})
    assert "dim=11 is no multiple of n_heads=3" in message(cases.CASES["distilbert"] | {"dim": 11})
