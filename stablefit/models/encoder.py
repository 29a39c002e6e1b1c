"""The BERT encoder: the function that Hugging Face's `BertModel` computes, as Flax linen modules.

Shapes are in names: B rows of the batch, T tokens of a row, D hidden size, H heads, K size of a head, Q and S query and
source positions, V vocabulary. Parameters are float32 and named as in `stablefit/models/hf.py`.

Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", 2019.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from stablefit.errors import InputError
from stablefit.models.dropout import Dropout
from stablefit.models.matmul import DType, attention_mix, attention_scores, dense

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_new": lambda x: jax.nn.gelu(x, approximate=True),
    "relu": jax.nn.relu,
}

# What config.json must say, or leave out, for this encoder to be the right function.
_FIXED = {
    "model_type": "bert",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """The sizes of an encoder, under the names of Hugging Face's config.json; the defaults are BERT's."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    hidden_act: str = "gelu"
    pad_token_id: int = 0

    @classmethod
    def from_dict(cls, config_json: Mapping[str, Any], source: str = "config.json") -> "EncoderConfig":
        """Read and check the fields of a config.json; fields that do not concern the encoder are ignored.

        Args:
            config_json: the parsed file.
            source: the name of the file, for messages.

        Raises:
            InputError: a field is missing, of the wrong type, out of range, or asks for another architecture.
        """
        for name, allowed in _FIXED.items():
            if config_json.get(name, allowed) != allowed:
                raise InputError(f"{source}: {name}={config_json[name]!r} is not supported, allowed: {allowed!r}")
        if "model_type" not in config_json:
            raise InputError(f"{source}: model_type is missing, allowed: 'bert'")
        values = {}
        for field in dataclasses.fields(cls):
            if field.name in config_json and not (field.name == "pad_token_id" and config_json[field.name] is None):
                values[field.name] = _checked(field.name, field.type, config_json[field.name], source)
            elif field.default is dataclasses.MISSING:
                raise InputError(f"{source}: {field.name} is missing, it must be a whole number of at least 1")
        config = cls(**values)
        if config.hidden_size % config.num_attention_heads:
            raise InputError(
                f"{source}: hidden_size={config.hidden_size} is no multiple of"
                f" num_attention_heads={config.num_attention_heads}"
            )
        return config

    def to_dict(self) -> dict[str, Any]:
        """The fields under the names of config.json, with the model type."""
        return {"model_type": "bert", "position_embedding_type": "absolute", **dataclasses.asdict(self)}


def _checked(name: str, kind: Any, value: Any, source: str) -> Any:
    """A value of config.json, or InputError with what is allowed."""
    if kind is str:
        if not (isinstance(value, str) and value in ACTIVATIONS):
            raise InputError(f"{source}: {name}={value!r} is not supported, allowed: {', '.join(ACTIVATIONS)}")
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float:
        if not (number and 0.0 < value <= 1.0):
            raise InputError(f"{source}: {name}={value!r} is not allowed, it must be a number above 0, at most 1")
        return float(value)
    least, most = (0 if name == "pad_token_id" else 1), (1000 if name == "num_hidden_layers" else 10_000_000)
    if not (number and isinstance(value, int) and least <= value <= most):
        raise InputError(f"{source}: {name}={value!r} is not allowed, it must be a whole number, {least} to {most}")
    return value


class Table(nn.Module):
    """Rows of a trainable table, `embedding[index]`; an index outside the table gives NaN rather than a wrong row.

    Unchecked it is the plain lookup, which other runtimes have, and an index outside gives a wrong row.
    """

    rows: int
    features: int
    std: float
    checked: bool = True

    @nn.compact
    def __call__(self, index: jax.Array | None, *, first: int = 0) -> jax.Array:
        """The rows of `index`; without an index the first `first` rows."""
        embedding = self.param("embedding", nn.initializers.normal(self.std), (self.rows, self.features))
        if index is None:
            return embedding[:first]
        if not self.checked:
            return embedding[index]
        return jnp.take(embedding, index, axis=0, mode="fill", fill_value=jnp.nan)


class Dense(nn.Module):
    """`y = x @ kernel + bias`, kernel [in, out]; inputs rounded to `dtype`, result float32."""

    features: int
    std: float
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel_IxO = self.param("kernel", nn.initializers.normal(self.std), (x.shape[-1], self.features))
        bias_O = self.param("bias", nn.initializers.zeros, (self.features,))
        return dense(x, kernel_IxO, self.dtype) + bias_O.reshape((1,) * (x.ndim - 1) + (-1,))


def layer_norm(config: EncoderConfig) -> nn.LayerNorm:
    """Layer normalisation in float32; the variance as a mean of squared deviations, as PyTorch computes it."""
    return nn.LayerNorm(epsilon=config.layer_norm_eps, use_fast_variance=False, name="LayerNorm")


class Embeddings(nn.Module):
    """`LayerNorm(word + token type + position)`, then dropout."""

    config: EncoderConfig
    dropout: float
    checked: bool = True

    @nn.compact
    def __call__(
        self, tokens_BxT: jax.Array, types_BxT: jax.Array, positions_BxT: jax.Array | None, deterministic: bool
    ) -> jax.Array:
        c = self.config

        def table(name: str, rows: int) -> Table:
            return Table(rows, c.hidden_size, c.initializer_range, self.checked, name=name)

        words_BxTxD = table("word_embeddings", c.vocab_size)(tokens_BxT)
        types_BxTxD = table("token_type_embeddings", c.type_vocab_size)(types_BxT)
        position_table = table("position_embeddings", c.max_position_embeddings)
        if positions_BxT is None:
            positions_BxTxD = position_table(None, first=tokens_BxT.shape[1])[None]
        else:
            positions_BxTxD = position_table(positions_BxT)
        x_BxTxD = layer_norm(c)(words_BxTxD + types_BxTxD + positions_BxTxD)
        return Dropout(self.dropout)(x_BxTxD, deterministic=deterministic)


class Seen(NamedTuple):
    """What queries of a few places attend to: of E of them the rows `rows` [E] of the hidden states [B, S, D]."""

    hidden: jax.Array
    rows: jax.Array


class Attention(nn.Module):
    """`LayerNorm(x + W_o softmax(q k^T / sqrt(K)) v)` inside each segment, with dropout on weights and output.

    Keys and values are those of x itself, or of what is `seen` where x is queries of a few places, [E, 1, D].
    """

    config: EncoderConfig
    dropout: float
    weights_dropout: float
    dtype: DType

    @nn.compact
    def __call__(
        self, x_BxTxD: jax.Array, same_Bx1xQxS: jax.Array, deterministic: bool, seen: Seen | None = None
    ) -> jax.Array:
        c = self.config
        heads, size = c.num_attention_heads, c.hidden_size // c.num_attention_heads

        def project(name: str, of: Seen | None = None) -> jax.Array:
            y_BxTxD = Dense(c.hidden_size, c.initializer_range, self.dtype, name=name)(of.hidden if of else x_BxTxD)
            y_BxTxHxK = y_BxTxD.reshape(*y_BxTxD.shape[:2], heads, size)
            return y_BxTxHxK[of.rows] if of else y_BxTxHxK

        q_BxQxHxK, k_BxSxHxK, v_BxSxHxK = project("query"), project("key", seen), project("value", seen)
        scores_BxHxQxS = attention_scores(q_BxQxHxK, k_BxSxHxK, self.dtype) * (1.0 / math.sqrt(size))
        scores_BxHxQxS = jnp.where(same_Bx1xQxS, scores_BxHxQxS, jnp.finfo(scores_BxHxQxS.dtype).min)
        weights_BxHxQxS = jax.nn.softmax(scores_BxHxQxS, axis=-1)
        weights_BxHxQxS = Dropout(self.weights_dropout)(weights_BxHxQxS, deterministic=deterministic)
        y_BxQxHxK = attention_mix(weights_BxHxQxS, v_BxSxHxK, self.dtype)
        y_BxTxD = Dense(c.hidden_size, c.initializer_range, self.dtype, name="output")(y_BxQxHxK.reshape(x_BxTxD.shape))
        y_BxTxD = Dropout(self.dropout)(y_BxTxD, deterministic=deterministic)
        return layer_norm(c)(y_BxTxD + x_BxTxD)


class Layer(nn.Module):
    """Attention, then `LayerNorm(x + W_2 act(W_1 x))`."""

    config: EncoderConfig
    dropout: float
    attention_dropout: float
    dtype: DType

    @nn.compact
    def __call__(
        self, x_BxTxD: jax.Array, same_Bx1xQxS: jax.Array, deterministic: bool, seen: Seen | None = None
    ) -> jax.Array:
        c = self.config
        attention = Attention(c, self.dropout, self.attention_dropout, self.dtype, name="attention")
        x_BxTxD = attention(x_BxTxD, same_Bx1xQxS, deterministic, seen)
        y_BxTxF = Dense(c.intermediate_size, c.initializer_range, self.dtype, name="intermediate")(x_BxTxD)
        y_BxTxF = ACTIVATIONS[c.hidden_act](y_BxTxF)
        y_BxTxD = Dense(c.hidden_size, c.initializer_range, self.dtype, name="output")(y_BxTxF)
        y_BxTxD = Dropout(self.dropout)(y_BxTxD, deterministic=deterministic)
        return layer_norm(c)(y_BxTxD + x_BxTxD)


class Encoder(nn.Module):
    """Tokens -> hidden states, and `pool`: hidden states of [CLS] -> pooled.

    Args:
        config: the sizes.
        dropout: rate of all dropout: embeddings, attention weights, outputs of the sub-layers; static.
        dtype: what the inputs of matrix products are rounded to; everything else is float32. With float32 nothing is
            rounded here, but GPUs and TPUs may themselves shorten float32 products: `jax_default_matmul_precision`.
        with_pooler: whether the parameters include the pooler.
        checked: whether a token, a type or a position outside its table gives NaN, rather than a wrong row.
        attention_dropout: rate on the attention weights alone; None: as `dropout`; static.
    """

    config: EncoderConfig
    dropout: float = 0.0
    dtype: DType = jnp.float32
    with_pooler: bool = True
    checked: bool = True
    attention_dropout: float | None = None

    def setup(self) -> None:
        c = self.config
        self.embeddings = Embeddings(c, self.dropout, self.checked)
        on_weights = self.dropout if self.attention_dropout is None else self.attention_dropout
        self.layer = [Layer(c, self.dropout, on_weights, self.dtype) for _ in range(c.num_hidden_layers)]
        if self.with_pooler:
            self.pooler = Dense(c.hidden_size, c.initializer_range, self.dtype)

    def __call__(
        self,
        tokens_BxT: jax.Array,
        types_BxT: jax.Array,
        segments_BxT: jax.Array,
        positions_BxT: jax.Array | None = None,
        *,
        deterministic: bool,
        read: tuple[jax.Array, jax.Array] | None = None,
    ) -> jax.Array:
        """The hidden states of the last layer, float32, shape (B, T, D).

        Args:
            tokens_BxT: word pieces, in [0, vocab_size); one outside gives NaN.
            types_BxT: token types, in [0, type_vocab_size): 0 for the first sentence, 1 for the second.
            segments_BxT: 0 for padding, else the number (from 1) of the example in the row. Tokens see the tokens of
                the same number only, so examples that share a row do not see each other.
            positions_BxT: in [0, max_position_embeddings); without them a row counts from 0.
            deterministic: without dropout; otherwise `rngs={"dropout": key}` is needed.
            read: the rows and columns of E places; the last layer is then computed there alone, shape (E, 1, D): the
                same hidden states to rounding, without a sixth of the work of six layers.

        Raises:
            InputError: the rows are longer than the table of positions.
        """
        longest = self.config.max_position_embeddings
        if positions_BxT is None and tokens_BxT.shape[1] > longest:
            raise InputError(
                f"rows of {tokens_BxT.shape[1]} tokens are too long: max_position_embeddings={longest}; shorten them"
            )
        same_Bx1xQxS = (segments_BxT[:, :, None] == segments_BxT[:, None, :])[:, None]
        x_BxTxD = self.embeddings(tokens_BxT, types_BxT, positions_BxT, deterministic)
        for layer in self.layer if read is None else self.layer[:-1]:
            x_BxTxD = layer(x_BxTxD, same_Bx1xQxS, deterministic)
        if read is not None:
            rows_E, columns_E = read
            same_Ex1x1xS = same_Bx1xQxS[rows_E, 0, columns_E][:, None, None]
            at_Ex1xD = x_BxTxD[rows_E, columns_E][:, None]
            x_BxTxD = self.layer[-1](at_Ex1xD, same_Ex1x1xS, deterministic, Seen(x_BxTxD, rows_E))
        if self.with_pooler and self.is_initializing():
            self.pool(x_BxTxD[:, 0])  # so that init makes the pooler, whether or not the caller pools
        return x_BxTxD

    def pool(self, cls_ExD: jax.Array) -> jax.Array:
        """`tanh(W h + b)` of the hidden states of [CLS], one row an example."""
        return jnp.tanh(self.pooler(cls_ExD))
