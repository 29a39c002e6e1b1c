"""Weights of other programs: their config.json, their names, their tensors."""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stablefit.errors import InputError
from stablefit.models import hf
from stablefit.models.families import FAMILIES, read_config
from tests.fuzz import targets
from tests.models.family_cases import CASES
from tests.properties.profile import ALL, ANY_BYTES, STARTS, VALUES, objects

TYPES = [model_type for family in FAMILIES for model_type in family.classes]
OWN = [
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "pad_token_id",
    "layer_types",
    "global_attn_every_n_layers",
    "rope_parameters",
    "rope_scaling",
    "global_rope_theta",
    "local_attention",
    "pos_att_type",
    "norm_rel_ebd",
    "conv_kernel_size",
    "embedding_size",
    "num_hidden_groups",
    "position_embedding_type",
    "is_decoder",
    "hidden_act",
    "layer_norm_eps",
    "dim",
    "n_heads",
    "n_layers",
]
SMALL = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}


@ALL
@given(ANY_BYTES)
def test_any_bytes(content):
    targets.encoder_config(content)


@ALL
@given(st.sampled_from(TYPES), objects(*OWN, most=3), st.booleans())
@example("modernbert", {"global_attn_every_n_layers": 0}, True)
@example("modernbert", {"global_attn_every_n_layers": "3"}, True)
@example("modernbert", {"layer_types": [["full_attention"], {}]}, True)
@example("modernbert", {"rope_parameters": [1]}, True)
@example("modernbert", {"rope_parameters": {"full_attention": 5}}, True)
@example("modernbert", {"global_rope_theta": 10**400}, True)
@example("modernbert", {"global_rope_theta": float("nan")}, True)
@example("deberta-v2", {"pos_att_type": 5}, True)
def test_any_fields(model_type, fields, small):
    config = {**(SMALL if small else {}), **fields, "model_type": model_type}
    targets.encoder_config(json.dumps(config).encode())


@ALL
@given(st.sampled_from(sorted(CASES)), st.integers(1, 12), st.integers(0, 99), st.sampled_from([0, 2, 3]))
def test_weights_are_read_as_they_were_written(case, vocab_size, seed, n_labels):
    config = read_config({**CASES[case], "vocab_size": vocab_size})
    rng = np.random.default_rng(seed)
    encoder: dict = {}
    for entry in hf.name_table(config):
        hf._put(encoder, entry.ours, rng.normal(size=entry.shape).astype(np.float32))
    head = (
        {"kernel": rng.normal(size=(config.hidden_size, n_labels)), "bias": rng.normal(size=n_labels)}
        if n_labels
        else None
    )
    params = {"encoder": encoder} | ({"head": head} if head else {})
    folder = targets.PLACE / "written"
    hf.save_encoder(folder, params, config.to_dict())
    assert hf.load_config(folder) == config
    found, report = hf.load_encoder(folder, config)
    assert report.has_pooler == any(entry.is_pooler for entry in hf.name_table(config))
    same(encoder, found)
    if head:
        same({name: np.asarray(leaf, np.float32) for name, leaf in head.items()}, hf.load_head(folder, config))


def same(one, other):
    """Two trees of arrays, of the same names and bits."""
    a, b = dict(hf._leaves(one)), dict(hf._leaves(other))
    assert a.keys() == b.keys()
    for name, leaf in a.items():
        assert leaf.dtype == b[name].dtype
        assert leaf.tobytes() == b[name].tobytes()
        assert leaf.shape == b[name].shape


LEAF = st.sampled_from([np.float32, np.float16, np.int32, np.uint8, bool]).flatmap(
    lambda kind: st.lists(st.integers(0, 3), max_size=3).map(lambda shape: np.ones(shape, kind))
)
TREES = st.recursive(
    st.dictionaries(st.text("ab0_.é", min_size=1, max_size=3), LEAF, min_size=1, max_size=3),
    lambda inner: st.dictionaries(st.text("ab0_.é", min_size=1, max_size=3), inner, min_size=1, max_size=2),
    max_leaves=4,
)


@ALL
@given(TREES)
def test_a_tree_is_read_as_it_was_written(tree):
    file = targets.PLACE / "tree.safetensors"
    hf.save_tree(file, tree)
    same(tree, hf.load_tree(file))


ENTRIES = st.dictionaries(
    st.sampled_from([entry.in_file for entry in hf.name_table(targets._SIZES)][:4])
    | st.sampled_from(["a", "a/b", "classifier.weight", "classifier.bias", "bert.x", "", "/", "\ud800", "cls.a\n"]),
    st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(
                ["F32", "F16", "BF16", "F64", "I8", "BOOL", "F8_E4M3", "F8_E5M2", "U64", "C64", "F4", "?"]
            ),
            "shape": st.lists(st.integers(0, 5), max_size=3),
        }
    ),
    max_size=4,
)
BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "U64": 8, "C64": 8}


@ALL
@given(ENTRIES)
@example({"a": {"dtype": "F32", "shape": [1]}, "a/b": {"dtype": "F32", "shape": [1]}})
@example({"a": {"dtype": "F8_E4M3", "shape": [1]}})
@example({"classifier.weight": {"dtype": "F32", "shape": []}, "classifier.bias": {"dtype": "F32", "shape": []}})
def test_any_tensors(entries):
    header, at = {}, 0
    for name, entry in entries.items():
        n = int(np.prod(entry["shape"])) * BYTES.get(entry["dtype"], 1)
        header[name] = {**entry, "data_offsets": [at, at + n]}
        at += n
    content = json.dumps(header).encode()
    targets.weights(b"0" + len(content).to_bytes(8, "little") + content + bytes(at))


@ALL
@given(STARTS, ANY_BYTES | VALUES.map(lambda value: json.dumps({"weight_map": value}).encode()))
@example(b"2", json.dumps({"weight_map": {"a": "\ud800"}}).encode())
@example(b"2", json.dumps({"weight_map": {"a": "b" * 5000}}).encode())
@example(b"2", json.dumps({"weight_map": {"a": "b\nc"}}).encode())
def test_any_weights(start, content):
    targets.weights(start + content)


def test_a_name_that_is_an_array_and_holds_others_is_refused():
    content = json.dumps(
        {name: {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i, name in enumerate(["a/b", "a/b/c"])}
    ).encode()
    file = targets.written("both.safetensors", len(content).to_bytes(8, "little") + content + bytes(2))
    with pytest.raises(InputError, match="a/b is an array and holds others"):
        hf.load_tree(file)
