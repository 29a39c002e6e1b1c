"""ALBERT: one block of BERT's that the hidden states go through again and again, behind narrow embeddings.

Lan et al., "ALBERT: A Lite BERT for Self-supervised Learning of Language Representations", 2020. With
`num_hidden_groups` above 1 the passes share that many blocks. A block that is all depths at once cannot start anew at
the top alone, and has no learning rate of its depth.
"""

import dataclasses
from typing import Any

import flax.linen as nn

from stablefit.models.blocks import Embeddings, Layer
from stablefit.models.config import ACTIVATIONS, EncoderConfig, one_of, whole
from stablefit.models.encoder import Block, Encoder
from stablefit.models.families import bert
from stablefit.models.families.family import Family, Row, dense, norm


@dataclasses.dataclass(frozen=True)
class AlbertConfig(EncoderConfig):
    """`num_hidden_layers` passes through `num_hidden_groups` blocks."""

    vocab_size: int = whole(30000)
    hidden_size: int = whole(4096)
    num_hidden_layers: int = whole(12, most=1000)
    num_attention_heads: int = whole(64)
    intermediate_size: int = whole(16384)
    hidden_act: str = one_of("gelu_new", *ACTIVATIONS)
    embedding_size: int = whole(128)
    num_hidden_groups: int = whole(1, most=1000)
    inner_group_num: int = one_of(1, 1)
    model_type: str = "albert"

    @property
    def token_size(self) -> int:
        return self.embedding_size


class AlbertEncoder(Encoder):
    """The blocks are called groups, since they are not what `layer` means to methods."""

    def setup(self) -> None:
        c = self.config
        assert isinstance(c, AlbertConfig)
        self.embeddings = self.make_embeddings()
        self.group = [self.make_layer(i) for i in range(c.num_hidden_groups)]
        if self.with_pooler:
            self.pooler = self.make_pooler()

    def make_embeddings(self) -> nn.Module:
        return Embeddings(self.config, self.dropout, self.checked, self.dtype, project="behind")

    def make_layer(self, index: int) -> nn.Module:
        return Layer(self.config, self.dropout, self.on_weights, self.dtype, drops_output=False)

    def blocks(self) -> list[Block]:
        c = self.config
        assert isinstance(c, AlbertConfig)
        passes = range(c.num_hidden_layers)
        return [self.group[int(i / (c.num_hidden_layers / c.num_hidden_groups))] for i in passes]


def _embeddings(config: EncoderConfig) -> list[Row]:
    return [*bert.embeddings(config), *dense("embeddings/project", "encoder.embedding_hidden_mapping_in", "ED")]


def _block(config: EncoderConfig, index: int) -> list[Row]:
    ours, theirs = "group_{i}", "encoder.albert_layer_groups.{i}.albert_layers.0"
    return [
        *dense(f"{ours}/attention/query", f"{theirs}.attention.query", "DD"),
        *dense(f"{ours}/attention/key", f"{theirs}.attention.key", "DD"),
        *dense(f"{ours}/attention/value", f"{theirs}.attention.value", "DD"),
        *dense(f"{ours}/attention/output", f"{theirs}.attention.dense", "DD"),
        *norm(f"{ours}/attention/LayerNorm", f"{theirs}.attention.LayerNorm"),
        *dense(f"{ours}/intermediate", f"{theirs}.ffn", "DF"),
        *dense(f"{ours}/output", f"{theirs}.ffn_output", "FD"),
        *norm(f"{ours}/LayerNorm", f"{theirs}.full_layer_layer_norm"),
    ]


def _groups(config: Any) -> int:
    return config.num_hidden_groups


FAMILY = Family(
    title="ALBERT",
    config=AlbertConfig,
    encoder=AlbertEncoder,
    classes={"albert": "Albert"},
    prefix="albert.",
    embeddings=_embeddings,
    block=_block,
    pooler=lambda config: dense("pooler", "pooler", "DD"),
    aside=r"(?:classifier|qa_outputs|predictions|sop_classifier)\..*|embeddings\.position_ids",
    blocks=_groups,
    mean="",
    one_block="ALBERT's passes share one block, so there are no top blocks and no depths",
)
