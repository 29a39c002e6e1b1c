"""A stock BERT that computes what our pooling does, so that any program that knows BERT runs our models.

Hugging Face's `BertForSequenceClassification` reads one vector of a text in one way, classifier(tanh(W h_cls + b)).
Our `pooling` "cls" has no pooler, and "mean" reads LayerNorm(mean of the hidden states). Both can be written as weights
of the stock network, to the rounding of float32.

No pooler. W = DELTA I, b = 0, and the classifier's kernel is divided by DELTA. DELTA is a power of two, so neither
product is rounded, and so small that tanh(z) = z in float32: z^2 / 3 is below half a unit in the last place for
|h_cls| < 2^8.

The mean. One further block:
    query and key 0         all scores are 0, so a token attends alike to all tokens that are no padding
    value I                 what comes out of attention is the mean of their hidden states
    attention output        LAMBDA I, so that the residual sum h_cls + LAMBDA mean is LAMBDA mean, rounded: LAMBDA is a
                            power of two above 2^24 with room for elements of the mean that are near 0
    attention's LayerNorm   scale 1, bias 0: LayerNorm(LAMBDA mean) = LayerNorm(mean)
    feed-forward            0, which leaves the residual
    last LayerNorm          scale and bias of our pooling; LayerNorm(LayerNorm(x)) = LayerNorm(x)

Ours divides by sqrt(v + eps), with v the variance of the mean; the block divides by sqrt(v + eps / LAMBDA^2), and then
by sqrt(1 + eps). For BERT's eps of 1e-12 the difference is below rounding; a model with a large one can differ, so
`stablefit export` compares the two on texts. bfloat16 has room for LAMBDA, float16 does not.

`tests/models/test_export.py` compares with PyTorch: what is left is the rounding of float32 in the blocks below.
"""

import dataclasses
from typing import Any, Literal

import numpy as np

from stablefit.models.encoder import EncoderConfig
from stablefit.paths import Tree

LAMBDA = 2.0**30
DELTA = 2.0**-20


def stock(
    params: Tree, config: EncoderConfig, pooling: Literal["pooler", "cls", "mean"]
) -> tuple[dict[str, Any], EncoderConfig]:
    """The weights of a stock `BertForSequenceClassification` with the logits of ours.

    Args:
        params: {"encoder", "head"}, and "pooling" for the mean; float32.
        config: the encoder's sizes.
        pooling: how ours reads a text.

    Returns:
        {"encoder", "head"} with a pooler, and its sizes: one block more for the mean.
    """
    encoder, head = dict(params["encoder"]), dict(params["head"])
    if pooling == "pooler":
        return {"encoder": encoder, "head": head}, config
    if pooling == "mean":
        encoder[f"layer_{config.num_hidden_layers}"] = _averaging_block(params["pooling"]["LayerNorm"], config)
        config = dataclasses.replace(config, num_hidden_layers=config.num_hidden_layers + 1)
    size = config.hidden_size
    encoder["pooler"] = {"kernel": _diagonal(DELTA, size), "bias": np.zeros(size, np.float32)}
    head["kernel"] = np.asarray(head["kernel"], np.float32) / np.float32(DELTA)
    return {"encoder": encoder, "head": head}, config


def _averaging_block(norm: Tree, config: EncoderConfig) -> dict[str, Any]:
    """A block whose hidden state of every token is the LayerNorm of the mean over the tokens."""
    size, wide = config.hidden_size, config.intermediate_size
    nothing = {"kernel": np.zeros((size, size), np.float32), "bias": np.zeros(size, np.float32)}
    attention = {
        "query": dict(nothing),
        "key": dict(nothing),
        "value": {**nothing, "kernel": _diagonal(1.0, size)},
        "output": {**nothing, "kernel": _diagonal(LAMBDA, size)},
        "LayerNorm": {"scale": np.ones(size, np.float32), "bias": np.zeros(size, np.float32)},
    }
    return {
        "attention": attention,
        "intermediate": {"kernel": np.zeros((size, wide), np.float32), "bias": np.zeros(wide, np.float32)},
        "output": {"kernel": np.zeros((wide, size), np.float32), "bias": np.zeros(size, np.float32)},
        "LayerNorm": {name: np.asarray(norm[name], np.float32) for name in ("scale", "bias")},
    }


def _diagonal(value: float, size: int) -> np.ndarray:
    return np.eye(size, dtype=np.float32) * np.float32(value)
