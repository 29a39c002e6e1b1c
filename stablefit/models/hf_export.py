"""A stock model that computes what our pooling does, so that any program that knows its family runs our models.

Hugging Face's `...ForSequenceClassification` reads one vector of a text in one way, of BERT
classifier(tanh(W h_cls + b)). Our `pooling` "cls" has no pooler, and "mean" reads LayerNorm(mean of the hidden states).
Both can be written as weights of the stock network, to the rounding of float32.

No pooler. With tanh W = DELTA I, b = 0, and the classifier's kernel is divided by DELTA. DELTA is a power of two, so
neither product is rounded, and so small that tanh(z) = z in float32: z^2 / 3 is below half a unit in the last place for
|h_cls| < 2^8. With gelu or ReLU W = I, b = SHIFT, and SHIFT times the sum of the classifier's rows is taken from its
bias: both are the identity for arguments above 6, and h + SHIFT is rounded at 4e-6.

The mean. One further block:
    query and key 0         all scores are 0, so a token attends alike to all tokens that are no padding
    value I                 what comes out of attention is the mean of their hidden states
    attention output        LAMBDA I, so that the residual sum h_cls + LAMBDA mean is LAMBDA mean, rounded: LAMBDA is a
                            power of two above 2^24 with room for elements of the mean that are near 0
    attention's LayerNorm   scale 1, bias 0: LayerNorm(LAMBDA mean) = LayerNorm(mean)
    feed-forward            0, which leaves the residual
    last LayerNorm          scale and bias of our pooling, the scale times sqrt(1 + eps), which LayerNorm divides by

The block adds eps to the variance of LAMBDA mean, which is nothing, and our pooling 1e-12 to that of the mean.
bfloat16 has room for LAMBDA, float16 does not. Where positions are added to the scores of all blocks alike, as in
MPNet, or blocks are shared, as in ALBERT, there is no such block. ModernBERT's classifier can read a mean by itself:
its activation is passed by SHIFT, and the normalisation behind it is ours.

`tests/models/test_export.py` compares with PyTorch: what is left is the rounding of float32 in the blocks below.
"""

import dataclasses
import math
from typing import Any, Literal

import numpy as np

from stablefit.errors import InputError
from stablefit.models.config import EncoderConfig
from stablefit.models.families import family_of
from stablefit.paths import Tree

LAMBDA = 2.0**30
DELTA = 2.0**-20
SHIFT = 2.0**6


def stock(
    params: Tree, config: EncoderConfig, pooling: Literal["pooler", "cls", "mean"]
) -> tuple[dict[str, Any], EncoderConfig]:
    """The weights of the stock sequence classifier with the logits of ours.

    Args:
        params: {"encoder", "head"}, and "pooling" for the mean; float32.
        config: the encoder's sizes.
        pooling: how ours reads a text.

    Returns:
        {"encoder", "head"} with a pooler, and its sizes: one block more for the mean.

    Raises:
        InputError: the family's stock classifier cannot read a text so.
    """
    encoder, head = dict(params["encoder"]), dict(params["head"])
    if pooling == "pooler":
        return {"encoder": encoder, "head": head}, config
    family = family_of(config)
    if pooling == "mean" and family.mean == "own":
        return _reading_the_mean(encoder, head, params["pooling"]["LayerNorm"], config)
    if said := refusal(config, pooling):
        raise InputError(f"{said}, so this model cannot be exported; train with pooling='pooler' (stablefit run)")
    if pooling == "mean":
        block = _averaging_block(params["pooling"]["LayerNorm"], encoder["layer_0"]["attention"], config)
        encoder[f"layer_{config.num_hidden_layers}"] = block
        config = dataclasses.replace(config, num_hidden_layers=config.num_hidden_layers + 1)
    size = config.hidden_size
    if family.encoder(config).pooler_activation == "tanh":
        encoder["pooler"] = {"kernel": _diagonal(DELTA, size), "bias": np.zeros(size, np.float32)}
        head["kernel"] = np.asarray(head["kernel"], np.float32) / np.float32(DELTA)
    else:
        encoder["pooler"] = {"kernel": _diagonal(1.0, size), "bias": np.full(size, SHIFT, np.float32)}
        head["bias"] = _less_shift(head)
    return {"encoder": encoder, "head": head}, config


def refusal(config: EncoderConfig, pooling: str) -> str:
    """Why a classifier that reads so cannot be a stock one; "" if it can."""
    family = family_of(config)
    if (pooling == "mean" and family.mean) or pooling == "pooler" or (pooling == "cls" and family.mean != "own"):
        return ""
    return f"transformers' classifier of {family.title} cannot read a text by pooling={pooling!r}"


def _less_shift(head: Tree) -> np.ndarray:
    """The classifier's bias without what SHIFT adds to its logits."""
    shifted = SHIFT * np.asarray(head["kernel"], np.float64).sum(0)
    return (np.asarray(head["bias"], np.float64) - shifted).astype(np.float32)


def _reading_the_mean(
    encoder: dict[str, Any], head: dict[str, Any], ours: Tree, config: Any
) -> tuple[dict[str, Any], EncoderConfig]:
    """ModernBERT's own: norm(relu(LAMBDA (mean + SHIFT))) is norm(mean), whose scale and bias go into the head."""
    kernel, bias = (np.asarray(head[name], np.float64) for name in ("kernel", "bias"))
    scale, offset = (np.asarray(ours[name], np.float64) for name in ("scale", "bias"))
    size = config.hidden_size
    norm = {"scale": np.ones(size, np.float32)} | ({"bias": np.zeros(size, np.float32)} if config.norm_bias else {})
    into = {"kernel": _diagonal(LAMBDA, size), "bias": np.full(size, SHIFT * LAMBDA, np.float32)}
    encoder["pooler"] = {"dense": into, "norm": norm}
    head = {"kernel": (scale[:, None] * kernel).astype(np.float32), "bias": (bias + offset @ kernel).astype(np.float32)}
    return {"encoder": encoder, "head": head}, dataclasses.replace(
        config, classifier_pooling="mean", classifier_bias=True, classifier_activation="relu"
    )


def _averaging_block(norm: Tree, like: Tree, config: EncoderConfig) -> dict[str, Any]:
    """A block whose hidden state of every token is the LayerNorm of the mean over the tokens.

    Args:
        norm: scale and bias of our pooling.
        like: the attention of another block; what this one has beside value and output is 0.
        config: the encoder's sizes.
    """
    size, wide = config.hidden_size, config.intermediate_size
    nothing = {"kernel": np.zeros((size, size), np.float32), "bias": np.zeros(size, np.float32)}
    attention = {name: dict(nothing) for name in like if name != "LayerNorm"} | {
        "value": {**nothing, "kernel": _diagonal(1.0, size)},
        "output": {**nothing, "kernel": _diagonal(LAMBDA, size)},
        "LayerNorm": {"scale": np.ones(size, np.float32), "bias": np.zeros(size, np.float32)},
    }
    scale, bias = (np.asarray(norm[name], np.float32) for name in ("scale", "bias"))
    return {
        "attention": attention,
        "intermediate": {"kernel": np.zeros((size, wide), np.float32), "bias": np.zeros(wide, np.float32)},
        "output": {"kernel": np.zeros((wide, size), np.float32), "bias": np.zeros(size, np.float32)},
        "LayerNorm": {"scale": scale * np.float32(math.sqrt(1.0 + config.layer_norm_eps)), "bias": bias},
    }


def _diagonal(value: float, size: int) -> np.ndarray:
    return np.eye(size, dtype=np.float32) * np.float32(value)
