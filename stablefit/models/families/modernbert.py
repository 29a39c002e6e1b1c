"""ModernBERT: rotary positions, local and global attention in turn, gated feed-forward, normalisation in front.

Warner et al., "Smarter, Better, Faster, Longer: A Modern Bidirectional Encoder", 2024. A block is

    x + W_o attention(norm(x)), then x + W_2 (act(a) * b) with (a, b) = norm(x) W_1

Every third block attends globally with one base of rotary frequencies, the others within `local_attention` / 2 places
with another. What the classifier reads, in a tagger every token, is norm(gelu(W h)) of the hidden state, with the
layer that predicted masked tokens: the only family beside BERT and ALBERT whose pooler is pre-trained.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

import flax.linen as nn
import jax
import jax.numpy as jnp

from stablefit.errors import InputError
from stablefit.models.blocks import Dense, Seen, Table, attend, layer_norm
from stablefit.models.config import ACTIVATIONS, EncoderConfig, one_of, whole
from stablefit.models.dropout import Dropout
from stablefit.models.encoder import Encoder
from stablefit.models.families.family import Family, Row, dense, norm, table
from stablefit.models.matmul import DType, attention_scores

_GLOBAL, _LOCAL = "full_attention", "sliding_attention"
_BASES = {_GLOBAL: ("global_rope_theta", 160_000.0), _LOCAL: ("local_rope_theta", 10_000.0)}


@dataclasses.dataclass(frozen=True)
class ModernBertConfig(EncoderConfig):
    """`layer_types` says of each block whether it attends globally; `bases` are those of the rotary frequencies."""

    vocab_size: int = whole(50368)
    hidden_size: int = whole(768)
    num_hidden_layers: int = whole(22, most=1000)
    num_attention_heads: int = whole(12)
    intermediate_size: int = whole(1152)
    max_position_embeddings: int = whole(8192)
    type_vocab_size: int = dataclasses.field(default=0, init=False)
    layer_norm_eps: float = 1e-5
    pad_token_id: int = whole(50283, least=0)
    model_type: str = "modernbert"
    local_attention: int = whole(128, least=2)
    norm_bias: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    classifier_bias: bool = False
    classifier_activation: str = one_of("gelu", *ACTIVATIONS)
    classifier_pooling: str = one_of("cls", "cls", "mean")
    layer_types: tuple[str, ...] = dataclasses.field(default=(), metadata={"own": True})
    bases: tuple[float, float] = dataclasses.field(default=(160_000.0, 10_000.0), metadata={"own": True})

    FIXED: ClassVar[Mapping[str, Any]] = {}
    THEIRS: ClassVar[Mapping[str, str]] = {"layer_norm_eps": "norm_eps", "hidden_act": "hidden_activation"}

    @property
    def reads_mean(self) -> bool:
        return self.classifier_pooling == "mean"

    @classmethod
    def from_dict(cls, config_json: Mapping[str, Any], source: str = "config.json") -> Self:
        config = super().from_dict(config_json, source)
        every, n = config_json.get("global_attn_every_n_layers", 3), config.num_hidden_layers
        if type(every) is not int or every < 1:
            raise InputError(f"{source}: global_attn_every_n_layers={every!r} is not allowed, it must be at least 1")
        types = config_json.get("layer_types") or [_LOCAL if i % every else _GLOBAL for i in range(n)]
        if not isinstance(types, list) or len(types) != n or not all(kind in (*_BASES,) for kind in types):
            raise InputError(f"{source}: layer_types={types!r} is not allowed, it must be {n} of {', '.join(_BASES)}")
        bases = tuple(_base(kind, config_json, source) for kind in _BASES)
        return dataclasses.replace(config, layer_types=tuple(types), bases=bases)

    def to_dict(self) -> dict[str, Any]:
        fields = super().to_dict()
        bases = fields.pop("bases")
        fields["layer_types"] = list(self.layer_types)
        rotary = {kind: {"rope_type": "default", "rope_theta": base} for kind, base in zip(_BASES, bases, strict=True)}
        return {**fields, "rope_parameters": rotary}


def _base(kind: str, config_json: Mapping[str, Any], source: str) -> float:
    """The base of the rotary frequencies of a kind of block, under today's name or the old one."""
    old, default = _BASES[kind]
    every = config_json.get("rope_parameters") or {}
    own = (every.get(kind) if isinstance(every, dict) else every) or {}
    if not isinstance(own, dict) or own.get("rope_type", "default") != "default" or config_json.get("rope_scaling"):
        raise InputError(f"{source}: rope_parameters={own!r} is not supported, allowed: rope_type 'default'")
    value = own.get("rope_theta", config_json.get(old, default))
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 < value < 1e38:
        raise InputError(f"{source}: {old}={value!r} is not allowed, it must be a number above 1, below 1e38")
    return float(value)


class Angles(NamedTuple):
    """Cosine and sine of the rotary angle of every place, [B or 1, T, K]."""

    cos: jax.Array
    sin: jax.Array


class Rotary(NamedTuple):
    """What the blocks of ModernBERT are given: who sees whom, globally and near by, and the angles of each kind."""

    same_Bx1xQxS: jax.Array
    near_Bx1xQxS: jax.Array
    whole: Angles
    local: Angles
    place: tuple[jax.Array, jax.Array] | None = None  # rows and columns of the queries, if they are a few

    def at(self, rows_E: jax.Array, columns_E: jax.Array) -> "Rotary":
        same, near = (mask[rows_E, 0, columns_E][:, None, None] for mask in (self.same_Bx1xQxS, self.near_Bx1xQxS))
        return Rotary(same, near, self.whole, self.local, (rows_E, columns_E))


def angles(positions_BxT: jax.Array, size: int, base: float) -> Angles:
    """`p / base^(2i / K)` for i below K / 2, twice side by side."""
    frequencies_K2 = 1.0 / (base ** (jnp.arange(0, size, 2, dtype=jnp.float32) / size))
    of_BxTxK2 = positions_BxT[..., None].astype(jnp.float32) * frequencies_K2[None, None]
    of_BxTxK = jnp.concatenate([of_BxTxK2, of_BxTxK2], axis=-1)
    return Angles(jnp.cos(of_BxTxK), jnp.sin(of_BxTxK))


def rotated(x_BxTxHxK: jax.Array, by: Angles) -> jax.Array:
    """Each pair (x_i, x_{i + K/2}) turned by its angle."""
    left, right = jnp.split(x_BxTxHxK, 2, axis=-1)
    turned_BxTxHxK = jnp.concatenate([-right, left], axis=-1)
    return x_BxTxHxK * by.cos[:, :, None] + turned_BxTxHxK * by.sin[:, :, None]


class ModernBertLayer(nn.Module):
    """The block above; the first has no normalisation in front of attention."""

    config: ModernBertConfig
    index: int
    dropout: float
    attention_dropout: float
    dtype: DType

    @nn.compact
    def __call__(self, x_BxTxD: jax.Array, context: Rotary, deterministic: bool, seen: Seen | None = None) -> jax.Array:
        c = self.config
        x_BxTxD = x_BxTxD + self.attention(x_BxTxD, context, deterministic, seen)
        y_BxTxD = layer_norm(c.layer_norm_eps, "mlp_norm", use_bias=c.norm_bias)(x_BxTxD)
        y_BxTxF2 = Dense(2 * c.intermediate_size, c.initializer_range, self.dtype, c.mlp_bias, name="Wi")(y_BxTxD)
        into_BxTxF, gate_BxTxF = jnp.split(y_BxTxF2, 2, axis=-1)
        y_BxTxF = ACTIVATIONS[c.hidden_act](into_BxTxF) * gate_BxTxF
        y_BxTxF = Dropout(self.dropout)(y_BxTxF, deterministic=deterministic)
        return x_BxTxD + Dense(c.hidden_size, _std_out(c), self.dtype, c.mlp_bias, name="Wo")(y_BxTxF)

    def attention(self, x_BxTxD: jax.Array, context: Rotary, deterministic: bool, seen: Seen | None) -> jax.Array:
        c = self.config
        is_global = c.layer_types[self.index] == _GLOBAL
        by, mask = (context.whole, context.same_Bx1xQxS) if is_global else (context.local, context.near_Bx1xQxS)
        before = layer_norm(c.layer_norm_eps, "attention_norm", use_bias=c.norm_bias) if self.index else lambda x: x
        together = Dense(3 * c.hidden_size, c.initializer_range, self.dtype, c.attention_bias, name="Wqkv")

        def parts(x: jax.Array) -> list[jax.Array]:
            y = together(before(x)).reshape(*x.shape[:2], 3, c.num_attention_heads, -1)
            return [y[:, :, i] for i in range(3)]

        q_BxQxHxK, k_BxSxHxK, v_BxSxHxK = parts(x_BxTxD if seen is None else seen.hidden)
        q_BxQxHxK, k_BxSxHxK = rotated(q_BxQxHxK, by), rotated(k_BxSxHxK, by)
        if seen is not None:
            assert context.place is not None
            q_BxQxHxK = q_BxQxHxK[context.place][:, None]
            k_BxSxHxK, v_BxSxHxK = k_BxSxHxK[seen.rows], v_BxSxHxK[seen.rows]
        scores_BxHxQxS = attention_scores(q_BxQxHxK, k_BxSxHxK, self.dtype) * (1.0 / math.sqrt(q_BxQxHxK.shape[-1]))
        on_weights = Dropout(self.attention_dropout)
        y_BxQxHxK = attend(scores_BxHxQxS, mask, v_BxSxHxK, on_weights, deterministic, self.dtype)
        out = Dense(c.hidden_size, _std_out(c), self.dtype, c.attention_bias, name="attention_Wo")
        return Dropout(self.dropout)(out(y_BxQxHxK.reshape(x_BxTxD.shape)), deterministic=deterministic)


def _std_out(config: ModernBertConfig) -> float:
    """The standard deviation of what is added to the residual, at its start."""
    return config.initializer_range / math.sqrt(2.0 * config.num_hidden_layers)


class ModernBertEmbeddings(nn.Module):
    """`norm(word)`, then dropout; positions come in the blocks."""

    config: ModernBertConfig
    dropout: float
    checked: bool

    @nn.compact
    def __call__(
        self, tokens_BxT: jax.Array, types_BxT: jax.Array, positions_BxT: jax.Array | None, deterministic: bool
    ) -> jax.Array:
        c = self.config
        words = Table(c.vocab_size, c.hidden_size, c.initializer_range, self.checked, name="word_embeddings")
        x_BxTxD = layer_norm(c.layer_norm_eps, use_bias=c.norm_bias)(words(tokens_BxT))
        return Dropout(self.dropout)(x_BxTxD, deterministic=deterministic)


class ModernBertPooler(nn.Module):
    """`norm(act(W h))`."""

    config: ModernBertConfig
    dtype: DType

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        c = self.config
        x = Dense(c.hidden_size, _std_out(c), self.dtype, c.classifier_bias, name="dense")(x)
        x = ACTIVATIONS[c.classifier_activation](x)
        return layer_norm(c.layer_norm_eps, "norm", use_bias=c.norm_bias)(x)


class ModernBertEncoder(Encoder):
    """Positions count from 0 in each example, packed or not; windows are of columns."""

    tags_pooled: ClassVar[bool] = True

    def setup(self) -> None:
        super().setup()
        c = self._own
        self.final_norm = layer_norm(c.layer_norm_eps, None, use_bias=c.norm_bias)

    @property
    def _own(self) -> ModernBertConfig:
        assert isinstance(self.config, ModernBertConfig)
        return self.config

    def make_embeddings(self) -> nn.Module:
        return ModernBertEmbeddings(self._own, self.dropout, self.checked)

    def make_layer(self, index: int) -> nn.Module:
        return ModernBertLayer(self._own, index, self.dropout, self.on_weights, self.dtype)

    def make_pooler(self) -> nn.Module:
        return ModernBertPooler(self._own, self.dtype)

    def context(self, same_Bx1xQxS: jax.Array, positions_BxT: jax.Array | None, deterministic: bool) -> Rotary:
        c = self._own
        columns = jnp.arange(same_Bx1xQxS.shape[-1])
        if positions_BxT is None:
            positions_BxT = columns[None]
        near_QxS = jnp.abs(columns[:, None] - columns[None, :]) <= c.local_attention // 2
        size = c.hidden_size // c.num_attention_heads
        both = (angles(positions_BxT, size, base) for base in c.bases)
        return Rotary(same_Bx1xQxS, same_Bx1xQxS & near_QxS[None, None], *both)

    def finish(self, x_BxTxD: jax.Array) -> jax.Array:
        return self.final_norm(x_BxTxD)

    def pool(self, cls_ExD: jax.Array, *, deterministic: bool) -> jax.Array:
        return self.pooler(cls_ExD)


def _embeddings(config: EncoderConfig) -> list[Row]:
    assert isinstance(config, ModernBertConfig)
    return [
        *table("embeddings/word_embeddings", "embeddings.tok_embeddings", "VD"),
        *norm("embeddings/LayerNorm", "embeddings.norm", bias=config.norm_bias),
    ]


def _block(config: EncoderConfig, index: int) -> list[Row]:
    assert isinstance(config, ModernBertConfig)
    ours, theirs = "layer_{i}", "layers.{i}"
    return [
        *(norm(f"{ours}/attention_norm", f"{theirs}.attn_norm", bias=config.norm_bias) if index else []),
        *dense(f"{ours}/Wqkv", f"{theirs}.attn.Wqkv", "D3", bias=config.attention_bias),
        *dense(f"{ours}/attention_Wo", f"{theirs}.attn.Wo", "DD", bias=config.attention_bias),
        *norm(f"{ours}/mlp_norm", f"{theirs}.mlp_norm", bias=config.norm_bias),
        *dense(f"{ours}/Wi", f"{theirs}.mlp.Wi", "D2", bias=config.mlp_bias),
        *dense(f"{ours}/Wo", f"{theirs}.mlp.Wo", "FD", bias=config.mlp_bias),
    ]


def _after(config: EncoderConfig) -> list[Row]:
    assert isinstance(config, ModernBertConfig)
    return norm("final_norm", "final_norm", bias=config.norm_bias)


def _pooler(config: EncoderConfig) -> list[Row]:
    assert isinstance(config, ModernBertConfig)
    rows = dense("pooler/dense", "head.dense", "DD", bias=config.classifier_bias)
    return [*rows, *norm("pooler/norm", "head.norm", bias=config.norm_bias)]


FAMILY = Family(
    title="ModernBERT",
    config=ModernBertConfig,
    encoder=ModernBertEncoder,
    classes={"modernbert": "ModernBert"},
    prefix="model.",
    embeddings=_embeddings,
    block=_block,
    pooler=_pooler,
    after=_after,
    mean="own",
    pooler_outside=True,
    aside=r"(?:classifier|decoder|qa_outputs)\..*|rotary_emb\..*",
    axes=lambda config: {"3": 3 * config.hidden_size, "2": 2 * config.intermediate_size},
)
