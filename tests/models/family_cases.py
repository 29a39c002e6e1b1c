"""A small model of every family, with odd sizes: a row a case, and all tests of families run over this table."""

import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from tests import tiny

N_LABELS = 3

_SIZES = {"vocab_size": 40, "max_position_embeddings": 20, "initializer_range": 0.02}
_ONE = {"type_vocab_size": 1, "pad_token_id": 1}
_BERTS = _SIZES | {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20}
_V3 = _BERTS | {
    "model_type": "deberta-v2",
    "type_vocab_size": 0,
    "relative_attention": True,
    "position_buckets": 4,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "layer_norm_eps": 1e-7,
    "max_relative_positions": -1,
    "position_biased_input": False,
}
_MODERN = _BERTS | {
    "model_type": "modernbert",
    "num_hidden_layers": 4,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "cls_token_id": 2,
    "sep_token_id": 3,
    "local_attention": 6,
}

_V1 = {name: value for name, value in _V3.items() if name not in ("position_buckets", "norm_rel_ebd", "share_att_key")}
_XLNET = {"model_type": "xlnet", "vocab_size": 40, "d_model": 12, "n_layer": 2, "n_head": 3, "d_inner": 20}
_BART = _SIZES | {
    "model_type": "bart",
    "d_model": 12,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 20,
    "decoder_ffn_dim": 20,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": None,
}
del _BART["initializer_range"]

# What config.json says of each.
CASES: dict[str, dict[str, Any]] = {
    "bert": _BERTS | {"model_type": "bert", "type_vocab_size": 2, "layer_norm_eps": 1e-12},
    "bert, one type": _BERTS | {"model_type": "bert", "type_vocab_size": 1, "hidden_act": "gelu_pytorch_tanh"},
    "roberta": _BERTS | {"model_type": "roberta", "layer_norm_eps": 1e-5} | _ONE,
    "xlm-roberta": _BERTS | {"model_type": "xlm-roberta", "hidden_act": "relu"} | _ONE,
    "camembert": _BERTS | {"model_type": "camembert"} | _ONE,
    "deberta": _V3,
    "deberta, v2": _V3
    | {"conv_kernel_size": 3, "conv_act": "gelu", "embedding_size": 8, "type_vocab_size": 2, "share_att_key": False}
    | {"position_biased_input": True, "position_buckets": -1, "norm_rel_ebd": "none", "pooler_hidden_act": "tanh"},
    "deberta, one kind": _V3 | {"pos_att_type": ["c2p"], "share_att_key": False, "max_relative_positions": 5},
    "electra": _BERTS | {"model_type": "electra", "embedding_size": 8, "type_vocab_size": 2},
    "electra, wide": _BERTS | {"model_type": "electra", "embedding_size": 12, "type_vocab_size": 2},
    "distilbert": _SIZES
    | {"model_type": "distilbert", "dim": 12, "n_layers": 2, "n_heads": 3, "hidden_dim": 20, "activation": "gelu"},
    "mpnet": _BERTS | {"model_type": "mpnet", "relative_attention_num_buckets": 32, "layer_norm_eps": 1e-5},
    "albert": _BERTS | {"model_type": "albert", "embedding_size": 8, "num_hidden_layers": 3, "type_vocab_size": 2},
    "albert, groups": _BERTS
    | {
        "model_type": "albert",
        "embedding_size": 8,
        "num_hidden_layers": 4,
        "num_hidden_groups": 2,
        "hidden_act": "gelu",
    },
    "modernbert": _MODERN | {"global_attn_every_n_layers": 3},
    "modernbert, biases": _MODERN
    | {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True}
    | {"classifier_pooling": "mean", "global_rope_theta": 1000.0, "local_rope_theta": 50.0},
    "deberta-v1": _V1 | {"model_type": "deberta", "position_biased_input": True, "type_vocab_size": 2},
    "deberta-v1, one kind": _V1 | {"model_type": "deberta", "pos_att_type": ["p2c"], "max_relative_positions": 5},
    "xlnet": _XLNET,
    "xlnet, clamped": _XLNET | {"clamp_len": 3, "ff_activation": "relu", "n_layer": 1},
    "bart": _BART,
    "bart, scaled": _BART | {"encoder_layers": 1, "decoder_layers": 3, "scale_embedding": True, "init_std": 0.03},
}


def pad_id(config_json: dict[str, Any]) -> int:
    """The padding index, whose default is not 0 in some."""
    return config_json.get("pad_token_id", {"mpnet": 1, "bart": 1, "xlnet": 5}.get(config_json["model_type"], 0))


def for_the_tiny_vocabulary(name: str) -> dict[str, Any]:
    """A case with as many word pieces, and the special ones, as the tokenizer of `tiny.write_model` has."""
    sizes = {"vocab_size": len(tiny.VOCABULARY), "max_position_embeddings": 40, "pad_token_id": 0}
    ends = {"eos_token_id": 3, "decoder_start_token_id": 3} if name == "bart" else {}
    return CASES[name] | sizes | ends


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """An array of each name and shape as files have them; a function of the name alone."""
    found = {}
    for name, shape in shapes.items():
        random = np.random.RandomState(zlib.crc32(name.encode()))
        is_scale = "norm" in name.lower() and name.endswith("weight")
        found[name] = (is_scale + (0.3 if len(shape) > 1 else 0.1) * random.standard_normal(shape)).astype(np.float32)
    return found


def batch(config_json: dict[str, Any], lengths: tuple[int, ...] = (14, 9, 3), width: int = 14) -> dict[str, np.ndarray]:
    """Rows of random tokens with padding; the second half of each is a second text where the model has such a type."""
    random = np.random.RandomState(3)
    column, length = np.arange(width)[None, :], np.array(lengths)[:, None]
    mask = (column < length).astype(np.int32)
    default = 0 if config_json["model_type"] in ("distilbert", "mpnet", "modernbert", "bart") else 2
    types = ((column >= length // 2) * mask) if config_json.get("type_vocab_size", default) > 1 else 0 * mask
    tokens = np.where(mask == 1, random.randint(4, config_json["vocab_size"], mask.shape), pad_id(config_json))
    if "decoder_start_token_id" in config_json:  # it then reads the last token of this id
        tokens = np.where(column == length - 1, config_json["eos_token_id"], tokens)
    return {
        "tokens": tokens.astype(np.int32),
        "types": types.astype(np.int32),
        "segments": mask,
        "labels": random.randint(0, N_LABELS, len(lengths)).astype(np.int32),
    }


def turned(rows: np.ndarray, segments: np.ndarray, back: bool = False) -> np.ndarray:
    """Rows with their padding on the left in place of the right, or back again."""
    shifts = (segments.shape[1] - segments.sum(1)) * (-1 if back else 1)
    return np.stack([np.roll(row, shift, axis=0) for row, shift in zip(rows, shifts, strict=True)])


def fast(names: Iterable[str], *few: str) -> list[Any]:
    """All the cases for a test, slow but for these few."""
    return [pytest.param(name, marks=[] if name in few else [pytest.mark.slow]) for name in names]
