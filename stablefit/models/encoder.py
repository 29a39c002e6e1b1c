"""The encoder: tokens to hidden states, and what a classifier reads of them. Families say what differs.

Shapes are in names: B rows of the batch, T tokens of a row, D hidden size, E places or examples.
Parameters are float32 and named as in the family's table of names; `families/` has a file a family.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from stablefit.errors import InputError
from stablefit.models import alike
from stablefit.models.blocks import Context, Dense, Embeddings, Layer, Places, Seen
from stablefit.models.config import ACTIVATIONS, EncoderConfig
from stablefit.models.dropout import Dropout
from stablefit.models.matmul import DType

Block = Callable[..., jax.Array]  # (hidden states, context, deterministic, seen) -> hidden states


class Encoder(nn.Module):
    """Tokens -> hidden states, and `pool`: hidden states of [CLS] -> what the classifier reads. As it stands, BERT's.

    Where `reads_last`, what is called [CLS] here is the example's last token.

    Args:
        config: the sizes.
        dropout: rate of all dropout: embeddings, attention weights, outputs of the sub-layers; static.
        dtype: what the inputs of matrix products are rounded to; everything else is float32. With float32 nothing is
            rounded here, but GPUs and TPUs may themselves shorten float32 products: `jax_default_matmul_precision`.
        with_pooler: whether the parameters include the pooler, the dense layer between [CLS] and the classifier.
        checked: whether a token, a type or a position outside its table gives NaN, rather than a wrong row.
        attention_dropout: rate on the attention weights alone; None: as `dropout`; static.
        remat: of each block only what goes in is kept for the backward pass, which computes the block once more:
            memory for a third more time. What it computes is the same to rounding.
        scan: blocks that follow each other and differ in their numbers alone are one loop, `models.alike`: compiled
            once in place of each. What it computes is the same to rounding.
    """

    config: EncoderConfig
    dropout: float = 0.0
    dtype: DType = jnp.float32
    with_pooler: bool = True
    checked: bool = True
    attention_dropout: float | None = None
    remat: bool = False
    scan: bool = False

    # Of the family: is there dropout in front of the pooler, too; does its tagger read through the pooler; does its
    # classifier read an example's last token, in place of the first.
    pools_dropped: ClassVar[bool] = False
    tags_pooled: ClassVar[bool] = False
    reads_last: ClassVar[bool] = False

    def setup(self) -> None:
        self.embeddings = self.make_embeddings()
        self.layer = [self.make_layer(i) for i in range(self.config.num_hidden_layers)]
        if self.with_pooler:
            self.pooler = self.make_pooler()
            self.pooler_dropout = Dropout(self.dropout)

    @property
    def on_weights(self) -> float:
        """Rate of dropout on attention weights."""
        return self.dropout if self.attention_dropout is None else self.attention_dropout

    def make_embeddings(self) -> nn.Module:
        return Embeddings(self.config, self.dropout, self.checked)

    def make_layer(self, index: int) -> nn.Module:
        return Layer(self.config, self.dropout, self.on_weights, self.dtype)

    def make_pooler(self) -> nn.Module:
        return Dense(self.config.hidden_size, self.config.initializer_range, self.dtype)

    @property
    def pooler_activation(self) -> str:
        return "tanh"

    def blocks(self) -> Sequence[Block]:
        """What the hidden states go through, in order."""
        return self.layer

    def context(self, same_Bx1xQxS: jax.Array, positions_BxT: jax.Array | None, deterministic: bool) -> Context:
        """What all blocks are given."""
        return Places(same_Bx1xQxS)

    def begin(
        self,
        tokens_BxT: jax.Array,
        types_BxT: jax.Array,
        positions_BxT: jax.Array | None,
        same_Bx1xQxS: jax.Array,
        deterministic: bool,
    ) -> tuple[jax.Array, Context]:
        """What the first block is given, and what all are."""
        x_BxTxD = self.embeddings(tokens_BxT, types_BxT, positions_BxT, deterministic)
        return x_BxTxD, self.context(same_Bx1xQxS, positions_BxT, deterministic)

    def finish(self, x_BxTxD: jax.Array) -> jax.Array:
        """What is done after the last block."""
        return x_BxTxD

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
            types_BxT: token types, in [0, type_vocab_size): 0 for the first sentence, 1 for the second; not read where
                the family has none.
            segments_BxT: 0 for padding, else the number (from 1) of the example in the row. Tokens see the tokens of
                the same number only, so examples that share a row do not see each other.
            positions_BxT: in [0, config.longest), counted in each example from 0; without them a row counts from 0.
            deterministic: without dropout; otherwise `rngs={"dropout": key}` is needed.
            read: the rows and columns of E places; the last layer is then computed there alone, shape (E, 1, D): the
                same hidden states to rounding, without a sixth of the work of six layers.

        Raises:
            InputError: the rows are longer than the table of positions.
        """
        longest = self.config.longest
        if positions_BxT is None and tokens_BxT.shape[1] > longest:
            raise InputError(
                f"rows of {tokens_BxT.shape[1]} tokens are too long: max_position_embeddings={longest}; shorten them"
            )
        same_Bx1xQxS = (segments_BxT[:, :, None] == segments_BxT[:, None, :])[:, None]
        x_BxTxD, context = self.begin(tokens_BxT, types_BxT, positions_BxT, same_Bx1xQxS, deterministic)
        for run in self.runs(len(self.blocks()) - (read is not None)):
            x_BxTxD = self.through(run, x_BxTxD, context, deterministic)
        if read is not None:
            x_BxTxD = self.last(x_BxTxD, context, deterministic, *read)
        x_BxTxD = self.finish(x_BxTxD)
        if self.with_pooler and self.is_initializing():
            self.pool(x_BxTxD[:, 0], deterministic=True)  # so that init makes it, whether or not the caller pools
        return x_BxTxD

    def runs(self, count: int) -> list[range]:
        """The first `count` blocks, in runs of those that are one loop; a range of one is a block on its own."""
        loops = self.scan and not self.is_initializing()
        return alike.runs(self.blocks()[:count]) if loops else [range(i, i + 1) for i in range(count)]

    def looped(self) -> bool:
        """Whether any blocks are a loop."""
        return any(len(run) > 1 for run in self.runs(len(self.blocks())))

    def through(self, run: range, x_BxTxD: jax.Array, context: Context, deterministic: bool) -> jax.Array:
        """The hidden states behind the blocks of a run from those in front of it."""
        again = self.remat and not deterministic and not self.is_initializing()
        if len(run) > 1:
            return alike.through([self.blocks()[i] for i in run], x_BxTxD, context, deterministic, again)

        def block(encoder: Encoder, x_BxTxD: jax.Array, context: Context) -> jax.Array:
            return encoder.blocks()[run[0]](x_BxTxD, context, deterministic)

        return (nn.remat(block) if again else block)(self, x_BxTxD, context)

    def last(
        self, x_BxTxD: jax.Array, context: Context, deterministic: bool, rows_E: jax.Array, columns_E: jax.Array
    ) -> jax.Array:
        """The last block at E places alone, (E, 1, D)."""
        block = self.blocks()[-1]
        at_Ex1xD = x_BxTxD[rows_E, columns_E][:, None]
        return block(at_Ex1xD, context.at(rows_E, columns_E), deterministic, Seen(x_BxTxD, rows_E))

    def pool(self, cls_ExD: jax.Array, *, deterministic: bool) -> jax.Array:
        """`act(W h + b)` of the hidden states of [CLS], one row an example; of BERT act is tanh."""
        if self.pools_dropped:
            cls_ExD = self.pooler_dropout(cls_ExD, deterministic=deterministic)
        return ACTIVATIONS[self.pooler_activation](self.pooler(cls_ExD))
