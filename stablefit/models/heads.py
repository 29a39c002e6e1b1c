"""Heads on the encoder: outputs, the loss of tags, and how new layers start."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax.traverse_util import unflatten_dict

from stablefit.models import crf, lookup
from stablefit.models.blocks import Dense, layer_norm
from stablefit.models.config import EncoderConfig
from stablefit.models.dropout import Dropout
from stablefit.models.families import family_of
from stablefit.models.matmul import DType
from stablefit.paths import Key, Tree, key_for

Pooling = Literal["pooler", "cls", "mean"]


class SequenceClassifier(nn.Module):
    """`head(dropout(pooled))`; with the pooler it is the family's `...ForSequenceClassification` of Hugging Face.

    Args:
        config: the encoder's sizes.
        num_outputs: how many classes or labels; 1 for regression.
        dropout: rate of all dropout, on the pooled vector too; static.
        dtype: what the inputs of matrix products are rounded to.
        pool: 'pooler' is what the family's own classifier reads, of BERT tanh(W h + b) of the hidden state of [CLS],
            'cls' that hidden state itself (of the last token where the family reads that), and 'mean' the
            layer-normalised mean of the example's hidden states, those of special tokens among them: what encoders
            that were trained for sentence similarity are read by.
        serving: only answers are wanted, and to rounding: the last layer is computed where the head reads.
        checked, attention_dropout, remat, scan: as of `Encoder`.
    """

    config: EncoderConfig
    num_outputs: int
    dropout: float = 0.0
    dtype: DType = jnp.float32
    pool: Pooling = "pooler"
    serving: bool = False
    checked: bool = True
    attention_dropout: float | None = None
    remat: bool = False
    scan: bool = False

    def setup(self) -> None:
        more = (self.pool == "pooler", self.checked, self.attention_dropout, self.remat, self.scan)
        self.encoder = family_of(self.config).encoder(self.config, self.dropout, self.dtype, *more)
        if self.pool == "mean":
            self.pooling = MeanPooling()
        self.pooled_dropout = Dropout(self.dropout)
        self.head = Dense(self.num_outputs, self.config.initializer_range, self.dtype)

    def __call__(
        self,
        tokens_BxT: jax.Array,
        types_BxT: jax.Array,
        segments_BxT: jax.Array,
        positions_BxT: jax.Array | None = None,
        cls_rows_E: jax.Array | None = None,
        cls_columns_E: jax.Array | None = None,
        *,
        deterministic: bool,
    ) -> jax.Array:
        """The logits, float32, shape (B, num_outputs); (E, num_outputs) for E examples packed into B rows.

        Args:
            tokens_BxT: and types, segments, positions: as `Encoder` takes them.
            cls_rows_E: the row of each example, for packed rows; without it each row is one example.
            cls_columns_E: the column of each example's [CLS]; together with `cls_rows_E`.
            deterministic: without dropout; otherwise `rngs={"dropout": key}` is needed.
        """
        pooled_ExD = self.pooled(
            tokens_BxT, types_BxT, segments_BxT, positions_BxT, cls_rows_E, cls_columns_E, deterministic=deterministic
        )
        return self.head(self.pooled_dropout(pooled_ExD, deterministic=deterministic))

    def pooled(
        self,
        tokens_BxT: jax.Array,
        types_BxT: jax.Array,
        segments_BxT: jax.Array,
        positions_BxT: jax.Array | None = None,
        cls_rows_E: jax.Array | None = None,
        cls_columns_E: jax.Array | None = None,
        *,
        deterministic: bool,
    ) -> jax.Array:
        """What the head reads, before its dropout, shape (E, D); arguments as of a call."""
        reads_mean = self.pool == "mean" or (self.pool == "pooler" and self.config.reads_mean)
        if self.encoder.reads_last and not reads_mean:
            cls_rows_E, cls_columns_E = last_tokens(segments_BxT, cls_rows_E, cls_columns_E)
        if self.serving and not reads_mean:
            if cls_rows_E is None or cls_columns_E is None:
                cls_rows_E, cls_columns_E = jnp.arange(len(tokens_BxT)), jnp.zeros(len(tokens_BxT), jnp.int32)
            read = (cls_rows_E, cls_columns_E)
            inputs = (tokens_BxT, types_BxT, segments_BxT, positions_BxT)
            cls_ExD = self.encoder(*inputs, deterministic=deterministic, read=read)[:, 0]
            return self.encoder.pool(cls_ExD, deterministic=deterministic) if self.pool == "pooler" else cls_ExD
        hidden_BxTxD = self.encoder(tokens_BxT, types_BxT, segments_BxT, positions_BxT, deterministic=deterministic)
        if self.pool == "mean":
            return self.pooling(hidden_BxTxD, segments_BxT, cls_rows_E, cls_columns_E)
        if reads_mean:
            one_ExD = mean(hidden_BxTxD, segments_BxT, cls_rows_E, cls_columns_E)
        else:
            one_ExD = _first(hidden_BxTxD, cls_rows_E, cls_columns_E)
        return self.encoder.pool(one_ExD, deterministic=deterministic) if self.pool == "pooler" else one_ExD


def _first(x_BxTxD: jax.Array, rows_E: jax.Array | None, columns_E: jax.Array | None) -> jax.Array:
    """`x[rows, columns]`; without them the first of each row."""
    return x_BxTxD[:, 0] if rows_E is None or columns_E is None else _at(x_BxTxD, rows_E, columns_E)


def _at(x_BxTxD: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """`x[rows, columns]`; a column outside is the nearest that there is."""
    length, width = x_BxTxD.shape[1:]
    return lookup.rows(x_BxTxD.reshape(-1, width), rows * length + jnp.clip(columns, 0, length - 1))


class MeanPooling(nn.Module):
    """`LayerNorm(sum_t h_t / n)` over the n tokens of an example."""

    @nn.compact
    def __call__(
        self,
        hidden_BxTxD: jax.Array,
        segments_BxT: jax.Array,
        cls_rows_E: jax.Array | None,
        cls_columns_E: jax.Array | None,
    ) -> jax.Array:
        return layer_norm(MEAN_EPS)(mean(hidden_BxTxD, segments_BxT, cls_rows_E, cls_columns_E))


def last_tokens(
    segments_BxT: jax.Array, rows_E: jax.Array | None, columns_E: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """The row and the column of each example's last token, from those of its first."""
    if rows_E is None or columns_E is None:
        rows_E, columns_E = jnp.arange(len(segments_BxT)), jnp.zeros(len(segments_BxT), jnp.int32)
    segments_BxT = jnp.asarray(segments_BxT)
    mine_ExT = segments_BxT[rows_E] == segments_BxT[rows_E, columns_E][:, None]
    return rows_E, jnp.where(mine_ExT, jnp.arange(segments_BxT.shape[1])[None], 0).max(1)


MEAN_EPS = 1e-12  # whatever the encoder's: `hf_export` writes this normalisation as one without


def mean(
    hidden_BxTxD: jax.Array, segments_BxT: jax.Array, cls_rows_E: jax.Array | None, cls_columns_E: jax.Array | None
) -> jax.Array:
    """`sum_t h_t / n` over the n tokens of an example, shape (E, D)."""
    if cls_rows_E is None:
        own_E = segments_BxT[:, 0]
    else:
        own_E = segments_BxT[cls_rows_E, cls_columns_E]
        hidden_ExTD = lookup.rows(hidden_BxTxD.reshape(len(hidden_BxTxD), -1), cls_rows_E)
        segments_BxT, hidden_BxTxD = segments_BxT[cls_rows_E], hidden_ExTD.reshape(-1, *hidden_BxTxD.shape[1:])
    mine_ExT = (segments_BxT == own_E[:, None]).astype(jnp.float32)
    # The products with 0 and 1 are exact, and so is the sum's order: the highest precision keeps it so on a GPU.
    sum_ExD = jnp.einsum("et,etd->ed", mine_ExT, hidden_BxTxD, precision=jax.lax.Precision.HIGHEST)
    return sum_ExD / mine_ExT.sum(1, keepdims=True)


class TokenClassifier(nn.Module):
    """`head(dropout(hidden))` where each word is read: the emissions of its tags.

    It has no pooler, unless the family's own tagger reads every token through it, as ModernBERT's does.

    Args:
        config: the encoder's sizes.
        num_outputs: how many tags.
        dropout: rate of all dropout, on the hidden states in front of the head too; static.
        dtype: what the inputs of matrix products are rounded to; a CRF is float32.
        shared: several words may be read at one piece. The head then has as many outputs again, for the words that are
            not the first of their piece: else the characters of a piece would all have the same emissions.
        attention_dropout, remat, scan: as of `Encoder`.
    """

    config: EncoderConfig
    num_outputs: int
    dropout: float = 0.0
    dtype: DType = jnp.float32
    shared: bool = False
    attention_dropout: float | None = None
    remat: bool = False
    scan: bool = False

    def setup(self) -> None:
        encoder = family_of(self.config).encoder
        more = (encoder.tags_pooled, True, self.attention_dropout, self.remat, self.scan)
        self.encoder = encoder(self.config, self.dropout, self.dtype, *more)
        self.hidden_dropout = Dropout(self.dropout)
        self.head = Dense(self.num_outputs * (2 if self.shared else 1), self.config.initializer_range, self.dtype)

    def __call__(
        self,
        tokens_BxT: jax.Array,
        types_BxT: jax.Array,
        segments_BxT: jax.Array,
        positions_BxT: jax.Array,
        first_rows_E: jax.Array,
        first_columns_E: jax.Array,
        words_ExW: jax.Array,
        *,
        deterministic: bool,
    ) -> jax.Array:
        """The emissions, float32, shape (E, W, num_outputs), of E examples packed into B rows.

        Args:
            tokens_BxT: and types, segments, positions: as `Encoder` takes them.
            first_rows_E: the row of each example.
            first_columns_E: the column of each example's first token.
            words_ExW: where each word is read, counted from the example's first token; anything where there is no word.
            deterministic: without dropout; otherwise `rngs={"dropout": key}` is needed.
        """
        hidden_BxTxD = self.encoder(tokens_BxT, types_BxT, segments_BxT, positions_BxT, deterministic=deterministic)
        if self.encoder.tags_pooled:
            hidden_BxTxD = self.encoder.pool(hidden_BxTxD, deterministic=deterministic)
        outputs_BxTxK = self.head(self.hidden_dropout(hidden_BxTxD, deterministic=deterministic))
        outputs_ExWxK = _at(outputs_BxTxK, first_rows_E[:, None], first_columns_E[:, None] + words_ExW)
        if not self.shared:
            return outputs_ExWxK
        later_ExW = words_ExW == jnp.pad(words_ExW[:, :-1], ((0, 0), (1, 0)), constant_values=-1)
        first_ExWxK, rest_ExWxK = jnp.split(outputs_ExWxK, 2, axis=-1)
        return jnp.where(later_ExW[:, :, None], rest_ExWxK, first_ExWxK)


def tag_losses(params: Tree, emissions_ExWxK: jax.Array, labels_ExW: jax.Array) -> jax.Array:
    """Minus the log-likelihood of each example's tags, summed over its words; shape (E,).

    With `crf` among the parameters it is the CRF's, else that of a softmax at each word: a CRF with scores of 0.

    Args:
        params: those of the CRF are float32.
        emissions_ExWxK: as `TokenClassifier` gives them.
        labels_ExW: tags; below 0 where a word does not count.
    """
    counts_ExW = labels_ExW >= 0
    if "crf" in params:
        return -crf.log_likelihood(params["crf"], emissions_ExWxK, labels_ExW, counts_ExW)
    losses_ExW = optax.softmax_cross_entropy_with_integer_labels(emissions_ExWxK, jnp.maximum(labels_ExW, 0))
    return jnp.where(counts_ExW, losses_ExW, 0.0).sum(1)


Head = SequenceClassifier | TokenClassifier


def init_head(key: Key, hidden_size: int, num_outputs: int, std: float = 0.02) -> dict[str, jax.Array]:
    """A new head: kernel ~ N(0, std^2), bias 0, as PyTorch's BERT and the paper start it (not Flax's default).

    Args:
        key: the run's initialisation key; the head's is folded from it by name.
        hidden_size: rows of the kernel.
        num_outputs: columns of the kernel.
        std: BERT's initializer_range.
    """
    return _init_dense(key, "head", hidden_size, num_outputs, std)


def init_pooler(key: Key, config: EncoderConfig) -> Tree:
    """A new pooler, for weights stored without one: kernels ~ N(0, initializer_range^2), biases 0, scales 1."""
    entries = [entry for entry in family_of(config).entries(config) if entry.is_pooler]
    leaves = {e.ours: _start(key, f"encoder/{e.ours}", e.shape, config.initializer_range) for e in entries}
    return unflatten_dict(leaves, sep="/")["pooler"]


def _init_dense(key: Key, name: str, rows: int, columns: int, std: float) -> dict[str, jax.Array]:
    shapes = {"kernel": (rows, columns), "bias": (columns,)}
    return {leaf: _start(key, f"{name}/{leaf}", shape, std) for leaf, shape in shapes.items()}


def _start(key: Key, name: str, shape: tuple[int, ...], std: float) -> jax.Array:
    if name.endswith("kernel"):
        return std * jax.random.normal(key_for(key, name), shape, jnp.float32)
    return jnp.full(shape, 1.0 if name.endswith("scale") else 0.0, jnp.float32)
