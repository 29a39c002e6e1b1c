"""What the encoders of several families are built of, as Flax linen modules.

Shapes are in names: B rows of the batch, T tokens of a row, D hidden size, E columns of the token table, H heads,
K size of a head, Q and S query and source positions, F width of the feed-forward part.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, Self

import flax.linen as nn
import jax
import jax.numpy as jnp

from stablefit.models import lookup
from stablefit.models.config import ACTIVATIONS, EncoderConfig
from stablefit.models.dropout import Dropout
from stablefit.models.matmul import DType, attention_mix, attention_scores, dense, shared_scores


class Table(nn.Module):
    """Rows of a trainable table, `embedding[index]`; an index outside the table gives NaN rather than a wrong row.

    Unchecked it is the plain lookup, which other runtimes have, and an index outside gives a wrong row.
    """

    rows: int
    features: int
    std: float
    checked: bool = True

    @nn.compact
    def __call__(self, index: jax.Array | None, *, first: int = 0, start: int = 0) -> jax.Array:
        """The rows of `index`; without an index `first` rows from `start` on."""
        embedding = self.param("embedding", nn.initializers.normal(self.std), (self.rows, self.features))
        if index is None:
            return embedding[start : start + first]
        if not self.checked:
            return embedding[index]
        return lookup.rows(embedding, index)


class Dense(nn.Module):
    """`y = x @ kernel + bias`, kernel [in, out]; inputs rounded to `dtype`, result float32."""

    features: int
    std: float
    dtype: DType = jnp.float32
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel_IxO = self.param("kernel", nn.initializers.normal(self.std), (x.shape[-1], self.features))
        y = dense(x, kernel_IxO, self.dtype)
        if not self.use_bias:
            return y
        bias_O = self.param("bias", nn.initializers.zeros, (self.features,))
        return y + bias_O.reshape((1,) * (x.ndim - 1) + (-1,))


def layer_norm(eps: float, name: str | None = "LayerNorm", *, use_bias: bool = True) -> nn.LayerNorm:
    """Layer normalisation in float32; the variance as a mean of squared deviations, as PyTorch computes it."""
    return nn.LayerNorm(epsilon=eps, use_fast_variance=False, use_bias=use_bias, name=name)


class Embeddings(nn.Module):
    """`LayerNorm(word + token type + position)`, then dropout.

    Args:
        project: whether E -> D happens before ("before") or behind ("behind") normalisation and dropout; "": E is D.
        positioned: whether there is a table of positions. There is none of token types if `type_vocab_size` is 0.
    """

    config: EncoderConfig
    dropout: float
    checked: bool = True
    dtype: DType = jnp.float32
    project: Literal["", "before", "behind"] = ""
    positioned: bool = True

    @nn.compact
    def __call__(
        self, tokens_BxT: jax.Array, types_BxT: jax.Array, positions_BxT: jax.Array | None, deterministic: bool
    ) -> jax.Array:
        c = self.config

        def table(name: str, rows: int) -> Table:
            return Table(rows, c.token_size, c.initializer_range, self.checked, name=name)

        x_BxTxE = table("word_embeddings", c.vocab_size)(tokens_BxT)
        if c.type_vocab_size:
            x_BxTxE = x_BxTxE + table("token_type_embeddings", c.type_vocab_size)(types_BxT)
        if self.positioned:
            position_table = table("position_embeddings", c.max_position_embeddings)
            if positions_BxT is None:
                positions_BxTxE = position_table(None, first=tokens_BxT.shape[1], start=c.first_position)[None]
            else:
                at_BxT = positions_BxT + c.first_position if c.first_position else positions_BxT
                positions_BxTxE = position_table(at_BxT)
            x_BxTxE = x_BxTxE + positions_BxTxE
        if self.project == "before":
            x_BxTxE = Dense(c.hidden_size, c.initializer_range, self.dtype, use_bias=False, name="project")(x_BxTxE)
        x_BxTxE = Dropout(self.dropout)(layer_norm(c.layer_norm_eps)(x_BxTxE), deterministic=deterministic)
        if self.project == "behind":
            x_BxTxE = Dense(c.hidden_size, c.initializer_range, self.dtype, name="project")(x_BxTxE)
        return x_BxTxE


class Context(Protocol):
    """What all blocks are given beside the hidden states; a family's own has more."""

    @property
    def same_Bx1xQxS(self) -> jax.Array:
        """Whether a query and a source are tokens of the same example."""
        ...

    def at(self, rows_E: jax.Array, columns_E: jax.Array) -> Self:
        """The same for E queries alone, as if each were a row of one query."""
        ...


class Places(NamedTuple):
    """Which tokens see each other, and what is added to the scores of all blocks."""

    same_Bx1xQxS: jax.Array
    bias_BxHxQxS: jax.Array | None = None

    def at(self, rows_E: jax.Array, columns_E: jax.Array) -> "Places":
        same_Ex1x1xS = self.same_Bx1xQxS[rows_E, 0, columns_E][:, None, None]
        if self.bias_BxHxQxS is None:
            return Places(same_Ex1x1xS)
        return Places(same_Ex1x1xS, self.bias_BxHxQxS[0, :, columns_E][:, :, None])  # the same in every row


class Seen(NamedTuple):
    """What queries attend to, if not to themselves: hidden states [B, S, D]; queries of E places to the rows [E]."""

    hidden: jax.Array
    rows: jax.Array | None


def by_place(x: jax.Array) -> jax.Array:
    """[..., T, 2T - 1] by place t and by distance T - 1 + s - t -> [..., T, T] by place t and by s.

    A row is one place further left than the row above: cutting rows one element shorter shifts them so.
    """
    length = x.shape[-2]
    flat = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 1)]).reshape(*x.shape[:-2], -1)
    flat = flat[..., : length * (2 * length - 1)]
    return flat.reshape(*x.shape[:-1], 2 * length - 1)[..., length - 1 :]


def from_columns(of_MxHxK: jax.Array, columns_E: jax.Array) -> jax.Array:
    """Rows by distance from each of E queries to all sources, [E, S, H, K]."""
    length = (len(of_MxHxK) + 1) // 2
    return of_MxHxK[length - 1 + jnp.arange(length)[None, :] - columns_E[:, None]]


def distance_scores(q_BxQxHxK: jax.Array, key_MxHxK: jax.Array, columns_E: jax.Array | None, dtype: DType) -> jax.Array:
    """`Q_q . R_{q-s}`, [B, H, Q, S], of keys for the distances q - s from T - 1 down to 1 - T.

    Args:
        columns_E: where queries of a few places are.
    """
    if columns_E is None:
        return by_place(shared_scores(q_BxQxHxK, key_MxHxK, dtype))
    return attention_scores(q_BxQxHxK, from_columns(key_MxHxK, columns_E), dtype)


def attend(
    scores_BxHxQxS: jax.Array,
    same_Bx1xQxS: jax.Array,
    v_BxSxHxK: jax.Array,
    dropout: Dropout,
    deterministic: bool,
    dtype: DType,
) -> jax.Array:
    """`softmax(scores) v` inside each segment, with dropout on the weights; shape (B, Q, H, K)."""
    scores_BxHxQxS = jnp.where(same_Bx1xQxS, scores_BxHxQxS, jnp.finfo(scores_BxHxQxS.dtype).min)
    weights_BxHxQxS = dropout(jax.nn.softmax(scores_BxHxQxS, axis=-1), deterministic=deterministic)
    return attention_mix(weights_BxHxQxS, v_BxSxHxK, dtype)


Product = Callable[[jax.Array], jax.Array]  # a dense layer, (..., D) -> (..., D)
Project = Callable[[str, jax.Array], jax.Array]  # name of a dense layer, (..., D) -> (..., H, K)


class Attention(nn.Module):
    """`LayerNorm(x + W_o softmax(q k^T / sqrt(K) + bias) v)` inside each segment, dropout on weights and output.

    Keys and values are those of x itself, or of what is `seen`, as where x is queries of a few places, [E, 1, D].
    """

    config: EncoderConfig
    dropout: float
    weights_dropout: float
    dtype: DType
    drops_output: bool = True

    @nn.compact
    def __call__(self, x_BxTxD: jax.Array, context: Any, deterministic: bool, seen: Seen | None = None) -> jax.Array:
        c = self.config
        layers: dict[str, Product] = {}

        def project(name: str, x: jax.Array) -> jax.Array:
            """`x W + b` by the dense layer of that name, cut into heads: (..., D) -> (..., H, K)."""
            if name not in layers:
                layers[name] = self.product(name)
            return layers[name](x).reshape(*x.shape[:-1], c.num_attention_heads, -1)

        q_BxQxHxK = project("query", x_BxTxD)
        k_BxSxHxK, v_BxSxHxK = (project(name, seen.hidden if seen else x_BxTxD) for name in ("key", "value"))
        if seen and seen.rows is not None:
            k_BxSxHxK, v_BxSxHxK = k_BxSxHxK[seen.rows], v_BxSxHxK[seen.rows]
        scores_BxHxQxS = self.scores(q_BxQxHxK, k_BxSxHxK, context, deterministic, project)
        on_weights = Dropout(self.weights_dropout)
        y_BxQxHxK = attend(scores_BxHxQxS, context.same_Bx1xQxS, v_BxSxHxK, on_weights, deterministic, self.dtype)
        y_BxTxD = self.product("output")(y_BxQxHxK.reshape(x_BxTxD.shape))
        if self.drops_output:
            y_BxTxD = Dropout(self.dropout)(y_BxTxD, deterministic=deterministic)
        return layer_norm(c.layer_norm_eps)(y_BxTxD + x_BxTxD)

    def product(self, name: str) -> Product:
        """The dense layer of that name: query, key, value, output, and what a family's `scores` asks for."""
        return Dense(self.config.hidden_size, self.config.initializer_range, self.dtype, name=name)

    def scores(
        self, q_BxQxHxK: jax.Array, k_BxSxHxK: jax.Array, context: Any, deterministic: bool, project: Project
    ) -> jax.Array:
        """What the softmax is taken of, [B, H, Q, S]; `project` is for a family that projects more than x."""
        del deterministic, project
        scores_BxHxQxS = attention_scores(q_BxQxHxK, k_BxSxHxK, self.dtype) * (1.0 / math.sqrt(q_BxQxHxK.shape[-1]))
        return scores_BxHxQxS if context.bias_BxHxQxS is None else scores_BxHxQxS + context.bias_BxHxQxS


class Layer(nn.Module):
    """Attention, then `LayerNorm(x + W_2 act(W_1 x))`: the block of BERT and of most after it.

    Args:
        attention: the module of attention, with the arguments of `Attention`.
        drops_attention: whether there is dropout on the output of attention; in DistilBERT there is none.
        drops_output: whether there is dropout on that of the feed-forward part; in ALBERT there is none.
        drops_inside: whether there is dropout behind the activation.
    """

    config: EncoderConfig
    dropout: float
    attention_dropout: float
    dtype: DType
    attention: type[Attention] = Attention
    drops_attention: bool = True
    drops_output: bool = True
    drops_inside: bool = False

    @nn.compact
    def __call__(self, x_BxTxD: jax.Array, context: Any, deterministic: bool, seen: Seen | None = None) -> jax.Array:
        c = self.config
        rates = (self.dropout, self.attention_dropout)
        attention = self.attention(c, *rates, self.dtype, self.drops_attention, name="attention")
        y_BxTxD = self.between(attention(x_BxTxD, context, deterministic, seen), context, deterministic)
        z_BxTxF = Dense(c.intermediate_size, c.initializer_range, self.dtype, name="intermediate")(y_BxTxD)
        z_BxTxF = ACTIVATIONS[c.hidden_act](z_BxTxF)
        if self.drops_inside:
            z_BxTxF = Dropout(self.dropout)(z_BxTxF, deterministic=deterministic)
        z_BxTxD = Dense(c.hidden_size, c.initializer_range, self.dtype, name="output")(z_BxTxF)
        if self.drops_output:
            z_BxTxD = Dropout(self.dropout)(z_BxTxD, deterministic=deterministic)
        y_BxTxD = layer_norm(c.layer_norm_eps)(z_BxTxD + y_BxTxD)
        return self.further(x_BxTxD, y_BxTxD, context, deterministic, seen)

    def between(self, y_BxTxD: jax.Array, context: Any, deterministic: bool) -> jax.Array:
        """What a family does between attention and the feed-forward part."""
        del context, deterministic
        return y_BxTxD

    def further(
        self, x_BxTxD: jax.Array, y_BxTxD: jax.Array, context: Any, deterministic: bool, seen: Seen | None
    ) -> jax.Array:
        """What a family does behind the block, of what went in, x, and came out, y."""
        del x_BxTxD, context, deterministic, seen
        return y_BxTxD
