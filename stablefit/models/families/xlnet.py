"""XLNet: attention with distances as sines and relative token types; an example's last token is read.

Yang et al., "XLNet: Generalized Autoregressive Pretraining for Language Understanding", 2019, without its permutations
and memories: every token sees every other, as in fine-tuning. With R_d the sines and cosines of the distance d of a
query q from a source s, the score of both is

    ((Q_q + w) . K_s + (Q_q + r) . W R_{q-s} + (Q_q + g) . S_{types differ}) / sqrt(K)

w, r, g and S are of each block: files call them r_w_bias, r_r_bias, r_s_bias, seg_embed. They start from
N(0, initializer_range^2), as kernels do, and decay as kernels do.

Distances are those of columns: tokens of an example stand side by side, packed or not. XLNet's texts end with `<cls>`,
of a token type of its own; files for it are padded on the left, which relative distances make the same as padding on
the right. The classifier reads a dense layer and tanh of that last hidden state; the layer always starts anew.
Dropout on R has one mask for all rows of a batch, where transformers draws one for each.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from stablefit.models.blocks import Attention, Context, Layer, Product, Project, Table, distance_scores
from stablefit.models.config import ACTIVATIONS, EncoderConfig, one_of, whole
from stablefit.models.dropout import Dropout
from stablefit.models.encoder import Encoder
from stablefit.models.families.family import Family, Row, dense, norm, table
from stablefit.models.matmul import DType, attention_scores, shared_scores
from stablefit.models.matmul import dense as product


@dataclasses.dataclass(frozen=True)
class XLNetConfig(EncoderConfig):
    """There is no table of positions, so no longest text; a `clamp_len` above 0 is the largest distance told apart."""

    vocab_size: int = whole(32000)
    hidden_size: int = whole(1024)
    num_hidden_layers: int = whole(24, most=1000)
    num_attention_heads: int = whole(16)
    intermediate_size: int = whole(4096)
    max_position_embeddings: int = dataclasses.field(default=1_000_000, init=False)
    type_vocab_size: int = dataclasses.field(default=3, init=False)
    hidden_act: str = one_of("gelu", *ACTIVATIONS)
    pad_token_id: int = whole(5, least=0)
    clamp_len: int = whole(-1, least=-1)
    model_type: str = "xlnet"

    FIXED: ClassVar[Mapping[str, Any]] = {
        "attn_type": "bi",
        "bi_data": False,
        "summary_type": "last",
        "summary_use_proj": True,
        "summary_activation": "tanh",
    }
    THEIRS: ClassVar[Mapping[str, str]] = {
        "hidden_size": "d_model",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "intermediate_size": "d_inner",
        "hidden_act": "ff_activation",
    }


class Relative(NamedTuple):
    """What the blocks of XLNet are given: beside who sees whom whose types differ, R, and where queries are."""

    same_Bx1xQxS: jax.Array
    differ_Bx1xQxS: jax.Array
    waves_MxD: jax.Array
    columns_E: jax.Array | None = None

    def at(self, rows_E: jax.Array, columns_E: jax.Array) -> "Relative":
        masks = (self.same_Bx1xQxS, self.differ_Bx1xQxS)
        same, differ = (mask[rows_E, 0, columns_E][:, None, None] for mask in masks)
        return Relative(same, differ, self.waves_MxD, columns_E)


def waves(length: int, size: int, farthest: int) -> jax.Array:
    """Sines, then cosines, of d / 10000^(2i / D) for the distances d from length - 1 down to 1 - length; [M, D]."""
    distance_M = jnp.arange(length - 1, -length, -1)
    if farthest > 0:
        distance_M = jnp.clip(distance_M, -farthest, farthest)
    frequencies_D2 = 1.0 / (10000.0 ** (jnp.arange(0, size, 2, dtype=jnp.float32) / size))
    angles_MxD2 = distance_M[:, None].astype(jnp.float32) * frequencies_D2[None]
    return jnp.concatenate([jnp.sin(angles_MxD2), jnp.cos(angles_MxD2)], axis=-1)


class Heads(nn.Module):
    """`x W` with a kernel [D, H, K] into heads, or [H, K, D] out of them; heads are side by side in x or the result."""

    heads: int
    std: float
    dtype: DType
    out_of: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        size = x.shape[-1]
        cut = (self.heads, size // self.heads)
        kernel = self.param("kernel", nn.initializers.normal(self.std), (*cut, size) if self.out_of else (size, *cut))
        return product(x, kernel.reshape(size, size), self.dtype)


class RelativeAttention(Attention):
    """`Attention` with the scores above, without biases."""

    def product(self, name: str) -> Product:
        c = self.config
        return Heads(c.num_attention_heads, c.initializer_range, self.dtype, name == "output", name=name)

    def scores(
        self, q_BxQxHxK: jax.Array, k_BxSxHxK: jax.Array, context: Relative, deterministic: bool, project: Project
    ) -> jax.Array:
        c, (heads, size) = self.config, q_BxQxHxK.shape[-2:]
        start = nn.initializers.normal(c.initializer_range)
        w, r, g = (self.param(name, start, (heads, size))[None, None] for name in ("r_w_bias", "r_r_bias", "r_s_bias"))
        types_2xHxK = self.param("seg_embed", start, (2, heads, size))
        scores_BxHxQxS = attention_scores(q_BxQxHxK + w, k_BxSxHxK, self.dtype)
        distances_MxHxK = project("relative", context.waves_MxD)
        scores_BxHxQxS += distance_scores(q_BxQxHxK + r, distances_MxHxK, context.columns_E, self.dtype)
        by_type_BxHxQx2 = shared_scores(q_BxQxHxK + g, types_2xHxK, self.dtype)
        scores_BxHxQxS += jnp.where(context.differ_Bx1xQxS, by_type_BxHxQx2[..., 1:], by_type_BxHxQx2[..., :1])
        return scores_BxHxQxS * (1.0 / math.sqrt(size))


class XLNetEmbeddings(nn.Module):
    """The words alone, with dropout."""

    config: XLNetConfig
    dropout: float
    checked: bool

    @nn.compact
    def __call__(
        self, tokens_BxT: jax.Array, types_BxT: jax.Array, positions_BxT: jax.Array | None, deterministic: bool
    ) -> jax.Array:
        c = self.config
        words = Table(c.vocab_size, c.hidden_size, c.initializer_range, self.checked, name="word_embeddings")
        return Dropout(self.dropout)(words(tokens_BxT), deterministic=deterministic)


class XLNetEncoder(Encoder):
    """Dropout on the last hidden states is the one in front of the pooler, or of a tagger's head."""

    pools_dropped: ClassVar[bool] = True
    reads_last: ClassVar[bool] = True

    def setup(self) -> None:
        super().setup()
        self.waves_dropout = Dropout(self.dropout)

    @property
    def _own(self) -> XLNetConfig:
        assert isinstance(self.config, XLNetConfig)
        return self.config

    def make_embeddings(self) -> nn.Module:
        return XLNetEmbeddings(self._own, self.dropout, self.checked)

    def make_layer(self, index: int) -> nn.Module:
        rates = (self.dropout, self.on_weights)
        return Layer(self.config, *rates, self.dtype, attention=RelativeAttention, drops_inside=True)

    def begin(
        self,
        tokens_BxT: jax.Array,
        types_BxT: jax.Array,
        positions_BxT: jax.Array | None,
        same_Bx1xQxS: jax.Array,
        deterministic: bool,
    ) -> tuple[jax.Array, Context]:
        c = self._own
        types_BxT = jnp.asarray(types_BxT)
        differ_Bx1xQxS = (types_BxT[:, :, None] != types_BxT[:, None, :])[:, None]
        waves_MxD = waves(tokens_BxT.shape[1], c.hidden_size, c.clamp_len)
        waves_MxD = self.waves_dropout(waves_MxD, deterministic=deterministic)
        x_BxTxD = self.embeddings(tokens_BxT, types_BxT, positions_BxT, deterministic)
        return x_BxTxD, Relative(same_Bx1xQxS, differ_Bx1xQxS, waves_MxD)


def _block(config: EncoderConfig, index: int) -> list[Row]:
    ours, theirs = "layer_{i}/attention", "layer.{i}.rel_attn"
    kernels = {"query": "q", "key": "k", "value": "v", "relative": "r"}
    return [
        *((f"{ours}/{name}/kernel", f"{theirs}.{their}", "DHK|DHK") for name, their in kernels.items()),
        (f"{ours}/output/kernel", f"{theirs}.o", "HKD|DHK"),
        *((f"{ours}/{name}", f"{theirs}.{name}", "HK") for name in ("r_w_bias", "r_r_bias", "r_s_bias")),
        (f"{ours}/seg_embed", f"{theirs}.seg_embed", "2HK"),
        *norm(f"{ours}/LayerNorm", f"{theirs}.layer_norm"),
        *dense("layer_{i}/intermediate", "layer.{i}.ff.layer_1", "DF"),
        *dense("layer_{i}/output", "layer.{i}.ff.layer_2", "FD"),
        *norm("layer_{i}/LayerNorm", "layer.{i}.ff.layer_norm"),
    ]


def _axes(config: EncoderConfig) -> dict[str, int]:
    heads = config.num_attention_heads
    return {"2": 2, "H": heads, "K": config.hidden_size // heads}


FAMILY = Family(
    title="XLNet",
    config=XLNetConfig,
    encoder=XLNetEncoder,
    classes={"xlnet": "XLNet"},
    prefix="transformer.",
    embeddings=lambda config: table("embeddings/word_embeddings", "word_embedding", "VD"),
    block=_block,
    pooler=lambda config: dense("pooler", "sequence_summary.summary", "DD"),
    pooler_outside=True,
    classifier="logits_proj",
    aside=r"(?:lm_loss|sequence_summary|logits_proj|classifier|qa_outputs|\w+_logits|answer_class)\..*|mask_emb",
    axes=_axes,
    mean="",
    unused=lambda config: {"mask_emb": (1, 1, config.hidden_size)},
)
