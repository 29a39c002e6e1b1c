"""Heads on the encoder, and how new layers start."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from stablefit.models.dropout import Dropout
from stablefit.models.encoder import Dense, Encoder, EncoderConfig
from stablefit.models.matmul import DType
from stablefit.paths import Key, key_for


class SequenceClassifier(nn.Module):
    """`head(dropout(pool([CLS])))`: Hugging Face's `BertForSequenceClassification`.

    Args:
        config: the encoder's sizes.
        num_outputs: how many classes; 1 for regression.
        dropout: rate of all dropout, on the pooled vector too; static.
        dtype: what the inputs of matrix products are rounded to.
    """

    config: EncoderConfig
    num_outputs: int
    dropout: float = 0.0
    dtype: DType = jnp.float32

    def setup(self) -> None:
        self.encoder = Encoder(self.config, self.dropout, self.dtype)
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
        hidden_BxTxD = self.encoder(tokens_BxT, types_BxT, segments_BxT, positions_BxT, deterministic=deterministic)
        cls_ExD = hidden_BxTxD[:, 0] if cls_rows_E is None else hidden_BxTxD[cls_rows_E, cls_columns_E]
        pooled_ExD = self.pooled_dropout(self.encoder.pool(cls_ExD), deterministic=deterministic)
        return self.head(pooled_ExD)


def init_head(key: Key, hidden_size: int, num_outputs: int, std: float = 0.02) -> dict[str, jax.Array]:
    """A new head: kernel ~ N(0, std^2), bias 0, as PyTorch's BERT and the paper start it (not Flax's default).

    Args:
        key: the run's initialisation key; the head's is folded from it by name.
        hidden_size: rows of the kernel.
        num_outputs: columns of the kernel.
        std: BERT's initializer_range.
    """
    return _init_dense(key, "head", hidden_size, num_outputs, std)


def init_pooler(key: Key, hidden_size: int, std: float = 0.02) -> dict[str, jax.Array]:
    """A new pooler, for weights that were stored without one: kernel ~ N(0, std^2), bias 0."""
    return _init_dense(key, "encoder/pooler", hidden_size, hidden_size, std)


def _init_dense(key: Key, name: str, rows: int, columns: int, std: float) -> dict[str, jax.Array]:
    kernel_IxO = std * jax.random.normal(key_for(key, f"{name}/kernel"), (rows, columns), jnp.float32)
    return {"kernel": kernel_IxO, "bias": jnp.zeros((columns,), jnp.float32)}
