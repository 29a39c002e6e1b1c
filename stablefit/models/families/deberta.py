"""DeBERTa v2 and v3: attention from content to position and from position to content, of distances in log buckets.

He et al., "DeBERTa: Decoding-enhanced BERT with Disentangled Attention", 2021, and "DeBERTaV3", 2023. With R_d the
row of the table of distances that d = q - s falls into (normalised), the score of a query q and a source s is

    (Q_q . K_s + Q_q . W_k R_{q-s} + K_s . W_q R_{q-s}) / sqrt(3 K)

Distances are those of columns: tokens of an example stand side by side, packed or not. The classifier reads a dense
layer and gelu of the first hidden state; that layer always starts anew.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from stablefit.models.blocks import (
    Attention,
    Context,
    Embeddings,
    Layer,
    Project,
    Seen,
    Table,
    by_place,
    distance_scores,
    from_columns,
    layer_norm,
)
from stablefit.models.config import ACTIVATIONS, EncoderConfig, one_of, whole
from stablefit.models.dropout import Dropout
from stablefit.models.encoder import Encoder
from stablefit.models.families import bert
from stablefit.models.families.family import Family, Row, dense, norm, table
from stablefit.models.matmul import DType, attention_scores, shared_scores
from stablefit.models.matmul import dense as product

_KINDS = ("", "c2p", "p2c", "c2p|p2c")


@dataclasses.dataclass(frozen=True)
class DebertaConfig(EncoderConfig):
    """`position_buckets` above 0 sorts distances into so many buckets each way; -1 leaves them as they are."""

    max_position_embeddings: int = whole(512)
    type_vocab_size: int = whole(0, least=0)
    layer_norm_eps: float = 1e-7
    model_type: str = "deberta-v2"
    relative_attention: bool = False
    max_relative_positions: int = whole(-1, least=-1)
    position_buckets: int = whole(-1, least=-1)
    position_biased_input: bool = True
    pos_att_type: str = one_of("", *_KINDS)
    share_att_key: bool = False
    norm_rel_ebd: str = one_of("none", "none", "layer_norm")
    embedding_size: int = whole(0, least=0)
    conv_kernel_size: int = whole(0, least=0, most=31)
    conv_act: str = one_of("tanh", *ACTIVATIONS)
    pooler_hidden_act: str = one_of("gelu", *ACTIVATIONS)

    FIXED: ClassVar[Mapping[str, Any]] = {"conv_groups": 1}

    @classmethod
    def from_dict(cls, config_json: Mapping[str, Any], source: str = "config.json") -> Self:
        fields = dict(config_json)
        kinds = fields.get("pos_att_type") or []
        kinds = kinds.lower().split("|") if isinstance(kinds, str) else kinds
        if isinstance(kinds, list):  # another value is refused below, as it is
            kinds = "|".join(sorted(str(kind).strip() for kind in kinds))
        fields["pos_att_type"] = kinds
        if isinstance(fields.get("norm_rel_ebd"), str):
            fields["norm_rel_ebd"] = fields["norm_rel_ebd"].strip().lower()
        return super().from_dict(fields, source)

    def to_dict(self) -> dict[str, Any]:
        fields = super().to_dict()
        fields["pos_att_type"] = [kind for kind in self.pos_att_type.split("|") if kind]
        if not self.embedding_size:  # as wide as the hidden states, which a file says by leaving it out
            del fields["embedding_size"]
        return fields

    @property
    def token_size(self) -> int:
        return self.embedding_size or self.hidden_size

    @property
    def farthest(self) -> int:
        """The largest distance that is told from others."""
        return self.max_relative_positions if self.max_relative_positions > 0 else self.max_position_embeddings

    @property
    def span(self) -> int:
        """Half the rows of the table of distances."""
        return self.position_buckets if self.position_buckets > 0 else self.farthest


def rows_of_distances(config: DebertaConfig, length: int) -> np.ndarray:
    """The row of the table for each distance, length - 1 first, down to 1 - length; int [2 length - 1].

    With `position_buckets` n and m = n / 2, a distance d of m and more is in bucket
    m + ceil(log(d / m) / log((farthest - 1) / m) (m - 1)); nearer ones have a bucket each.
    """
    distance = np.arange(length - 1, -length, -1)
    if config.position_buckets > 0:
        middle = config.position_buckets // 2
        far = np.maximum(np.abs(distance), middle - 1).astype(np.float32)
        scale = np.log(np.float32((config.farthest - 1) / middle))
        logarithmic = np.ceil(np.log(far / np.float32(middle)) / scale * np.float32(middle - 1)) + middle
        distance = np.where(np.abs(distance) <= middle, distance, logarithmic.astype(np.int64) * np.sign(distance))
    return np.clip(distance + config.span, 0, 2 * config.span - 1)


class Relative(NamedTuple):
    """What the blocks of DeBERTa are given: beside who sees whom the table of distances, and where queries are."""

    same_Bx1xQxS: jax.Array
    table_RxD: jax.Array | None
    columns_E: jax.Array | None = None

    def at(self, rows_E: jax.Array, columns_E: jax.Array) -> "Relative":
        return Relative(self.same_Bx1xQxS[rows_E, 0, columns_E][:, None, None], self.table_RxD, columns_E)


class DisentangledAttention(Attention):
    """`Attention` with the scores above."""

    def scores(
        self, q_BxQxHxK: jax.Array, k_BxSxHxK: jax.Array, context: Relative, deterministic: bool, project: Project
    ) -> jax.Array:
        c = self.config
        assert isinstance(c, DebertaConfig)
        kinds = c.pos_att_type.split("|") if c.pos_att_type else []
        scores_BxHxQxS = attention_scores(q_BxQxHxK, k_BxSxHxK, self.dtype)
        if context.table_RxD is not None:
            table_RxD = Dropout(self.dropout)(context.table_RxD, deterministic=deterministic)
            length = context.same_Bx1xQxS.shape[-1]
            distances_MxD = table_RxD[rows_of_distances(c, length)]
            shared = c.share_att_key
            if "c2p" in kinds:
                key_MxHxK = project("key" if shared else "pos_key", distances_MxD)
                scores_BxHxQxS += distance_scores(q_BxQxHxK, key_MxHxK, context.columns_E, self.dtype)
            if "p2c" in kinds:
                query_MxHxK = project("query" if shared else "pos_query", distances_MxD)
                scores_BxHxQxS += _from_positions(k_BxSxHxK, query_MxHxK, context.columns_E, self.dtype)
        return scores_BxHxQxS * (1.0 / math.sqrt(q_BxQxHxK.shape[-1] * (1 + len(kinds))))


def _from_positions(
    k_BxSxHxK: jax.Array, query_MxHxK: jax.Array, columns_E: jax.Array | None, dtype: DType
) -> jax.Array:
    """`K_s . W_q R_{q-s}`, [B, H, Q, S]."""
    if columns_E is None:
        return jnp.swapaxes(by_place(shared_scores(k_BxSxHxK, query_MxHxK[::-1], dtype)), -1, -2)
    return (k_BxSxHxK * from_columns(query_MxHxK, columns_E)).sum(-1).transpose(0, 2, 1)[:, :, None]


class DebertaLayer(Layer):
    """BERT's block; behind the first there may be `LayerNorm(y + act(dropout(conv(x))))`, of what went into it."""

    convolved: bool = False

    def further(
        self, x_BxTxD: jax.Array, y_BxTxD: jax.Array, context: Relative, deterministic: bool, seen: Seen | None
    ) -> jax.Array:
        if not self.convolved:
            return y_BxTxD
        c = self.config
        assert isinstance(c, DebertaConfig)
        of = (c.hidden_size, c.conv_kernel_size, c.initializer_range, self.dtype)
        assert seen is None, "see DebertaEncoder.last"
        z_BxTxD = Convolution(*of, name="conv")(x_BxTxD, context.same_Bx1xQxS)
        z_BxTxD = ACTIVATIONS[c.conv_act](Dropout(self.dropout)(z_BxTxD, deterministic=deterministic))
        return layer_norm(c.layer_norm_eps, "conv_LayerNorm")(y_BxTxD + z_BxTxD)


class Convolution(nn.Module):
    """`y_t = sum_j W_j x_{t+j} + b` over the places of the same example; kernel [J, D, D]."""

    features: int
    width: int
    std: float
    dtype: DType

    @nn.compact
    def __call__(self, x_BxTxD: jax.Array, same_Bx1xTxT: jax.Array) -> jax.Array:
        shape = (self.width, x_BxTxD.shape[-1], self.features)
        kernel_JxDxD = self.param("kernel", nn.initializers.normal(self.std), shape)
        bias_D = self.param("bias", nn.initializers.zeros, (self.features,))
        length, left = x_BxTxD.shape[1], (self.width - 1) // 2
        y_BxTxD = jnp.broadcast_to(bias_D, x_BxTxD.shape)
        for j in range(self.width):
            at = np.arange(length) + j - left
            inside = (at >= 0) & (at < length)
            at = np.clip(at, 0, length - 1)
            mine_BxT = same_Bx1xTxT[:, 0, np.arange(length), at] & inside[None]
            y_BxTxD += product(jnp.where(mine_BxT[..., None], x_BxTxD[:, at], 0.0), kernel_JxDxD[j], self.dtype)
        return y_BxTxD


class DebertaEncoder(Encoder):
    """The table of distances stands before the blocks, as its name says for layer-wise decay."""

    attention: ClassVar[type[Attention]] = DisentangledAttention

    def setup(self) -> None:
        super().setup()
        c = self.config
        assert isinstance(c, DebertaConfig)
        if c.relative_attention:
            self.relative_embeddings = Table(2 * c.span, c.hidden_size, c.initializer_range, self.checked)
            if c.norm_rel_ebd == "layer_norm":
                self.relative_embeddings_LayerNorm = layer_norm(c.layer_norm_eps, None)

    def make_embeddings(self) -> nn.Module:
        c = self.config
        assert isinstance(c, DebertaConfig)
        narrow = c.token_size != c.hidden_size
        return Embeddings(
            c,
            self.dropout,
            self.checked,
            self.dtype,
            project="before" if narrow else "",
            positioned=c.position_biased_input,
        )

    def make_layer(self, index: int) -> nn.Module:
        c = self.config
        assert isinstance(c, DebertaConfig)
        rates = (self.dropout, self.on_weights)
        convolved = index == 0 and c.conv_kernel_size > 0
        return DebertaLayer(c, *rates, self.dtype, attention=self.attention, convolved=convolved)

    def last(
        self, x_BxTxD: jax.Array, context: Context, deterministic: bool, rows_E: jax.Array, columns_E: jax.Array
    ) -> jax.Array:
        if self.config.num_hidden_layers > 1:
            return super().last(x_BxTxD, context, deterministic, rows_E, columns_E)
        x_BxTxD = self.blocks()[-1](x_BxTxD, context, deterministic)  # a convolution needs the neighbours
        return x_BxTxD[rows_E, columns_E][:, None]

    @property
    def pooler_activation(self) -> str:
        assert isinstance(self.config, DebertaConfig)
        return self.config.pooler_hidden_act

    def context(self, same_Bx1xQxS: jax.Array, positions_BxT: jax.Array | None, deterministic: bool) -> Relative:
        c = self.config
        assert isinstance(c, DebertaConfig)
        if not c.relative_attention:
            return Relative(same_Bx1xQxS, None)
        table_RxD = self.relative_embeddings(None, first=2 * c.span)
        if c.norm_rel_ebd == "layer_norm":
            table_RxD = self.relative_embeddings_LayerNorm(table_RxD)
        return Relative(same_Bx1xQxS, table_RxD)


def _embeddings(config: EncoderConfig) -> list[Row]:
    assert isinstance(config, DebertaConfig)
    narrow, biased = config.token_size != config.hidden_size, config.position_biased_input
    rows = [row for row in bert.embeddings(config) if biased or "position_embeddings" not in row[0]]
    if narrow:
        rows = [(ours, theirs, "D" if "LayerNorm" in ours else axes) for ours, theirs, axes in rows]
        rows += dense("embeddings/project", "embeddings.embed_proj", "ED", bias=False)
    if config.relative_attention:
        rows += table("relative_embeddings", "encoder.rel_embeddings", "RD")
        if config.norm_rel_ebd == "layer_norm":
            rows += norm("relative_embeddings_LayerNorm", "encoder.LayerNorm")
    return rows


def _block(config: EncoderConfig, index: int) -> list[Row]:
    assert isinstance(config, DebertaConfig)
    rows = []
    for ours, theirs, axes in bert.block(config, index):
        for name in ("query", "key", "value"):
            theirs = theirs.replace(f"attention.self.{name}.", f"attention.self.{name}_proj.")
        rows.append((ours, theirs, axes))
    if config.relative_attention and not config.share_att_key:
        of = "encoder.layer.{i}.attention.self"
        kinds = {"c2p": "key", "p2c": "query"}
        for name in (name for kind, name in kinds.items() if kind in config.pos_att_type.split("|")):
            rows += dense(f"layer_{{i}}/attention/pos_{name}", f"{of}.pos_{name}_proj", "DD")
    if index == 0 and config.conv_kernel_size:
        rows += dense("layer_{i}/conv", "encoder.conv.conv", "JDD")
        rows += norm("layer_{i}/conv_LayerNorm", "encoder.conv.LayerNorm")
    return rows


def _axes(config: EncoderConfig) -> dict[str, int]:
    assert isinstance(config, DebertaConfig)
    return {"R": 2 * config.span, "J": config.conv_kernel_size}


FAMILY = Family(
    title="DeBERTa",
    config=DebertaConfig,
    encoder=DebertaEncoder,
    classes={"deberta-v2": "DebertaV2"},
    prefix="deberta.",
    embeddings=_embeddings,
    block=_block,
    pooler=lambda config: dense("pooler", "pooler.dense", "DD"),
    pooler_outside=True,
    aside=r"(?:cls|classifier|qa_outputs|\w+_predictions|lm_head)\..*"
    r"|embeddings\.position_ids|embeddings\.position_embeddings\..*",
    axes=_axes,
)
