"""BART: BERT's blocks, and above them blocks that see what stands before and, across, what the lower ones made.

Lewis et al., "BART: Denoising Sequence-to-Sequence Pre-training for Natural Language Generation, Translation, and
Comprehension", 2020. For a classifier the text goes into both stacks: into the upper one, the decoder, a place later,
its own last token, `</s>`, in front. With x what the encoder made of the text, a block of the decoder is

    LayerNorm(y + attention(y; y at the same places and before)), LayerNorm(y + attention(y; x)), feed-forward

What is read is the decoder's hidden state at the text's last token, which has seen all others. Layers count through
both stacks: the top ones, which start anew first, are the decoder's, as in the code of Zhang et al., 2021.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import flax.linen as nn
import jax
import jax.numpy as jnp

from stablefit.errors import InputError
from stablefit.models.blocks import Context, Layer, Places, Seen, Table, layer_norm
from stablefit.models.config import ACTIVATIONS, EncoderConfig, one_of, whole
from stablefit.models.dropout import Dropout
from stablefit.models.encoder import Block, Encoder
from stablefit.models.families.family import Family, Row, dense, norm, table

_OFFSET = 2  # rows of the tables of positions that no token has


@dataclasses.dataclass(frozen=True)
class BartConfig(EncoderConfig):
    """`num_hidden_layers` are the blocks of both stacks, which must be of the same widths."""

    vocab_size: int = whole(50265)
    hidden_size: int = whole(1024)
    num_hidden_layers: int = dataclasses.field(default=0, init=False)
    encoder_layers: int = whole(12, most=500)
    decoder_layers: int = whole(12, most=500)
    num_attention_heads: int = whole(16)
    intermediate_size: int = whole(4096)
    max_position_embeddings: int = whole(1024)
    type_vocab_size: int = dataclasses.field(default=0, init=False)
    layer_norm_eps: float = dataclasses.field(default=1e-5, init=False)
    hidden_act: str = one_of("gelu", *ACTIVATIONS)
    pad_token_id: int = whole(1, least=0)
    eos_token_id: int = whole(2, least=0)
    scale_embedding: bool = False
    model_type: str = "bart"

    FIXED: ClassVar[Mapping[str, Any]] = {"is_encoder_decoder": True, "normalize_before": False}
    THEIRS: ClassVar[Mapping[str, str]] = {
        "hidden_size": "d_model",
        "num_attention_heads": "encoder_attention_heads",
        "intermediate_size": "encoder_ffn_dim",
        "hidden_act": "activation_function",
        "initializer_range": "init_std",
    }

    def __post_init__(self) -> None:
        object.__setattr__(self, "num_hidden_layers", self.encoder_layers + self.decoder_layers)

    @classmethod
    def from_dict(cls, config_json: Mapping[str, Any], source: str = "config.json") -> Self:
        config = super().from_dict(config_json, source)
        like = config.to_dict()
        for name, other in _LIKE.items():
            if (given := config_json.get(name, like[name])) != like[name]:
                raise InputError(f"{source}: {name}={given!r} is not supported, it must be {other}={like[other]}")
        return config

    def to_dict(self) -> dict[str, Any]:
        fields = super().to_dict()
        return fields | {name: fields[other] for name, other in _LIKE.items()}

    @property
    def ends_with(self) -> int | None:
        return self.eos_token_id


# What must be the same in both stacks, and what a text begins with in the decoder: it is the text's own last token.
_LIKE = {
    "decoder_attention_heads": "encoder_attention_heads",
    "decoder_ffn_dim": "encoder_ffn_dim",
    "decoder_start_token_id": "eos_token_id",
}


class BartEmbeddings(nn.Module):
    """`LayerNorm(word + position)`, then dropout, of each stack; they share the table of words alone."""

    config: BartConfig
    dropout: float
    checked: bool

    def setup(self) -> None:
        c = self.config
        of = (c.hidden_size, c.initializer_range, self.checked)
        self.word_embeddings = Table(c.vocab_size, *of)
        self.position_embeddings = Table(c.max_position_embeddings + _OFFSET, *of)
        self.decoder_position_embeddings = Table(c.max_position_embeddings + _OFFSET, *of)
        self.LayerNorm = layer_norm(c.layer_norm_eps, None)
        self.decoder_LayerNorm = layer_norm(c.layer_norm_eps, None)
        self.after, self.decoder_after = Dropout(self.dropout), Dropout(self.dropout)

    def __call__(
        self, tokens_BxT: jax.Array, shifted_BxT: jax.Array, positions_BxT: jax.Array, deterministic: bool
    ) -> tuple[jax.Array, jax.Array]:
        c, at = self.config, positions_BxT + _OFFSET
        scale = math.sqrt(c.hidden_size) if c.scale_embedding else 1.0
        x_BxTxD = self.LayerNorm(scale * self.word_embeddings(tokens_BxT) + self.position_embeddings(at))
        y_BxTxD = scale * self.word_embeddings(shifted_BxT) + self.decoder_position_embeddings(at)
        y_BxTxD = self.decoder_after(self.decoder_LayerNorm(y_BxTxD), deterministic=deterministic)
        return self.after(x_BxTxD, deterministic=deterministic), y_BxTxD


class Both(NamedTuple):
    """What the blocks of BART are given: beside who sees whom in the encoder what the decoder begins with."""

    same_Bx1xQxS: jax.Array
    decoder_BxTxD: jax.Array
    bias_BxHxQxS: None = None

    def at(self, rows_E: jax.Array, columns_E: jax.Array) -> "Both":
        return Both(self.same_Bx1xQxS[rows_E, 0, columns_E][:, None, None], self.decoder_BxTxD)


class Decoding(NamedTuple):
    """What the blocks of the decoder are given: who sees whom among themselves and across, and the encoder's states."""

    same_Bx1xQxS: jax.Array
    across_Bx1xQxS: jax.Array
    encoded: Seen
    bias_BxHxQxS: None = None

    def at(self, rows_E: jax.Array, columns_E: jax.Array) -> "Decoding":
        masks = (self.same_Bx1xQxS, self.across_Bx1xQxS)
        same, across = (mask[rows_E, 0, columns_E][:, None, None] for mask in masks)
        return Decoding(same, across, Seen(self.encoded.hidden, rows_E))


class DecoderLayer(Layer):
    """BERT's block with attention to the encoder's states between the other two parts."""

    def between(self, y_BxTxD: jax.Array, context: Decoding, deterministic: bool) -> jax.Array:
        rates = (self.dropout, self.attention_dropout)
        across = self.attention(self.config, *rates, self.dtype, name="cross_attention")
        return across(y_BxTxD, Places(context.across_Bx1xQxS), deterministic, context.encoded)


class BartEncoder(Encoder):
    """Its hidden states are the decoder's; blocks of the encoder stand in front of them, with lower numbers."""

    pools_dropped: ClassVar[bool] = True
    reads_last: ClassVar[bool] = True

    @property
    def _own(self) -> BartConfig:
        assert isinstance(self.config, BartConfig)
        return self.config

    def make_embeddings(self) -> nn.Module:
        return BartEmbeddings(self._own, self.dropout, self.checked)

    def make_layer(self, index: int) -> nn.Module:
        kind = Layer if index < self._own.encoder_layers else DecoderLayer
        return kind(self.config, self.dropout, self.on_weights, self.dtype, drops_inside=True)

    def blocks(self) -> Sequence[Block]:
        return [*self.layer[: self._own.encoder_layers], self.decode]

    def begin(
        self,
        tokens_BxT: jax.Array,
        types_BxT: jax.Array,
        positions_BxT: jax.Array | None,
        same_Bx1xQxS: jax.Array,
        deterministic: bool,
    ) -> tuple[jax.Array, Context]:
        if positions_BxT is None:
            positions_BxT = jnp.arange(tokens_BxT.shape[1])[None]
        shifted_BxT = jnp.take_along_axis(jnp.asarray(tokens_BxT), before(same_Bx1xQxS[:, 0]), axis=1)
        x_BxTxD, y_BxTxD = self.embeddings(tokens_BxT, shifted_BxT, positions_BxT, deterministic)
        return x_BxTxD, Both(same_Bx1xQxS, y_BxTxD)

    def decode(self, x_BxTxD: jax.Array, context: Both, deterministic: bool, seen: Seen | None = None) -> jax.Array:
        """The decoder's hidden states from the encoder's."""
        del seen  # see `last`
        y_BxTxD, within = context.decoder_BxTxD, _decoding(x_BxTxD, context)
        for block in self.layer[self._own.encoder_layers :]:
            y_BxTxD = block(y_BxTxD, within, deterministic)
        return y_BxTxD

    def last(
        self, x_BxTxD: jax.Array, context: Any, deterministic: bool, rows_E: jax.Array, columns_E: jax.Array
    ) -> jax.Array:
        *below, top = self.layer[self._own.encoder_layers :]
        y_BxTxD, within = context.decoder_BxTxD, _decoding(x_BxTxD, context)
        for block in below:
            y_BxTxD = block(y_BxTxD, within, deterministic)
        at_Ex1xD = y_BxTxD[rows_E, columns_E][:, None]
        return top(at_Ex1xD, within.at(rows_E, columns_E), deterministic, Seen(y_BxTxD, rows_E))


def before(same_BxTxT: jax.Array) -> jax.Array:
    """The column of the token in front of each, of an example's first its last; int [B, T]."""
    length = same_BxTxT.shape[-1]
    columns_1xT = jnp.arange(length)[None]
    last_BxT = jnp.where(same_BxTxT, columns_1xT[None], 0).max(-1)
    is_first_BxT = jnp.where(same_BxTxT, columns_1xT[None], length).min(-1) == columns_1xT
    return jnp.where(is_first_BxT, last_BxT, columns_1xT - 1)


def _decoding(x_BxTxD: jax.Array, context: Both) -> Decoding:
    columns_T = jnp.arange(x_BxTxD.shape[1])
    so_far_QxS = columns_T[None, :] <= columns_T[:, None]
    same_Bx1xQxS = context.same_Bx1xQxS
    return Decoding(same_Bx1xQxS & so_far_QxS[None, None], same_Bx1xQxS, Seen(x_BxTxD, None))


def _embeddings(config: EncoderConfig) -> list[Row]:
    ours = "embeddings"
    return [
        *table(f"{ours}/word_embeddings", "shared", "VD"),
        *table(f"{ours}/position_embeddings", "encoder.embed_positions", "PD"),
        *norm(f"{ours}/LayerNorm", "encoder.layernorm_embedding"),
        *table(f"{ours}/decoder_position_embeddings", "decoder.embed_positions", "PD"),
        *norm(f"{ours}/decoder_LayerNorm", "decoder.layernorm_embedding"),
    ]


def _block(config: EncoderConfig, index: int) -> list[Row]:
    assert isinstance(config, BartConfig)
    below = config.encoder_layers
    decoding = index >= below
    theirs = f"decoder.layers.{index - below}" if decoding else f"encoder.layers.{index}"
    return [
        *_attention("layer_{i}/attention", f"{theirs}.self_attn"),
        *(_attention("layer_{i}/cross_attention", f"{theirs}.encoder_attn") if decoding else []),
        *dense("layer_{i}/intermediate", f"{theirs}.fc1", "DF"),
        *dense("layer_{i}/output", f"{theirs}.fc2", "FD"),
        *norm("layer_{i}/LayerNorm", f"{theirs}.final_layer_norm"),
    ]


def _attention(ours: str, theirs: str) -> list[Row]:
    names = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
    rows = [row for name, their in names.items() for row in dense(f"{ours}/{name}", f"{theirs}.{their}", "DD")]
    return [*rows, *norm(f"{ours}/LayerNorm", f"{theirs}_layer_norm")]


FAMILY = Family(
    title="BART",
    config=BartConfig,
    encoder=BartEncoder,
    classes={"bart": "Bart"},
    prefix="model.",
    embeddings=_embeddings,
    block=_block,
    pooler=lambda config: dense("pooler", "classification_head.dense", "DD"),
    pooler_outside=True,
    classifier="classification_head.out_proj",
    aside=r"(?:lm_head|classification_head|qa_outputs)\..*|final_logits_bias|(?:en|de)coder\.embed_tokens\.weight",
    axes=lambda config: {"P": config.max_position_embeddings + _OFFSET},
    mean="",
    no_tagger="transformers has no token classifier of BART",
)
