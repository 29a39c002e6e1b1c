"""DistilBERT: BERT's blocks, half as many, without token types.

Sanh et al., "DistilBERT, a distilled version of BERT", 2019. The classifier reads a dense layer and ReLU of the first
hidden state; that layer always starts anew.
"""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import flax.linen as nn

from stablefit.models.blocks import Layer
from stablefit.models.config import ACTIVATIONS, EncoderConfig, one_of, whole
from stablefit.models.encoder import Encoder
from stablefit.models.families import bert
from stablefit.models.families.family import Family, Row, dense, norm


@dataclasses.dataclass(frozen=True)
class DistilBertConfig(EncoderConfig):
    """Sizes have names of their own; positions are a table, whether they started as sines or not."""

    vocab_size: int = whole(30522)
    hidden_size: int = whole(768)
    num_hidden_layers: int = whole(6, most=1000)
    num_attention_heads: int = whole(12)
    intermediate_size: int = whole(3072)
    type_vocab_size: int = dataclasses.field(default=0, init=False)
    layer_norm_eps: float = dataclasses.field(default=1e-12, init=False)
    hidden_act: str = one_of("gelu", *ACTIVATIONS)
    model_type: str = "distilbert"

    FIXED: ClassVar[Mapping[str, object]] = {}
    THEIRS: ClassVar[Mapping[str, str]] = {
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
    }


class DistilBertEncoder(Encoder):
    """`pool` has ReLU behind; attention has no dropout on its output."""

    def make_layer(self, index: int) -> nn.Module:
        return Layer(self.config, self.dropout, self.on_weights, self.dtype, drops_attention=False)

    @property
    def pooler_activation(self) -> str:
        return "relu"


def _block(config: EncoderConfig, index: int) -> list[Row]:
    ours, theirs = "layer_{i}", "transformer.layer.{i}"
    return [
        *dense(f"{ours}/attention/query", f"{theirs}.attention.q_lin", "DD"),
        *dense(f"{ours}/attention/key", f"{theirs}.attention.k_lin", "DD"),
        *dense(f"{ours}/attention/value", f"{theirs}.attention.v_lin", "DD"),
        *dense(f"{ours}/attention/output", f"{theirs}.attention.out_lin", "DD"),
        *norm(f"{ours}/attention/LayerNorm", f"{theirs}.sa_layer_norm"),
        *dense(f"{ours}/intermediate", f"{theirs}.ffn.lin1", "DF"),
        *dense(f"{ours}/output", f"{theirs}.ffn.lin2", "FD"),
        *norm(f"{ours}/LayerNorm", f"{theirs}.output_layer_norm"),
    ]


FAMILY = Family(
    title="DistilBERT",
    config=DistilBertConfig,
    encoder=DistilBertEncoder,
    classes={"distilbert": "DistilBert"},
    prefix="distilbert.",
    embeddings=bert.embeddings,
    block=_block,
    pooler=lambda config: dense("pooler", "pre_classifier", "DD"),
    pooler_outside=True,
    aside=r"(?:classifier|qa_outputs|vocab_\w+)\..*|embeddings\.position_ids",
)
