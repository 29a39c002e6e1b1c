"""Only the word pieces that occur are trained.

A few-sample data set has a few thousand of an encoder's 30,000 and more word pieces. The others never get a gradient,
so Adam leaves them where they are, and the decays move all of them by one factor c, which is 1 at first:

    w <- w - lr (a w + b (w - w_0))    from w = w_0 gives    w = c w_0,    c <- c - lr (a c + b (c - 1))

So the table that is trained holds the rows that occur and one row of ones, which no text refers to: the same chain
turns it into c, and the full table is exact, up to rounding, at a fraction of the memory and of the optimizer's time.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jax.typing import ArrayLike

from stablefit.paths import Tree


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The word pieces that occur, and the whole table they were taken from.

    Args:
        pieces: int32 [K], ids that occur, ascending.
        table: float32 [V, D], the word embeddings that training starts from.
    """

    pieces: np.ndarray
    table: np.ndarray

    def renumber(self, tokens: np.ndarray) -> np.ndarray:
        """Token ids -> rows of the compact table.

        Raises:
            ValueError: an id is not one that occurs.
        """
        rows = np.searchsorted(self.pieces, tokens).astype(np.int32)
        if not np.array_equal(self.pieces[np.minimum(rows, len(self.pieces) - 1)], tokens):
            raise ValueError("a token is not in the vocabulary that was taken from the data")
        return rows

    def compact(self) -> np.ndarray:
        """The table to train, [K + 1, D]: the rows that occur and a row of ones."""
        return np.concatenate([self.table[self.pieces], np.ones_like(self.table[:1])])

    def expand(self, trained: ArrayLike) -> np.ndarray:
        """The full table [V, D] from what `compact` became, [K + 1, D]."""
        rows = np.asarray(trained)
        table = self.table * rows[-1:]
        table[self.pieces] = rows[:-1]
        return table


def occurring(tokens: Sequence[np.ndarray], table: np.ndarray) -> Vocabulary:
    """The vocabulary of token arrays.

    Args:
        tokens: integers in [0, V), of any shapes.
        table: [V, D].

    >>> few = occurring([np.array([[5, 2]]), np.array([7, 5])], np.arange(16.0).reshape(8, 2))
    >>> few.pieces.tolist(), few.renumber(np.array([7, 2])).tolist()
    ([2, 5, 7], [2, 0])
    >>> bool((few.expand(few.compact()) == few.table).all())
    True
    """
    return Vocabulary(np.unique(np.concatenate([np.unique(t) for t in tokens])).astype(np.int32), table)


def with_table(params: Tree, table: Tree) -> Tree:
    """The parameters with another table of word embeddings."""
    encoder = params["encoder"]
    embeddings = {**encoder["embeddings"], "word_embeddings": {"embedding": table}}
    return {**params, "encoder": {**encoder, "embeddings": embeddings}}
