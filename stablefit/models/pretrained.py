"""A pre-trained encoder for a program of one's own: the module, its parameters and its sizes, and the way back."""

from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp

from stablefit.errors import InputError
from stablefit.models import hf, sources
from stablefit.models.config import EncoderConfig
from stablefit.models.encoder import Encoder
from stablefit.models.families import family_of
from stablefit.models.matmul import DType
from stablefit.paths import Tree


class Pretrained(NamedTuple):
    """What `load_pretrained` gives.

    Args:
        encoder: a Flax linen module; `encoder.apply({"params": params}, tokens, types, segments, deterministic=True)`
            is the hidden states [B, T, D] of tokens, token types and segments [B, T]: 0 on padding, 1 on the text.
        params: NumPy float32, without the level `encoder`; with `pooler` if the weights have one.
        config: the sizes.
    """

    encoder: Encoder
    params: Tree
    config: EncoderConfig


def load_pretrained(model: str | Path, *, dropout: float = 0.0, dtype: DType = jnp.float32) -> Pretrained:
    """An encoder of any family in docs/encoders.md.

    Args:
        model: a directory, a hub id, or package:NAME of an installed package, as config.model.
        dropout: rate of all dropout, where `deterministic=False` and `rngs={"dropout": key}` are given.
        dtype: what the inputs of matrix products are rounded to.

    Raises:
        InputError: there is no such model, or its files cannot be used.
    """
    directory = sources.resolve(str(model))
    config = hf.load_config(directory)
    params, report = hf.load_encoder(directory, config)
    encoder = family_of(config).encoder(config, dropout, dtype, with_pooler=report.has_pooler)
    return Pretrained(encoder, params, config)


def save_pretrained(directory: str | Path, params: Tree, config: EncoderConfig) -> None:
    """Writes config.json and model.safetensors, which transformers' AutoModel opens and `load_pretrained` too.

    Args:
        directory: is made; it may hold other files, such as a tokenizer's.
        params: as `load_pretrained` gave them, trained further or not.
        config: likewise.

    Raises:
        InputError: the directory holds a model, or a parameter is missing or of another name.
    """
    directory = Path(directory)
    for name in (sources.CONFIG, sources.WEIGHTS):
        if (directory / name).exists():
            raise InputError(f"{directory / name} is there already; give another directory, or move it away")
    hf.save_encoder(directory, {"encoder": params}, config.to_dict())
